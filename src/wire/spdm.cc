#include "wire/spdm.h"

#include <array>
#include <utility>

#include "base/check.h"

namespace teeio::wire {
namespace {

struct Row {
  SpdmCode code;
  std::string_view name;
};
constexpr std::array kRows{
    Row{SpdmCode::kVersion, "VERSION"},
    Row{SpdmCode::kVendorDefinedResponse, "VENDOR_DEFINED_RESPONSE"},
    Row{SpdmCode::kError, "SPDM_ERROR"},
    Row{SpdmCode::kGetVersion, "GET_VERSION"},
    Row{SpdmCode::kVendorDefinedRequest, "VENDOR_DEFINED_REQUEST"},
};

Writer begin(std::uint8_t version, SpdmCode code, std::uint8_t param1, std::uint8_t param2) {
  Writer w;
  w.le(version).le(std::to_underlying(code)).le(param1).le(param2);
  return w;
}

}  // namespace

std::string_view spdm_name(std::uint8_t code) {
  for (const Row& row : kRows)
    if (std::to_underlying(row.code) == code) return row.name;
  return "SPDM_UNKNOWN";
}

Result<SpdmHeader> SpdmHeader::decode(ByteView in) {
  Reader r(in);
  SpdmHeader header;
  header.version = r.le<std::uint8_t>();
  header.code = r.le<std::uint8_t>();
  header.param1 = r.le<std::uint8_t>();
  header.param2 = r.le<std::uint8_t>();
  if (!r.ok()) return fail(Errno::kInval, "SPDM header is short");
  if (header.version >> 4U != 1) return fail(Errno::kInval, "SPDM major version is not 1");
  return header;
}

Bytes encode_spdm_get_version() {
  return begin(kSpdmVersion10, SpdmCode::kGetVersion, 0, 0).take();
}

Result<SpdmVersionResponse> SpdmVersionResponse::decode(ByteView in) {
  TEEIO_ASSIGN(const SpdmHeader header, SpdmHeader::decode(in));
  if (header.code != std::to_underlying(SpdmCode::kVersion))
    return fail(Errno::kInval, "SPDM message is not VERSION");
  Reader r(in.subspan(SpdmHeader::kSize));
  r.skip(1);
  const std::size_t count = r.le<std::uint8_t>();
  SpdmVersionResponse response;
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    response.versions.push_back(static_cast<std::uint8_t>(r.le<std::uint16_t>() >> 8U));
  if (!r.ok()) return fail(Errno::kInval, "VERSION is shorter than its entry count says");
  return response;
}

Bytes SpdmVersionResponse::encode() const {
  TEEIO_CHECK(versions.size() <= 255, "VERSION has one byte for its entry count");
  Writer w = begin(kSpdmVersion10, SpdmCode::kVersion, 0, 0);
  w.zeros(1).le(static_cast<std::uint8_t>(versions.size()));
  for (const std::uint8_t version : versions) w.le(static_cast<std::uint16_t>(version << 8U));
  return w.take();
}

Result<SpdmError> SpdmError::decode(ByteView in) {
  TEEIO_ASSIGN(const SpdmHeader header, SpdmHeader::decode(in));
  if (header.code != std::to_underlying(SpdmCode::kError))
    return fail(Errno::kInval, "SPDM message is not ERROR");
  return SpdmError{header.version, header.param1, header.param2};
}

Bytes SpdmError::encode() const { return begin(version, SpdmCode::kError, code, data).take(); }

}  // namespace teeio::wire
