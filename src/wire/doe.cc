#include "wire/doe.h"

#include "base/check.h"
#include "wire/append.h"
#include "wire/load.h"

namespace teeio::wire {
namespace {

constexpr std::uint32_t kLengthMask = (1U << 18U) - 1;
constexpr unsigned kConnectionShift = 18;
constexpr std::uint32_t kConnectionMask = 0xfff;

}  // namespace

Result<DoeObject> DoeObject::decode(ByteView in) {
  if (in.size() < kHeaderSize)
    return fail(Errno::kInval, "DOE data object is shorter than its header");
  const auto second = load_le<std::uint32_t>(in.subspan(4));
  const std::size_t dwords = second & kLengthMask;
  const std::size_t size = dwords == 0 ? kMaxSize : dwords * 4;
  if (size != in.size()) return fail(Errno::kInval, "DOE length field and size differ");
  return DoeObject{
      .vendor_id = load_le<std::uint16_t>(in),
      .type = std::to_integer<std::uint8_t>(in[2]),
      .payload = in.subspan(kHeaderSize),
      .connection = static_cast<std::uint16_t>(second >> kConnectionShift & kConnectionMask)};
}

Bytes DoeObject::encode() const {
  const std::size_t size = (kHeaderSize + payload.size() + 3) / 4 * 4;
  TEEIO_CHECK(size <= kMaxSize, "DOE data object is too long");
  Bytes out;
  out.reserve(size);
  append_le(out, vendor_id);
  append_le(out, static_cast<std::uint16_t>(type));  // and a reserved byte
  append_le(out, (static_cast<std::uint32_t>(size / 4) & kLengthMask) |
                     (connection & kConnectionMask) << kConnectionShift);
  append(out, payload);
  out.resize(size);
  return out;
}

Result<DoeDiscoveryRequest> DoeDiscoveryRequest::decode(ByteView payload) {
  if (payload.size() != 4) return fail(Errno::kInval, "DOE discovery request is not one DWORD");
  return DoeDiscoveryRequest{Reader(payload).le<std::uint8_t>()};
}

Bytes DoeDiscoveryRequest::encode() const { return Writer().le(index).zeros(3).take(); }

Result<DoeDiscoveryResponse> DoeDiscoveryResponse::decode(ByteView payload) {
  if (payload.size() != 4) return fail(Errno::kInval, "DOE discovery response is not one DWORD");
  Reader r(payload);
  DoeDiscoveryResponse response;
  response.vendor_id = r.le<std::uint16_t>();
  response.type = r.le<std::uint8_t>();
  response.next_index = r.le<std::uint8_t>();
  return response;
}

Bytes DoeDiscoveryResponse::encode() const {
  return Writer().le(vendor_id).le(type).le(next_index).take();
}

}  // namespace teeio::wire
