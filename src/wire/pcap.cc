#include "wire/pcap.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace teeio::wire {
namespace {

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kPcapng = 0x0a0d0d0a;  ///< the same in either byte order
constexpr std::uint16_t kMajor = 2;
constexpr std::uint16_t kMinor = 4;
constexpr std::uint32_t kLinkMask = 0x0fffffff;  ///< the upper bits are about checksums

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
  w.le(static_cast<std::uint32_t>(time_ns / 1000000000));
  w.le(static_cast<std::uint32_t>(time_ns % 1000000000 / 1000));
  w.le(static_cast<std::uint32_t>(kept.size()));
  w.le(static_cast<std::uint32_t>(data.size())).bytes(kept);
  return w.take();
}

Result<PcapReader> PcapReader::open(ByteView file) {
  Reader r(file);
  const auto magic = r.le<std::uint32_t>();
  const bool swapped =
      magic == std::byteswap(kMicroseconds) || magic == std::byteswap(kNanoseconds);
  const std::uint32_t kind = swapped ? std::byteswap(magic) : magic;
  if (r.ok() && kind == kPcapng)
    return fail(Errno::kOpNotSupp, "the file is pcapng; convert it with: editcap -F pcap");
  if (!r.ok() || (kind != kMicroseconds && kind != kNanoseconds))
    return fail(Errno::kInval, "the file is no pcap capture");
  auto major = r.le<std::uint16_t>();
  r.skip(2 + 8 + 4);
  auto link = r.le<std::uint32_t>();
  if (!r.ok()) return fail(Errno::kInval, "the capture is shorter than its header");
  if (swapped) {
    major = std::byteswap(major);
    link = std::byteswap(link);
  }
  if (major != kMajor) return fail(Errno::kOpNotSupp, "the capture's version is not 2");
  const LinkType type{link & kLinkMask};
  if (type != LinkType::kMctp && type != LinkType::kPciDoe)
    return fail(Errno::kOpNotSupp, "the capture's link type is neither 291 (MCTP) nor 292 (DOE)");
  return PcapReader(r.rest(), type, swapped, kind == kNanoseconds);
}

Result<PcapPacket> PcapReader::next() {
  TEEIO_CHECK(!done(), "the capture has no further packet");
  Reader r(rest_);
  const auto field = [&] {
    const auto value = r.le<std::uint32_t>();
    return swapped_ ? std::byteswap(value) : value;
  };
  const std::uint64_t seconds = field();
  const std::uint64_t fraction = field();
  const std::uint32_t size = field();
  PcapPacket packet;
  packet.original_size = field();
  if (!r.ok()) return fail(Errno::kInval, "the capture ends inside of a packet's header");
  if (size > kMaxPacket)
    return fail(Errno::kTooBig, "the packet is longer than any DOE data object");
  packet.time_ns = seconds * 1000000000 + (nanoseconds_ ? fraction : fraction * 1000);
  packet.data = r.take(size);
  if (!r.ok()) return fail(Errno::kInval, "the capture ends inside of a packet");
  rest_ = r.rest();
  return packet;
}

}  // namespace teeio::wire
