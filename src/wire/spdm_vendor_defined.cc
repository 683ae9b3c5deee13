#include "wire/spdm_vendor_defined.h"

#include <utility>

#include "base/check.h"
#include "wire/doe.h"

namespace teeio::wire {
namespace {

bool is_vendor_defined(std::uint8_t code) {
  return code == std::to_underlying(SpdmCode::kVendorDefinedRequest) ||
         code == std::to_underlying(SpdmCode::kVendorDefinedResponse);
}

}  // namespace

std::string_view protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::kIdeKm:
      return "IDE_KM";
    case Protocol::kTdisp:
      return "TDISP";
  }
  std::unreachable();
}

Result<VendorDefined> VendorDefined::decode(ByteView in) {
  TEEIO_ASSIGN(const SpdmHeader header, SpdmHeader::decode(in));
  if (!is_vendor_defined(header.code))
    return fail(Errno::kInval, "SPDM message is not vendor-defined");
  Reader r(in.subspan(SpdmHeader::kSize));
  const auto standard_id = r.le<std::uint16_t>();
  const ByteView vendor = r.take(r.le<std::uint8_t>());
  const ByteView payload = r.take(r.le<std::uint16_t>());
  if (!r.ok()) return fail(Errno::kInval, "vendor-defined message is shorter than it says");
  if (standard_id != kPciSigStandardId || vendor.size() != 2 ||
      Reader(vendor).le<std::uint16_t>() != kPciSigVendorId)
    return fail(Errno::kOpNotSupp, "vendor-defined message is not PCI-SIG's");
  if (payload.empty()) return fail(Errno::kInval, "vendor-defined message has no protocol byte");
  const auto protocol = std::to_integer<std::uint8_t>(payload.front());
  if (protocol > std::to_underlying(Protocol::kTdisp))
    return fail(Errno::kOpNotSupp, "protocol is neither IDE_KM nor TDISP");
  if (payload.size() - 1 > kMaxMessage) return fail(Errno::kTooBig, "message is too long");
  return VendorDefined{header.version, SpdmCode{header.code}, Protocol{protocol},
                       payload.subspan(1)};
}

Bytes VendorDefined::encode() const {
  TEEIO_CHECK(message.size() <= kMaxMessage, "vendor-defined message is too long");
  Writer w;
  w.le(version).le(std::to_underlying(code)).zeros(2);
  w.le(kPciSigStandardId).le(std::uint8_t{2}).le(kPciSigVendorId);
  w.le(static_cast<std::uint16_t>(1 + message.size()));
  w.le(std::to_underlying(protocol)).bytes(message);
  return w.take();
}

}  // namespace teeio::wire
