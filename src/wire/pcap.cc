// Both formats: what is written, and the classic one's reader.
#include "wire/pcap.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <string_view>

#include "wire/load.h"
#include "wire/pcapng_format.h"

namespace teeio::wire {
namespace {

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kPcapng = 0x0a0d0d0a;  ///< the same in either byte order
/// How compressed files begin, and what makes captures of them.
struct Compression {
  std::string_view begin;
  std::string_view how;
};
constexpr std::array<Compression, 4> kCompressions{{
    {"\x1f\x8b", "the file is compressed by gzip; decompress it: gunzip -c FILE | teeio decode -"},
    {"\xfd"
     "7zX",
     "the file is compressed by xz; decompress it: xz -dc FILE | teeio decode -"},
    {"\x28\xb5\x2f\xfd",
     "the file is compressed by zstd; decompress it: zstd -dc FILE | teeio decode -"},
    {"BZh", "the file is compressed by bzip2; decompress it: bzip2 -dc FILE | teeio decode -"},
}};

/// Empty: it is not compressed by any of them.
std::string_view decompression(ByteView file) {
  for (const auto& [begin, how] : kCompressions)
    if (file.size() >= begin.size() &&
        std::ranges::equal(file.first(begin.size()), std::as_bytes(std::span(begin))))
      return how;
  return {};
}

constexpr std::uint16_t kMajor = 2;
constexpr std::uint16_t kMinor = 4;
constexpr std::uint32_t kLinkMask = 0xffff;  ///< the upper bits are about checksums
constexpr std::size_t kReadBytes = 256 * 1024;

constexpr std::uint8_t kResolutionNs = 9;

Bytes block(std::uint32_t type, ByteView body) {
  const auto size = static_cast<std::uint32_t>(body.size() + 12);
  return Writer().le(type).le(size).bytes(body).le(size).take();
}

}  // namespace

Bytes PcapHeader::encode() const {
  Writer w;
  w.le(kMicroseconds).le(kMajor).le(kMinor).zeros(8).le(kSnapLength);
  w.le(static_cast<std::uint32_t>(link));
  return w.take();
}

Bytes PcapPacket::encode() const {
  const ByteView kept = data.first(std::min<std::size_t>(data.size(), PcapHeader::kSnapLength));
  Writer w;
  w.le(static_cast<std::uint32_t>(time_ns / pcapng::kSecondNs));
  w.le(static_cast<std::uint32_t>(time_ns % pcapng::kSecondNs / 1000));
  w.le(static_cast<std::uint32_t>(kept.size()));
  w.le(static_cast<std::uint32_t>(data.size())).bytes(kept);
  return w.take();
}

Bytes pcapng_section() {
  Writer body;
  body.le(pcapng::kByteOrder).le(std::uint16_t{1}).le(std::uint16_t{0}).le(~std::uint64_t{0});
  return block(kPcapng, body.take());
}

Bytes pcapng_interface(LinkType link) {
  Writer body;
  body.le(static_cast<std::uint16_t>(link)).zeros(2 + 4);
  body.le(pcapng::kOptionName).le(static_cast<std::uint16_t>(pcapng::kAtDevice.size()));
  body.bytes(std::as_bytes(std::span(pcapng::kAtDevice)));
  body.zeros((4 - pcapng::kAtDevice.size() % 4) % 4);
  body.le(pcapng::kOptionResolution).le(std::uint16_t{1}).le(kResolutionNs).zeros(3 + 4);
  return block(pcapng::kInterfaceBlock, body.take());
}

Bytes pcapng_packet(std::uint32_t interface, const PcapPacket& packet) {
  const auto size = static_cast<std::uint32_t>(packet.data.size());
  Writer body;
  body.le(interface).le(static_cast<std::uint32_t>(packet.time_ns >> 32U));
  body.le(static_cast<std::uint32_t>(packet.time_ns)).le(size).le(size).bytes(packet.data);
  body.zeros((4 - size % 4) % 4);
  body.le(pcapng::kOptionFlags).le(std::uint16_t{4});
  body.le(std::uint32_t{std::to_underlying(packet.direction)}).zeros(4);
  return block(pcapng::kEnhancedPacketBlock, body.take());
}

Result<std::size_t> ViewSource::read(std::span<std::byte> into) {
  const std::size_t size = std::min(into.size(), rest_.size());
  std::copy_n(rest_.begin(), size, into.begin());
  rest_ = rest_.subspan(size);
  return size;
}

Result<bool> PcapReader::fill(std::size_t size) {
  if (buffered().size() >= size) return true;
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  begin_ = 0;
  while (buffer_.size() < size) {
    const std::size_t have = buffer_.size();
    buffer_.resize(std::max(size, have + kReadBytes));
    const auto got = source_->read(std::span(buffer_).subspan(have));
    buffer_.resize(have + got.value_or(0));
    if (!got) return std::unexpected(got.error());
    if (*got == 0) return false;
  }
  return true;
}

Result<void> PcapReader::skip(std::uint64_t size) {
  while (size > 0) {
    TEEIO_ASSIGN(const bool there, fill(1));
    if (!there) return fail(Errno::kInval, "the capture ends inside of a block");
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffered().size()));
    drop(step);
    size -= step;
  }
  return {};
}

std::uint32_t PcapReader::u32(std::size_t at) const {
  const auto value = load_le<std::uint32_t>(buffered().subspan(at, 4));
  return swapped_ ? std::byteswap(value) : value;
}

std::uint16_t PcapReader::u16(std::size_t at) const {
  const auto value = load_le<std::uint16_t>(buffered().subspan(at, 2));
  return swapped_ ? std::byteswap(value) : value;
}

Result<PcapReader> PcapReader::open(ByteSource& source) {
  PcapReader reader(source);
  TEEIO_ASSIGN(const bool any, reader.fill(1));
  if (!any) return fail(Errno::kNoData, "the capture is empty: it has no header and no packet");
  TEEIO_ASSIGN(const bool whole, reader.fill(4));
  if (const std::string_view how = decompression(reader.buffered()); !how.empty())
    return fail(Errno::kOpNotSupp, how);
  if (!whole) return fail(Errno::kInval, "the file is no pcap capture");
  const std::uint32_t magic = reader.u32(0);
  reader.blocks_ = magic == kPcapng;
  if (reader.blocks_) {
    TEEIO_TRY(reader.begin_section());
  } else {
    TEEIO_TRY(reader.open_classic(magic));
  }
  return reader;
}

Result<void> PcapReader::open_classic(std::uint32_t magic) {
  swapped_ = magic == std::byteswap(kMicroseconds) || magic == std::byteswap(kNanoseconds);
  const std::uint32_t kind = swapped_ ? std::byteswap(magic) : magic;
  if (kind != kMicroseconds && kind != kNanoseconds)
    return fail(Errno::kInval, "the file is no pcap capture");
  TEEIO_ASSIGN(const bool whole, fill(PcapHeader::kSize));
  if (!whole) return fail(Errno::kInval, "the capture is shorter than its header");
  constexpr std::size_t kMajorAt = 4;
  constexpr std::size_t kLinkAt = 20;
  if (u16(kMajorAt) != kMajor) return fail(Errno::kOpNotSupp, "the capture's version is not 2");
  classic_ = {
      .link = LinkType{u32(kLinkAt) & kLinkMask},
      .units_per_second = kind == kNanoseconds ? pcapng::kSecondNs : pcapng::kSecondNs / 1000};
  if (classic_.link != LinkType::kMctp && classic_.link != LinkType::kPciDoe)
    return fail(Errno::kOpNotSupp, "the capture's link type is neither 291 (MCTP) nor 292 (DOE)");
  drop(PcapHeader::kSize);
  return {};
}

Result<std::optional<PcapPacket>> PcapReader::next() {
  drop(std::exchange(to_drop_, 0));
  return blocks_ ? next_block() : next_classic();
}

Result<std::optional<PcapPacket>> PcapReader::next_classic() {
  TEEIO_ASSIGN(const bool any, fill(1));
  if (!any) return std::nullopt;
  TEEIO_ASSIGN(const bool header, fill(PcapPacket::kHeaderSize));
  if (!header) return fail(Errno::kInval, "the capture ends inside of a packet's header");
  const std::uint64_t seconds = u32(0);
  const std::uint64_t fraction = u32(4);
  const std::uint32_t size = u32(8);
  const std::uint32_t original = u32(12);
  if (size > kMaxPacket)
    return fail(Errno::kTooBig, "the packet is longer than any DOE data object");
  TEEIO_ASSIGN(const bool whole, fill(PcapPacket::kHeaderSize + size));
  if (!whole) return fail(Errno::kInval, "the capture ends inside of a packet");
  to_drop_ = PcapPacket::kHeaderSize + size;
  return PcapPacket{.time_ns = seconds * pcapng::kSecondNs +
                               fraction * (pcapng::kSecondNs / classic_.units_per_second),
                    .data = buffered().subspan(PcapPacket::kHeaderSize, size),
                    .original_size = original,
                    .link = classic_.link};
}

}  // namespace teeio::wire
