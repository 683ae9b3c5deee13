#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// What packets of a capture are. Source: tcpdump.org's list of link-layer types.
enum class LinkType : std::uint32_t {
  kMctp = 291,    ///< an MCTP packet: MctpPacketHeader, then a message or a part of one
  kPciDoe = 292,  ///< a DOE data object
};

/// Which way a packet went past whoever captured it. Source: draft-ietf-opsawg-pcapng,
/// epb_flags, bits 1:0.
enum class PcapDirection : std::uint8_t { kUnknown = 0, kInbound = 1, kOutbound = 2 };

/// Captures in the classic pcap format, version 2.4, as bytes.
/// Source: draft-ietf-opsawg-pcap.
struct PcapHeader {
  static constexpr std::size_t kSize = 24;
  /// Bytes kept of a packet: all of any that SPDM's transfer sizes lead to in
  /// practice, and the most that DMTF's spdm_dump accepts.
  static constexpr std::uint32_t kSnapLength = 0x10000;
  LinkType link = LinkType::kPciDoe;
  [[nodiscard]] Bytes encode() const;  ///< what a file begins with
};

struct PcapPacket {
  static constexpr std::size_t kHeaderSize = 16;
  std::uint64_t time_ns = 0;  ///< since 1970; classic files that are written keep microseconds
  ByteView data;
  std::uint32_t original_size = 0;  ///< bytes on the medium; more than `data`: cut off
  std::optional<LinkType> link{};   ///< nullopt: what the capture has one of
  PcapDirection direction = PcapDirection::kUnknown;  ///< only pcapng records it
  bool at_device = false;  ///< what is inbound is to the device: pcapng that is written here
  /// What a classic file gains by it: the record's header, and of `data` at most
  /// PcapHeader::kSnapLength bytes. `original_size` is taken from `data`.
  [[nodiscard]] Bytes encode() const;
};

/// pcapng, as it is written here: one section; interfaces in the order in which they are
/// described, named "device"; times in nanoseconds; packets whole, with their direction.
/// Source: draft-ietf-opsawg-pcapng.
[[nodiscard]] Bytes pcapng_section();
[[nodiscard]] Bytes pcapng_interface(LinkType link);
/// `interface` counts the descriptions before, from 0.
[[nodiscard]] Bytes pcapng_packet(std::uint32_t interface, const PcapPacket& packet);

/// The bytes of a file, in order.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills the front of `into`, which is not empty; 0: the end. Errors: the medium's.
  virtual Result<std::size_t> read(std::span<std::byte> into) = 0;
};

/// Bytes that are there already.
class ViewSource final : public ByteSource {
 public:
  explicit ViewSource(ByteView bytes) : rest_(bytes) {}
  Result<std::size_t> read(std::span<std::byte> into) override;

 private:
  ByteView rest_;
};

/// Reads a capture, pcap or pcapng, in either byte order, as it comes: memory follows the
/// largest packet, never the file.
///
/// Lifetime: the source outlives it. Locking: none.
class PcapReader {
 public:
  static constexpr std::uint32_t kMaxPacket = 1U << 20U;  ///< bytes; a whole DOE object
  static constexpr std::size_t kMaxInterfaces = 256;
  /// Errors: ENODATA when there is not one byte; EINVAL when the source is no capture or
  /// ends in its header; EOPNOTSUPP for compressed files, another version, or, in the
  /// classic format, other link types; the source's.
  static Result<PcapReader> open(ByteSource& source);
  /// nullopt: the end. What it views is there until the next call. In pcapng, packets of
  /// other link types come too, with the number of theirs. Errors: EINVAL when the record
  /// leaves the file or contradicts itself; E2BIG when it is longer than any DOE object;
  /// the source's. Nothing can be read after an error.
  Result<std::optional<PcapPacket>> next();

 private:
  struct Interface {
    LinkType link = LinkType::kPciDoe;
    std::uint64_t units_per_second = 1'000'000;
    std::uint64_t offset_ns = 0;  ///< two's complement
    bool at_device = false;
  };
  explicit PcapReader(ByteSource& source) : source_(&source) {}

  /// At least `size` bytes are in the buffer; false: the source ends before.
  Result<bool> fill(std::size_t size);
  [[nodiscard]] ByteView buffered() const { return ByteView(buffer_).subspan(begin_); }
  void drop(std::size_t size) { begin_ += size; }
  Result<void> skip(std::uint64_t size);
  [[nodiscard]] std::uint32_t u32(std::size_t at) const;
  [[nodiscard]] std::uint16_t u16(std::size_t at) const;
  [[nodiscard]] std::uint64_t u64(ByteView value) const;

  Result<void> open_classic(std::uint32_t magic);
  Result<std::optional<PcapPacket>> next_classic();
  Result<std::optional<PcapPacket>> next_block();
  Result<void> begin_section();
  Result<void> add_interface(std::uint32_t size);
  Result<std::optional<PcapPacket>> enhanced_packet(std::uint32_t size);
  Result<std::optional<PcapPacket>> simple_packet(std::uint32_t size);
  [[nodiscard]] std::optional<ByteView> option(std::size_t from, std::size_t end,
                                               std::uint16_t code) const;

  ByteSource* source_;
  Bytes buffer_;
  std::size_t begin_ = 0;    ///< of what is unread in the buffer
  std::size_t to_drop_ = 0;  ///< the record that was given out last
  bool swapped_ = false;
  bool blocks_ = false;  ///< pcapng
  Interface classic_;
  std::vector<Interface> interfaces_;
};

}  // namespace teeio::wire
