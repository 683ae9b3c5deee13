#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// What packets of a capture are. Source: tcpdump.org's list of link-layer types.
enum class LinkType : std::uint32_t {
  kMctp = 291,    ///< an MCTP packet: MctpPacketHeader, then a message
  kPciDoe = 292,  ///< a DOE data object
};

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
  std::uint64_t time_ns = 0;  ///< since 1970; the writer's files keep microseconds
  ByteView data;
  std::uint32_t original_size = 0;  ///< bytes on the medium; more than `data`: cut off
  /// What a file gains by it: the record's header, and of `data` at most
  /// PcapHeader::kSnapLength bytes. `original_size` is taken from `data`.
  [[nodiscard]] Bytes encode() const;
};

/// Reads a capture in either byte order, with micro- or nanoseconds.
///
/// Lifetime: views the bytes that open() was given.
class PcapReader {
 public:
  static constexpr std::uint32_t kMaxPacket = 1U << 20U;  ///< bytes; a whole DOE object
  /// Errors: EINVAL when `file` is shorter than a header or no pcap file;
  /// EOPNOTSUPP for pcapng, another version, or other link types.
  static Result<PcapReader> open(ByteView file);
  [[nodiscard]] LinkType link() const { return link_; }
  /// At the end of the file.
  [[nodiscard]] bool done() const { return rest_.empty(); }
  /// Precondition: !done(). Errors: EINVAL when the record leaves the file; E2BIG
  /// when it is longer than any DOE object. Nothing can be read after an error.
  Result<PcapPacket> next();

 private:
  PcapReader(ByteView rest, LinkType link, bool swapped, bool nanoseconds)
      : rest_(rest), link_(link), swapped_(swapped), nanoseconds_(nanoseconds) {}
  ByteView rest_;
  LinkType link_;
  bool swapped_;
  bool nanoseconds_;
};

}  // namespace teeio::wire
