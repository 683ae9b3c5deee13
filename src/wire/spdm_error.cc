#include "wire/spdm_error.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

/// Extended data of a code.
struct ExtendedSize {
  std::size_t size_bytes;
  bool required;  ///< the requester cannot go on without it
};
/// nullopt: the code does not fix its size. A responder may leave out the size that
/// would have been needed, as libspdm does in answer to CHUNK_GET.
std::optional<ExtendedSize> extended_size(std::uint8_t code) {
  switch (code) {
    case std::to_underlying(SpdmErrorCode::kResponseNotReady):
      return ExtendedSize{4, true};
    case std::to_underlying(SpdmErrorCode::kLargeResponse):
      return ExtendedSize{1, true};
    case std::to_underlying(SpdmErrorCode::kResponseTooLarge):
    case std::to_underlying(SpdmErrorCode::kDataTooLarge):
      return ExtendedSize{4, false};
    default:
      return std::nullopt;
  }
}

/// How much to take of `left` bytes.
std::size_t extended_bytes(std::uint8_t code, std::size_t left) {
  const auto size = extended_size(code);
  if (!size) return std::min(left, SpdmError::kMaxExtended);
  return size->required || left >= size->size_bytes ? size->size_bytes : 0;
}

}  // namespace

std::string_view spdm_error_name(std::uint8_t code) {
  switch (SpdmErrorCode{code}) {
    case SpdmErrorCode::kInvalidRequest:
      return "InvalidRequest";
    case SpdmErrorCode::kBusy:
      return "Busy";
    case SpdmErrorCode::kUnexpectedRequest:
      return "UnexpectedRequest";
    case SpdmErrorCode::kUnspecified:
      return "Unspecified";
    case SpdmErrorCode::kDecryptError:
      return "DecryptError";
    case SpdmErrorCode::kUnsupportedRequest:
      return "UnsupportedRequest";
    case SpdmErrorCode::kRequestInFlight:
      return "RequestInFlight";
    case SpdmErrorCode::kInvalidResponseCode:
      return "InvalidResponseCode";
    case SpdmErrorCode::kSessionLimitExceeded:
      return "SessionLimitExceeded";
    case SpdmErrorCode::kSessionRequired:
      return "SessionRequired";
    case SpdmErrorCode::kResetRequired:
      return "ResetRequired";
    case SpdmErrorCode::kResponseTooLarge:
      return "ResponseTooLarge";
    case SpdmErrorCode::kRequestTooLarge:
      return "RequestTooLarge";
    case SpdmErrorCode::kLargeResponse:
      return "LargeResponse";
    case SpdmErrorCode::kMessageLost:
      return "MessageLost";
    case SpdmErrorCode::kInvalidPolicy:
      return "InvalidPolicy";
    case SpdmErrorCode::kDataTooLarge:
      return "DataTooLarge";
    case SpdmErrorCode::kVersionMismatch:
      return "VersionMismatch";
    case SpdmErrorCode::kResponseNotReady:
      return "ResponseNotReady";
    case SpdmErrorCode::kRequestResynch:
      return "RequestResynch";
    case SpdmErrorCode::kOperationFailed:
      return "OperationFailed";
    case SpdmErrorCode::kNoPendingRequests:
      return "NoPendingRequests";
    case SpdmErrorCode::kRequestSessionTerminated:
      return "RequestSessionTerminated";
    case SpdmErrorCode::kInvalidState:
      return "InvalidState";
    case SpdmErrorCode::kVendorDefined:
      return "VendorDefined";
  }
  return "SPDM_ERROR_UNKNOWN";
}

Result<SpdmError> SpdmError::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmError m{.version = r.version(), .code = r.param1(), .data = r.param2()};
  m.extended = r.take(extended_bytes(m.code, in.size() - std::min(in.size(), r.offset())));
  return r.finish(m);
}

Bytes SpdmError::encode() const {
  TEEIO_CHECK(extended.size() <= kMaxExtended, "ERROR has at most 32 bytes of extended data");
  return begin_spdm(version, kCode, code, data).bytes(extended).take();
}

Result<SpdmNotReady> SpdmNotReady::decode(ByteView extended) {
  Reader r(extended);
  SpdmNotReady m;
  m.delay_exponent = r.le<std::uint8_t>();
  m.request_code = r.le<std::uint8_t>();
  m.token = r.le<std::uint8_t>();
  m.delay_multiplier = r.le<std::uint8_t>();
  if (!r.ok()) return fail(Errno::kInval, "ResponseNotReady has too little extended data");
  return m;
}

Bytes SpdmNotReady::encode() const {
  return Writer{}.le(delay_exponent).le(request_code).le(token).le(delay_multiplier).take();
}

Result<SpdmLargeResponse> SpdmLargeResponse::decode(ByteView extended) {
  if (extended.empty()) return fail(Errno::kInval, "LargeResponse has no handle");
  return SpdmLargeResponse{std::to_integer<std::uint8_t>(extended.front())};
}

Bytes SpdmLargeResponse::encode() const { return Writer{}.le(handle).take(); }

Result<SpdmTooLarge> SpdmTooLarge::decode(ByteView extended) {
  Reader r(extended);
  const SpdmTooLarge m{r.le<std::uint32_t>()};
  if (!r.ok()) return fail(Errno::kInval, "the error has no size in its extended data");
  return m;
}

Bytes SpdmTooLarge::encode() const { return Writer{}.le(size).take(); }

Result<SpdmVendorError> SpdmVendorError::decode(ByteView extended) {
  Reader r(extended);
  SpdmVendorError m;
  m.vendor_id = r.take(r.le<std::uint8_t>());
  if (!r.ok()) return fail(Errno::kInval, "vendor-defined error is shorter than its vendor ID");
  m.opaque = r.rest();
  return m;
}

Bytes SpdmVendorError::encode() const {
  TEEIO_CHECK(vendor_id.size() < SpdmError::kMaxExtended, "vendor ID does not fit an ERROR");
  return Writer{}
      .le(static_cast<std::uint8_t>(vendor_id.size()))
      .bytes(vendor_id)
      .bytes(opaque)
      .take();
}

Result<SpdmRespondIfReady> SpdmRespondIfReady::decode(ByteView in) {
  const SpdmReader r(in, kCode);
  return r.finish(
      SpdmRespondIfReady{.version = r.version(), .request_code = r.param1(), .token = r.param2()});
}

Bytes SpdmRespondIfReady::encode() const {
  return begin_spdm(version, kCode, request_code, token).take();
}

}  // namespace teeio::wire
