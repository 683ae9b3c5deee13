#include "device/tdisp_responder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace teeio::device {
namespace {

using wire::TdispCode;
using wire::TdispError;

constexpr std::uint8_t kAddressWidth = 52;  // bits
constexpr std::byte kVdmEcho{1};            // first byte of a vendor message: send it back

std::unexpected<TdispRefusal> refuse(TdispError code, std::string_view why,
                                     std::uint32_t data = 0) {
  return std::unexpected(TdispRefusal{code, why, data});
}

/// All requests of TDISP 1.0.
bool supported(std::uint8_t code) {
  const auto row = std::ranges::find(wire::kTdispMessages, TdispCode{code}, &wire::TdispRow::code);
  return row != wire::kTdispMessages.end() && row->request;
}

/// Requests that may come over any session, whoever locked the TDI.
bool looks_only(std::uint8_t code) {
  return code == std::to_underlying(TdispCode::kGetVersion) ||
         code == std::to_underlying(TdispCode::kGetCapabilities) ||
         code == std::to_underlying(TdispCode::kGetDeviceInterfaceState);
}

wire::TdispCapabilities capabilities() {
  wire::TdispCapabilities answer;
  for (const wire::TdispRow& row : wire::kTdispMessages) {
    if (!row.request) continue;
    const unsigned bit = std::to_underlying(row.code) - 0x80U;
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
  if (const auto* bind = std::get_if<wire::TdispBindP2pStream>(&body))
    return fmt::format("stream={}", bind->stream_id);
  if (const auto* unbind = std::get_if<wire::TdispUnbindP2pStream>(&body))
    return fmt::format("stream={}", unbind->stream_id);
  if (const auto* set = std::get_if<wire::TdispSetMmioAttribute>(&body))
    return fmt::format("range={} attributes={:#x}", set->range.range_id, set->range.attributes);
  return {};
}

Bytes vendor_id() { return Writer().le(TdispResponder::kVendorId).take(); }

/// What VENDOR_SPECIFIC_ERROR carries: registry, length of the ID, ID, data.
/// Source: libspdm pci_tdisp.h, pci_tdisp_extended_error_data_t.
Bytes vendor_error(std::uint8_t data) {
  constexpr std::uint8_t kPciSig = 0;
  return Writer().le(kPciSig).le(std::uint8_t{2}).bytes(vendor_id()).le(data).take();
}

}  // namespace

Bytes TdispResponder::answer(ByteView request, std::uint32_t session) {
  const wire::TdispHeader header = wire::TdispHeader::decode(request).value();
  const ByteView body = request.subspan(wire::TdispHeader::kSize);
  const auto decoded = wire::decode_tdisp_body(header.type, body);
  auto call = trace_.call(object::Lane::kDevice, wire::tdisp_name(header.type),
                          {.detail = decoded ? describe(*decoded) : std::string(),
                           .function = Bdf::from_rid(header.function_id.rid(), domain_)});
  auto result = handle(header, body, session);
  if (result) return wire::encode_tdisp({header.function_id, std::move(*result)});
  TdispRefusal& refusal = result.error();
  const auto code = std::to_underlying(refusal.code);
  call.refuse(wire::tdisp_error_name(code), refusal.why);
  return wire::encode_tdisp(
      {header.function_id,
       wire::TdispErrorResponse{code, refusal.data, std::move(refusal.extended)}});
}

TdispResponder::Answer TdispResponder::handle(const wire::TdispHeader& header, ByteView body,
                                              std::uint32_t session) {
  Tdi* tdi = find(header.function_id);
  if (!tdi) return refuse(TdispError::kInvalidInterface, "no function of this card has that id");
  const bool asks_version = header.type == std::to_underlying(TdispCode::kGetVersion);
  if (header.version != wire::kTdispVersion10 && !asks_version)
    return refuse(TdispError::kVersionMismatch, "only TDISP 1.0 is spoken");
  if (!supported(header.type))
    return refuse(TdispError::kUnsupportedRequest, "request is not supported", header.type);
  const auto request = wire::decode_tdisp_body(header.type, body);
  if (!request) return refuse(request.error(), "request has the wrong length");
  if (!legal_in(TdispCode{header.type}, tdi->view().state))
    return refuse(TdispError::kInvalidInterfaceState, "the TDI's state does not allow the request");
  if (!looks_only(header.type) && tdi->session().value_or(session) != session)
    return refuse(TdispError::kInvalidRequest, "the TDI is locked over another SPDM session");
  return std::visit([&](const auto& m) { return on({*tdi, session}, m); }, *request);
}

TdispResponder::Answer TdispResponder::on(const To&, const wire::TdispGetVersion&) {
  return wire::TdispVersion{{wire::kTdispVersion10}};
}

TdispResponder::Answer TdispResponder::on(const To&, const wire::TdispGetCapabilities&) {
  return capabilities();
}

TdispResponder::Answer TdispResponder::on(const To& to, const wire::TdispLockInterface& request) {
  if (const auto fault = ide_.lock_fault(request.default_stream_id, to.session))
    return refuse(TdispError::kInvalidRequest, *fault);
  auto nonce = to.tdi.lock(request, to.session);
  if (!nonce) return std::unexpected(nonce.error());
  return wire::TdispLockInterfaceResponse{*nonce};
}

TdispResponder::Answer TdispResponder::on(const To& to,
                                          const wire::TdispGetInterfaceReport& request) {
  return to.tdi.report(request.offset, request.length);
}

TdispResponder::Answer TdispResponder::on(const To& to, const wire::TdispGetInterfaceState&) {
  return wire::TdispInterfaceState{to.tdi.view().state};
}

TdispResponder::Answer TdispResponder::on(const To& to, const wire::TdispStartInterface& request) {
  if (const auto done = to.tdi.start(request.nonce); !done) return std::unexpected(done.error());
  return wire::TdispStartInterfaceResponse{};
}

TdispResponder::Answer TdispResponder::on(const To& to, const wire::TdispStopInterface&) {
  to.tdi.stop();
  return wire::TdispStopInterfaceResponse{};
}

TdispResponder::Answer TdispResponder::on(const To& to, const wire::TdispBindP2pStream& request) {
  if (const auto fault = ide_.lock_fault(request.stream_id, to.session))
    return refuse(TdispError::kInvalidRequest, *fault);
  if (const auto done = to.tdi.bind_p2p(request.stream_id); !done)
    return std::unexpected(done.error());
  return wire::TdispBindP2pStreamResponse{};
}

TdispResponder::Answer TdispResponder::on(const To& to, const wire::TdispUnbindP2pStream& request) {
  if (const auto done = to.tdi.unbind_p2p(request.stream_id); !done)
    return std::unexpected(done.error());
  return wire::TdispUnbindP2pStreamResponse{};
}

TdispResponder::Answer TdispResponder::on(const To& to,
                                          const wire::TdispSetMmioAttribute& request) {
  if (const auto done = to.tdi.set_mmio_attribute(request.range); !done)
    return std::unexpected(done.error());
  return wire::TdispSetMmioAttributeResponse{};
}

TdispResponder::Answer TdispResponder::on(const To&, const wire::TdispVdm& request) {
  constexpr std::uint8_t kPciSig = 0;
  if (request.registry_id != kPciSig || request.vendor_id != vendor_id())
    return refuse(TdispError::kUnsupportedRequest, "the message is of another vendor",
                  std::to_underlying(TdispCode::kVdm));
  if (request.data.empty() || request.data.front() != kVdmEcho) {
    const auto what = request.data.empty() ? std::uint8_t{0}
                                           : std::to_integer<std::uint8_t>(request.data.front());
    return std::unexpected(TdispRefusal{TdispError::kVendorSpecificError,
                                        "there is no such vendor message", 0, vendor_error(what)});
  }
  return wire::TdispVdmResponse{kPciSig, vendor_id(), request.data};
}

template <class Response>
TdispResponder::Answer TdispResponder::on(const To&, const Response&) {
  return refuse(TdispError::kUnsupportedRequest, "a response was sent as a request",
                std::to_underlying(Response::kCode));
}

const std::vector<Tdi*>& TdispResponder::tdis() const {
  for (const Tdi* tdi : tdis_) tdi->touch(schedule::Touch::How::kWrite);
  return tdis_;
}

Tdi* TdispResponder::find(wire::TdispFunctionId id) const {
  const auto segment = id.segment();
  if (segment && *segment != static_cast<std::uint8_t>(domain_)) return nullptr;
  for (Tdi* tdi : tdis_)
    if (tdi->bdf().rid() == id.rid()) {
      tdi->touch(schedule::Touch::How::kWrite);
      return tdi;
    }
  return nullptr;
}

}  // namespace teeio::device
