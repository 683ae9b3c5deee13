#include "wire/spdm_vendor_defined.h"

#include <utility>

#include "base/check.h"
#include "wire/append.h"
#include "wire/doe.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr unsigned kLarge = 0x80;  ///< param1, 1.4

/// The fields of either direction.
struct Envelope {
  bool large = false;
  std::uint16_t standard_id = 0;
  ByteView vendor_id;
  ByteView payload;
};

Envelope read_envelope(SpdmReader& r) {
  Envelope e;
  e.large = r.since(kSpdmVersion14) && (r.param1() & kLarge) != 0;
  e.standard_id = r.u16();
  e.vendor_id = r.take(r.u8());
  std::size_t size = r.u16();
  if (e.large) size = r.u32();
  e.payload = r.take(size);
  return e;
}

/// Everything but the payload, whose size is `size` and which there is room for.
Bytes begin_envelope(std::uint8_t version, SpdmCode code, const Envelope& e, std::size_t size) {
  const bool large = e.large && version >= kSpdmVersion14;
  TEEIO_CHECK(e.vendor_id.size() <= 0xff, "vendor ID has one byte for its length");
  TEEIO_CHECK(size <= 0xffff || (large && size <= 0xffffffff), "payload needs the large form");
  Bytes out;
  out.reserve(SpdmHeader::kSize + 9 + e.vendor_id.size() + size);
  append_le(out, version);
  append_le(out, std::to_underlying(code));
  append_le(out, static_cast<std::uint16_t>(large ? kLarge : 0U));  // param1, and param2
  append_le(out, e.standard_id);
  append_le(out, static_cast<std::uint8_t>(e.vendor_id.size()));
  append(out, e.vendor_id);
  append_le(out, static_cast<std::uint16_t>(large ? 0 : size));
  if (large) append_le(out, static_cast<std::uint32_t>(size));
  return out;
}

}  // namespace

template <SpdmCode Code>
Result<SpdmVendorDefined<Code>> SpdmVendorDefined<Code>::decode(ByteView in) {
  SpdmReader r(in, Code);
  const Envelope e = read_envelope(r);
  return r.finish(SpdmVendorDefined{
      .version = r.version(),
      .large = e.large,
      .standard_id = e.standard_id,
      .vendor_id = e.vendor_id,
      .payload = e.payload,
  });
}

template <SpdmCode Code>
Bytes SpdmVendorDefined<Code>::encode() const {
  Bytes out = begin_envelope(version, Code, {large, standard_id, vendor_id, {}}, payload.size());
  append(out, payload);
  return out;
}

template struct SpdmVendorDefined<SpdmCode::kVendorDefinedRequest>;
template struct SpdmVendorDefined<SpdmCode::kVendorDefinedResponse>;

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
  const SpdmCode code{header.code};
  if (code != SpdmCode::kVendorDefinedRequest && code != SpdmCode::kVendorDefinedResponse)
    return fail(Errno::kInval, "SPDM message is not vendor-defined");
  SpdmReader r(in, code);
  const Envelope e = read_envelope(r);
  if (!r.ok()) return fail(Errno::kInval, "vendor-defined message is shorter than it says");
  if (e.standard_id != kPciSigStandardId || e.vendor_id.size() != 2 ||
      Reader(e.vendor_id).le<std::uint16_t>() != kPciSigVendorId)
    return fail(Errno::kOpNotSupp, "vendor-defined message is not PCI-SIG's");
  if (e.payload.empty()) return fail(Errno::kInval, "vendor-defined message has no protocol byte");
  const auto protocol = std::to_integer<std::uint8_t>(e.payload.front());
  if (protocol > std::to_underlying(Protocol::kTdisp))
    return fail(Errno::kOpNotSupp, "protocol is neither IDE_KM nor TDISP");
  if (e.payload.size() - 1 > kMaxMessage) return fail(Errno::kTooBig, "message is too long");
  return VendorDefined{header.version, code, Protocol{protocol}, e.payload.subspan(1), e.large};
}

Bytes VendorDefined::encode() const {
  TEEIO_CHECK(message.size() <= kMaxMessage, "vendor-defined message is too long");
  const ByteView vendor = bytes_of(kPciSigVendorId);  // little-endian, as the wire is
  Bytes out =
      begin_envelope(version, code, {large, kPciSigStandardId, vendor, {}}, message.size() + 1);
  append_le(out, std::to_underlying(protocol));
  append(out, message);
  return out;
}

}  // namespace teeio::wire
