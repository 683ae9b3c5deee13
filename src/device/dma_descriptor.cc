#include "device/dma_descriptor.h"

#include <utility>

namespace teeio::device {
namespace {

constexpr std::uint32_t kKnownFlags =
    0x7U | DmaDescriptor::kFlagTrusted | DmaDescriptor::kFlagInterrupt | DmaDescriptor::kFlagPasid;

}  // namespace

std::expected<DmaDescriptor, DmaError> DmaDescriptor::decode(ByteView in) {
  Reader r(in);
  DmaDescriptor d;
  const auto flags = r.le<std::uint32_t>();
  d.length = r.le<std::uint32_t>();
  d.source = r.le<std::uint64_t>();
  d.destination = r.le<std::uint64_t>();
  r.skip(4);  // status: the device's to write
  const auto pasid = r.le<std::uint32_t>();
  const bool named = (flags & kFlagPasid) != 0;
  const bool pasid_fits = named ? pasid >> hw::kPasidBits == 0 : pasid == 0;
  const std::uint32_t source = flags & 0x3U;
  const bool sane = (flags & ~kKnownFlags) == 0 && pasid_fits &&
                    source <= std::to_underlying(Source::kFill) && d.length >= 1 &&
                    d.length <= kMaxLength;
  if (!sane) return std::unexpected(DmaError::kMalformed);
  d.source_kind = Source{static_cast<std::uint8_t>(source)};
  d.destination_kind = Destination{static_cast<std::uint8_t>(flags >> 2U & 1U)};
  d.t = (flags & kFlagTrusted) != 0 ? hw::TBit::kTrusted : hw::TBit::kShared;
  d.interrupt = (flags & kFlagInterrupt) != 0;
  if (named) d.pasid = hw::Pasid{pasid};
  return d;
}

Bytes DmaDescriptor::encode() const {
  const std::uint32_t flags = std::to_underlying(source_kind) |
                              static_cast<std::uint32_t>(destination_kind) << 2U |
                              (t == hw::TBit::kTrusted ? kFlagTrusted : 0U) |
                              (interrupt ? kFlagInterrupt : 0U) | (pasid ? kFlagPasid : 0U);
  const std::uint32_t space = pasid ? std::to_underlying(*pasid) : 0;
  return Writer().le(flags).le(length).le(source).le(destination).zeros(4).le(space).take();
}

}  // namespace teeio::device
