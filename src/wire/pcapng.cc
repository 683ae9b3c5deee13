// The reader's half for pcapng. Source: draft-ietf-opsawg-pcapng, 3 and 4.
#include <algorithm>
#include <bit>
#include <span>

#include "wire/load.h"
#include "wire/pcap.h"
#include "wire/pcapng_format.h"

namespace teeio::wire {
namespace {

constexpr std::uint32_t kSectionBlock = 0x0a0d0d0a;
/// Obsolete, as draft-ietf-opsawg-pcapng's appendix has it: an enhanced one whose interface's
/// number has 16 bits, with 16 of dropped packets behind them.
constexpr std::uint32_t kPacketBlock = 2;
constexpr std::uint32_t kSimplePacketBlock = 3;

constexpr std::size_t kTypeAndSize = 8;
constexpr std::size_t kTrailer = 4;  ///< the size again
/// Bytes of a block that is looked into: a packet, its header and its options.
constexpr std::uint32_t kMaxBlock = PcapReader::kMaxPacket + 0x10000;

constexpr std::size_t padded(std::size_t size) { return (size + 3) / 4 * 4; }

/// if_tsresol: a power of ten, or of two when bit 7 is set. Finer than what 64 bits hold is
/// taken for the finest that they do.
std::uint64_t units_of(std::byte resolution) {
  const auto raw = std::to_integer<unsigned>(resolution);
  const unsigned exponent = raw & 0x7fU;
  if ((raw & 0x80U) != 0) return std::uint64_t{1} << std::min(exponent, 63U);
  std::uint64_t units = 1;
  for (unsigned i = 0; i < std::min(exponent, 19U); ++i) units *= 10;
  return units;
}

std::uint64_t to_ns(std::uint64_t units, std::uint64_t per_second) {
  const std::uint64_t seconds = units / per_second;
  const std::uint64_t rest = units % per_second;
  const auto fraction =
      static_cast<std::uint64_t>(static_cast<double>(rest) * 1e9 / static_cast<double>(per_second));
  const std::uint64_t exact = per_second == pcapng::kSecondNs ? rest
                              : pcapng::kSecondNs % per_second == 0
                                  ? rest * (pcapng::kSecondNs / per_second)
                                  : fraction;
  return seconds * pcapng::kSecondNs + exact;
}

}  // namespace

/// A section header is next. Its byte order is its own.
Result<void> PcapReader::begin_section() {
  TEEIO_ASSIGN(const bool whole, fill(kTypeAndSize + 4));
  if (!whole) return fail(Errno::kInval, "the capture is shorter than its header");
  swapped_ = false;
  const std::uint32_t order = u32(kTypeAndSize);
  swapped_ = order == std::byteswap(pcapng::kByteOrder);
  if (!swapped_ && order != pcapng::kByteOrder)
    return fail(Errno::kInval, "a pcapng section has no byte order");
  const std::uint32_t size = u32(4);
  if (size < kTypeAndSize + 16 + kTrailer || size % 4 != 0)
    return fail(Errno::kInval, "a pcapng section's header has another size than it says");
  TEEIO_ASSIGN(const bool version, fill(kTypeAndSize + 6));
  if (!version) return fail(Errno::kInval, "the capture is shorter than its header");
  if (u16(kTypeAndSize + 4) != 1)
    return fail(Errno::kOpNotSupp, "the pcapng capture's version is not 1");
  interfaces_.clear();
  return skip(size);
}

Result<std::optional<PcapPacket>> PcapReader::next_block() {
  for (;;) {
    TEEIO_ASSIGN(const bool any, fill(1));
    if (!any) return std::nullopt;
    TEEIO_ASSIGN(const bool header, fill(kTypeAndSize));
    if (!header) return fail(Errno::kInval, "the capture ends inside of a block's header");
    const std::uint32_t type = u32(0);
    if (type == kSectionBlock) {
      TEEIO_TRY(begin_section());
      continue;
    }
    const std::uint32_t size = u32(4);
    if (size < kTypeAndSize + kTrailer || size % 4 != 0)
      return fail(Errno::kInval, "a pcapng block has another size than it says");
    if (type != pcapng::kInterfaceBlock && type != pcapng::kEnhancedPacketBlock &&
        type != kPacketBlock && type != kSimplePacketBlock) {
      TEEIO_TRY(skip(size));
      continue;
    }
    if (size > kMaxBlock)
      return fail(Errno::kTooBig, "the packet is longer than any DOE data object");
    TEEIO_ASSIGN(const bool whole, fill(size));
    if (!whole) return fail(Errno::kInval, "the capture ends inside of a packet");
    if (u32(size - kTrailer) != size)
      return fail(Errno::kInval, "a pcapng block has two different sizes");
    if (type == pcapng::kInterfaceBlock) {
      TEEIO_TRY(add_interface(size));
      drop(size);
      continue;
    }
    to_drop_ = size;
    return type == kSimplePacketBlock ? simple_packet(size) : enhanced_packet(size);
  }
}

/// The value of an option in `from`…`end`; malformed options are as none.
std::optional<ByteView> PcapReader::option(std::size_t from, std::size_t end,
                                           std::uint16_t code) const {
  while (from + 4 <= end) {
    const std::uint16_t found = u16(from);
    const std::size_t size = u16(from + 2);
    if (found == 0 || from + 4 + size > end) return std::nullopt;
    if (found == code) return buffered().subspan(from + 4, size);
    from += 4 + padded(size);
  }
  return std::nullopt;
}

std::uint64_t PcapReader::u64(ByteView value) const {
  const auto number = load_le<std::uint64_t>(value);
  return swapped_ ? std::byteswap(number) : number;
}

Result<void> PcapReader::add_interface(std::uint32_t size) {
  constexpr std::size_t kFixed = kTypeAndSize + 8;
  if (size < kFixed + kTrailer)
    return fail(Errno::kInval, "a pcapng interface's description is too short");
  if (interfaces_.size() == kMaxInterfaces)
    return fail(Errno::kTooBig, "the pcapng section has too many interfaces");
  Interface interface{.link = LinkType{u16(kTypeAndSize)}};
  if (const auto value = option(kFixed, size - kTrailer, pcapng::kOptionResolution);
      value && value->size() == 1)
    interface.units_per_second = units_of(value->front());
  if (const auto value = option(kFixed, size - kTrailer, pcapng::kOptionOffset);
      value && value->size() == 8)
    interface.offset_ns = u64(*value) * pcapng::kSecondNs;
  const auto name = option(kFixed, size - kTrailer, pcapng::kOptionName);
  interface.at_device =
      name && std::ranges::equal(*name, std::as_bytes(std::span(pcapng::kAtDevice)));
  interfaces_.push_back(interface);
  return {};
}

Result<std::optional<PcapPacket>> PcapReader::enhanced_packet(std::uint32_t size) {
  constexpr std::size_t kFixed = kTypeAndSize + 20;
  if (size < kFixed + kTrailer) return fail(Errno::kInval, "a pcapng packet's block is too short");
  const std::uint32_t number = u32(0) == kPacketBlock ? u16(kTypeAndSize) : u32(kTypeAndSize);
  if (number >= interfaces_.size())
    return fail(Errno::kInval, "a pcapng packet names an interface that is not described");
  const Interface& interface = interfaces_[number];
  const std::uint64_t units = std::uint64_t{u32(kTypeAndSize + 4)} << 32U | u32(kTypeAndSize + 8);
  const std::uint32_t captured = u32(kTypeAndSize + 12);
  if (captured > kMaxPacket)
    return fail(Errno::kTooBig, "the packet is longer than any DOE data object");
  const std::size_t options = kFixed + padded(captured);
  if (options + kTrailer > size) return fail(Errno::kInval, "a pcapng packet leaves its block");
  PcapPacket packet{.time_ns = to_ns(units, interface.units_per_second) + interface.offset_ns,
                    .data = buffered().subspan(kFixed, captured),
                    .original_size = u32(kTypeAndSize + 16),
                    .link = interface.link,
                    .at_device = interface.at_device};
  if (const auto value = option(options, size - kTrailer, pcapng::kOptionFlags);
      value && value->size() == 4) {
    const auto at = static_cast<std::size_t>(value->data() - buffered().data());
    const std::uint32_t direction = u32(at) & 3U;
    if (direction <= std::to_underlying(PcapDirection::kOutbound))
      packet.direction = PcapDirection{static_cast<std::uint8_t>(direction)};
  }
  return packet;
}

Result<std::optional<PcapPacket>> PcapReader::simple_packet(std::uint32_t size) {
  constexpr std::size_t kFixed = kTypeAndSize + 4;
  if (size < kFixed + kTrailer || interfaces_.empty())
    return fail(Errno::kInval, "a simple pcapng packet has no interface or is too short");
  const std::uint32_t original = u32(kTypeAndSize);
  const auto room = static_cast<std::uint32_t>(size - kFixed - kTrailer);
  const std::uint32_t captured = std::min(original, room);
  if (captured > kMaxPacket)
    return fail(Errno::kTooBig, "the packet is longer than any DOE data object");
  return PcapPacket{.data = buffered().subspan(kFixed, captured),
                    .original_size = original,
                    .link = interfaces_.front().link};
}

}  // namespace teeio::wire
