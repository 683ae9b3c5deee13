#include "device/tdisp_responder.h"

#include <fmt/format.h>

#include <utility>

namespace teeio::device {
namespace {

using wire::TdispCode;
using wire::TdispError;

constexpr std::uint8_t kAddressWidth = 52;  // bits

std::unexpected<TdispRefusal> refuse(TdispError code, std::string_view why,
                                     std::uint32_t data = 0) {
  return std::unexpected(TdispRefusal{code, why, data});
}

constexpr TdispCode kSupported[] = {
    TdispCode::kGetVersion,
    TdispCode::kGetCapabilities,
    TdispCode::kLockInterface,
    TdispCode::kGetDeviceInterfaceReport,
    TdispCode::kGetDeviceInterfaceState,
    TdispCode::kStartInterface,
    TdispCode::kStopInterface,
};

bool supported(std::uint8_t code) {
  return std::ranges::find(kSupported, TdispCode{code}) != std::end(kSupported);
}

wire::TdispCapabilities capabilities() {
  wire::TdispCapabilities answer;
  for (const TdispCode code : kSupported) {
    const unsigned bit = std::to_underlying(code) - 0x80U;
    answer.requests.at(bit / 8) |= static_cast<std::uint8_t>(1U << bit % 8);
  }
  answer.lock_flags = Tdi::kLockFlags;
  answer.address_width = kAddressWidth;
  return answer;
}

/// What a chart shows beside the request's name.
std::string describe(const wire::TdispBody& body) {
  if (const auto* lock = std::get_if<wire::TdispLockInterface>(&body))
    return fmt::format("stream={} flags={:#x} offset={:#x}", lock->default_stream_id, lock->flags,
                       lock->mmio_reporting_offset);
  if (const auto* report = std::get_if<wire::TdispGetInterfaceReport>(&body))
    return fmt::format("offset={} length={}", report->offset, report->length);
  return {};
}

}  // namespace

Bytes TdispResponder::answer(ByteView request) {
  const wire::TdispHeader header = wire::TdispHeader::decode(request).value();
  const ByteView body = request.subspan(wire::TdispHeader::kSize);
  const auto decoded = wire::decode_tdisp_body(header.type, body);
  auto call = trace_.call(object::Lane::kDevice, wire::tdisp_name(header.type),
                          {.detail = decoded ? describe(*decoded) : std::string(),
                           .function = Bdf::from_rid(header.function_id.rid(), domain_)});
  auto result = handle(header, body);
  if (result) return wire::encode_tdisp({header.function_id, std::move(*result)});
  const TdispRefusal& refusal = result.error();
  const auto code = std::to_underlying(refusal.code);
  call.refuse(wire::tdisp_error_name(code), refusal.why);
  return wire::encode_tdisp({header.function_id, wire::TdispErrorResponse{code, refusal.data, {}}});
}

TdispResult<wire::TdispBody> TdispResponder::handle(const wire::TdispHeader& header,
                                                    ByteView body) {
  Tdi* tdi = find(header.function_id);
  if (!tdi) return refuse(TdispError::kInvalidInterface, "no function of this card has that id");
  const bool asks_version = header.type == std::to_underlying(TdispCode::kGetVersion);
  if (header.version != wire::kTdispVersion10 && !asks_version)
    return refuse(TdispError::kVersionMismatch, "only TDISP 1.0 is spoken");
  if (!supported(header.type))
    return refuse(TdispError::kUnsupportedRequest, "request is not supported", header.type);
  const auto request = wire::decode_tdisp_body(header.type, body);
  if (!request) return refuse(request.error(), "request has the wrong length");
  return dispatch(*tdi, *request);
}

TdispResult<wire::TdispBody> TdispResponder::dispatch(Tdi& tdi, const wire::TdispBody& request) {
  if (std::holds_alternative<wire::TdispGetVersion>(request))
    return wire::TdispVersion{{wire::kTdispVersion10}};
  if (std::holds_alternative<wire::TdispGetCapabilities>(request)) return capabilities();
  if (const auto* m = std::get_if<wire::TdispLockInterface>(&request)) return lock(tdi, *m);
  if (const auto* m = std::get_if<wire::TdispGetInterfaceReport>(&request))
    return tdi.report(m->offset, m->length);
  if (std::holds_alternative<wire::TdispGetInterfaceState>(request))
    return wire::TdispInterfaceState{tdi.view().state};
  if (const auto* m = std::get_if<wire::TdispStartInterface>(&request)) {
    if (const auto started = tdi.start(m->nonce); !started) return std::unexpected(started.error());
    return wire::TdispStartInterfaceResponse{};
  }
  tdi.stop();  // the last one that is supported()
  return wire::TdispStopInterfaceResponse{};
}

TdispResult<wire::TdispBody> TdispResponder::lock(Tdi& tdi,
                                                  const wire::TdispLockInterface& request) {
  if (tdi.view().state != TdiState::kConfigUnlocked)
    return refuse(TdispError::kInvalidInterfaceState, "TDI is not CONFIG_UNLOCKED");
  if (!ide_.secure(request.default_stream_id))
    return refuse(TdispError::kInvalidRequest,
                  "the default stream is not enabled with all its keys in use");
  auto nonce = tdi.lock(request);
  if (!nonce) return std::unexpected(nonce.error());
  return wire::TdispLockInterfaceResponse{*nonce};
}

Tdi* TdispResponder::find(wire::TdispFunctionId id) const {
  const auto segment = id.segment();
  if (segment && *segment != static_cast<std::uint8_t>(domain_)) return nullptr;
  for (Tdi* tdi : tdis_)
    if (tdi->bdf().rid() == id.rid()) return tdi;
  return nullptr;
}

}  // namespace teeio::device
