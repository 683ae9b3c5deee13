#include <fmt/format.h>

#include <algorithm>

#include "serve/validate/tdisp_cases.h"

namespace teeio::serve::validate {
namespace {

using wire::TdispCode;
using wire::TdispError;
using wire::TdiState;

/// The TDI's capabilities announce `request`.
std::expected<bool, Verdict> supports(TdiUnderTest& tdi, TdispCode request) {
  const auto body = tdi.ask(wire::TdispGetCapabilities{});
  const auto* answer = body ? std::get_if<wire::TdispCapabilities>(&*body) : nullptr;
  if (answer == nullptr) return std::unexpected(failed("GET_TDISP_CAPABILITIES is not answered"));
  const unsigned bit = static_cast<unsigned>(request) & 0x7fU;
  const unsigned byte = answer->requests.at(bit / 8);
  return (byte >> (bit % 8) & 1U) != 0;
}

std::optional<TdiState> state_of(TdiUnderTest& tdi) {
  const auto state = tdi.state();
  return state ? std::optional(*state) : std::nullopt;
}

// --- headers --------------------------------------------------------------------

/// The TDISP_ERROR code to bytes; the answer's interface is the request's.
std::expected<std::uint32_t, std::string> raw_error(TdiUnderTest& tdi, ByteView request) {
  const Reply reply = tdi.session().app(wire::Protocol::kTdisp, request);
  if (!reply.answered()) return std::unexpected(reply.str());
  const auto message = wire::decode_tdisp(reply.bytes);
  if (!message) return std::unexpected(std::string(message.error().why));
  const auto* error = std::get_if<wire::TdispErrorResponse>(&message->body);
  if (error == nullptr)
    return std::unexpected(fmt::format(
        "{} came", wire::tdisp_name(static_cast<std::uint8_t>(wire::code_of(message->body)))));
  return error->code;
}

Verdict raw_refused(Bench& bench, const wire::TdispHeader& header, ByteView body,
                    TdispError expected) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  wire::TdispHeader sent = header;
  if (sent.function_id.raw == 0) sent.function_id = tdi.function_id();
  Bytes request = sent.encode();
  request.insert(request.end(), body.begin(), body.end());
  const auto code = raw_error(tdi, request);
  TEEIO_CASE(code.has_value(), "{}", code.error());
  TEEIO_CASE(*code == std::to_underlying(expected), "TDISP_ERROR {} came",
             wire::tdisp_error_name(*code));
  return passed();
}

Verdict unknown_interface(Bench& bench) {
  return raw_refused(bench,
                     {.type = std::to_underlying(TdispCode::kGetDeviceInterfaceState),
                      .function_id = {0x0000'fe07}},
                     {}, TdispError::kInvalidInterface);
}

Verdict unknown_version(Bench& bench) {
  return raw_refused(bench,
                     {.version = 0x20,
                      .type = std::to_underlying(TdispCode::kGetDeviceInterfaceState),
                      .function_id = {}},
                     {}, TdispError::kVersionMismatch);
}

Verdict unknown_tdisp_request(Bench& bench) {
  return raw_refused(bench, {.type = 0xf3, .function_id = {}}, {}, TdispError::kUnsupportedRequest);
}

Verdict short_lock(Bench& bench) {
  return raw_refused(bench,
                     {.type = std::to_underlying(TdispCode::kLockInterface), .function_id = {}},
                     Bytes(4), TdispError::kInvalidRequest);
}

Verdict short_header(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  const Reply reply =
      tdi.session().app(wire::Protocol::kTdisp, Bytes(wire::TdispHeader::kSize - 1));
  TEEIO_CASE(!reply.answered() || wire::SpdmHeader::kSize > reply.bytes.size() ||
                 reply.bytes.at(1) == std::byte{std::to_underlying(TdispCode::kError)},
             "{} came", reply.str());
  return passed();
}

Verdict in_the_clear(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_signer());
  Session clear(std::move(link), spdm::kNoSession);
  const Reply reply = clear.app(
      wire::Protocol::kTdisp,
      wire::encode_tdisp({{bench.target().function_id.value_or(0)}, wire::TdispGetVersion{}}));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

// --- ERROR ----------------------------------------------------------------------

Verdict must_be_error(TdiUnderTest& tdi) {
  const auto state = state_of(tdi);
  TEEIO_CASE(state.has_value(), "GET_DEVICE_INTERFACE_STATE is not answered");
  TEEIO_CASE(*state == TdiState::kError, "the state is {}", wire::tdi_state_name(*state));
  const auto stopped = tdi.stop();
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  const auto after = state_of(tdi);
  TEEIO_CASE(after == TdiState::kConfigUnlocked, "STOP_INTERFACE does not leave ERROR");
  return passed();
}

Verdict stream_stops(Bench& bench, bool running) {
  auto made = running ? bench.running_tdi() : bench.locked_tdi();
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, std::move(made));
  const auto stopped = bench.stop_keys(tdi.session(), 0);
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return must_be_error(tdi);
}
Verdict stream_stops_locked(Bench& bench) { return stream_stops(bench, false); }
Verdict stream_stops_running(Bench& bench) { return stream_stops(bench, true); }

Verdict session_ends(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  Link& link = tdi.session().link();
  link.requester().end_session(tdi.session().id());
  link.requester().open_session({.slot = signing_slot(link)});
  const Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "another session: {} came", reply.str());
  const std::uint32_t id = link.requester().last_session().value_or(0);
  TdiUnderTest again = tdi.over(id);
  return must_be_error(again);
}

Verdict error_refuses(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  const auto stopped = bench.stop_keys(tdi.session(), 0);
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  for (const wire::TdispBody& request :
       {wire::TdispBody(wire::TdispStartInterface{}),
        wire::TdispBody(wire::TdispGetInterfaceReport{.offset = 0, .length = 0x10})}) {
    const Verdict verdict =
        refuses(tdi, request, TdispError::kInvalidInterfaceState, TdiState::kError);
    if (verdict.kind != Verdict::Kind::kPass) return verdict;
  }
  return passed();
}

Verdict refresh_keeps_running(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  const auto refreshed = bench.start_keys(tdi.session(), 1);
  TEEIO_CASE(refreshed.has_value(), "keys of set 1: {}", refreshed.error());
  const auto state = state_of(tdi);
  TEEIO_CASE(state == TdiState::kRun, "the TDI left RUN");
  return passed();
}

// --- peer-to-peer, MMIO attributes, vendor messages -----------------------------------

/// A request that capabilities do not announce gets UNSUPPORTED_REQUEST.
std::expected<bool, Verdict> announced(TdiUnderTest& tdi, TdispCode code,
                                       const wire::TdispBody& request) {
  const auto known = supports(tdi, code);
  if (!known || *known) return known;
  const auto error = tdi.error_to(request);
  if (!error) return std::unexpected(failed(error.error()));
  if (*error != std::to_underlying(TdispError::kUnsupportedRequest))
    return std::unexpected(failed(fmt::format("it is not announced, and TDISP_ERROR {} came",
                                              wire::tdisp_error_name(*error))));
  return false;
}

Verdict p2p_without_flag(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  const wire::TdispBindP2pStream request{tdi.stream_id};
  TEEIO_CASE_ASSIGN(const bool known, announced(tdi, TdispCode::kBindP2pStream, request));
  if (!known) return passed();
  return refuses(tdi, request, TdispError::kInvalidRequest, TdiState::kRun);
}

Verdict p2p_bind_and_unbind(Bench& bench) {
  Target other = bench.target();
  other.stream_id = static_cast<std::uint8_t>(other.stream_id + 1);
  Bench second(other, bench.version());
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  TEEIO_CASE_ASSIGN(const bool known, supports(tdi, TdispCode::kBindP2pStream));
  if (!known) return skipped("BIND_P2P_STREAM is not announced");
  if (!second.start_keys(tdi.session(), 0)) return skipped("there is no second stream");
  const auto nonce = tdi.lock(wire::kLockBindP2p);
  TEEIO_CASE(nonce.has_value(), "{}", nonce.error());
  const auto started = tdi.start(*nonce);
  TEEIO_CASE(started.has_value(), "{}", started.error());
  const auto bound = tdi.ask(wire::TdispBindP2pStream{other.stream_id});
  TEEIO_CASE(bound && std::holds_alternative<wire::TdispBindP2pStreamResponse>(*bound),
             "BIND_P2P_STREAM is refused");
  const auto unbound = tdi.ask(wire::TdispUnbindP2pStream{other.stream_id});
  TEEIO_CASE(unbound && std::holds_alternative<wire::TdispUnbindP2pStreamResponse>(*unbound),
             "UNBIND_P2P_STREAM is refused");
  return refuses(tdi, wire::TdispUnbindP2pStream{other.stream_id}, TdispError::kInvalidRequest,
                 TdiState::kRun);
}

Verdict p2p_unlocked(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  const wire::TdispBindP2pStream request{tdi.stream_id};
  TEEIO_CASE_ASSIGN(const bool known, announced(tdi, TdispCode::kBindP2pStream, request));
  if (!known) return passed();
  return refuses(tdi, request, TdispError::kInvalidInterfaceState, TdiState::kConfigUnlocked);
}

Verdict mmio_attribute(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  TEEIO_CASE_ASSIGN(const bool known,
                    announced(tdi, TdispCode::kSetMmioAttribute, wire::TdispSetMmioAttribute{}));
  if (!known) return passed();
  const auto bytes = tdi.report();
  TEEIO_CASE(bytes.has_value(), "{}", bytes.error());
  const auto report = wire::TdispReport::decode(*bytes);
  TEEIO_CASE(report.has_value(), "{}", report.error().why);
  const auto range = std::ranges::find_if(report->ranges, [](const wire::TdispMmioRange& r) {
    return (r.attributes & wire::kMmioAttributeUpdatable) != 0;
  });
  if (range == report->ranges.end()) return skipped("no range can be updated");
  wire::TdispMmioRange wanted = *range;
  wanted.attributes ^= wire::kMmioNonTeeMemory;
  const auto set = tdi.ask(wire::TdispSetMmioAttribute{wanted});
  TEEIO_CASE(set && std::holds_alternative<wire::TdispSetMmioAttributeResponse>(*set),
             "SET_MMIO_ATTRIBUTE of range {} is refused", wanted.range_id);
  return passed();
}

Verdict mmio_unknown_range(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.running_tdi());
  const wire::TdispSetMmioAttribute request{
      .range = {.first_page = 0xfff0'0000'0000, .pages = 1, .attributes = 4, .range_id = 0xfffe}};
  TEEIO_CASE_ASSIGN(const bool known, announced(tdi, TdispCode::kSetMmioAttribute, request));
  if (!known) return passed();
  return refuses(tdi, request, TdispError::kInvalidRequest, TdiState::kRun);
}

Verdict mmio_not_running(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.locked_tdi());
  TEEIO_CASE_ASSIGN(const bool known,
                    announced(tdi, TdispCode::kSetMmioAttribute, wire::TdispSetMmioAttribute{}));
  if (!known) return passed();
  return refuses(tdi, wire::TdispSetMmioAttribute{}, TdispError::kInvalidInterfaceState,
                 TdiState::kConfigLocked);
}

Verdict vendor_unknown(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi(Bench::Keys::kNone));
  const auto error = tdi.error_to(
      wire::TdispVdm{.registry_id = 0, .vendor_id = Bytes(2, std::byte{0xff}), .data = Bytes(4)});
  TEEIO_CASE(error.has_value(), "{}", error.error());
  TEEIO_CASE(*error == std::to_underlying(TdispError::kUnsupportedRequest) ||
                 *error == std::to_underlying(TdispError::kVendorSpecificError),
             "TDISP_ERROR {} came", wire::tdisp_error_name(*error));
  return passed();
}

/// A request in a second session about a TDI that the first one locked.
Verdict lock_over_other_session(Bench& bench) {
  TEEIO_CASE_ASSIGN(TdiUnderTest tdi, bench.tdi());
  Link& link = tdi.session().link();
  link.requester().open_session({.slot = signing_slot(link)});
  const Reply reply = link.run();
  if (reply.is_error(wire::SpdmErrorCode::kSessionLimitExceeded))
    return skipped("the responder has one session at a time");
  TEEIO_CASE(reply.answered(), "the second session: {} came", reply.str());
  const std::uint32_t id = link.requester().last_session().value_or(0);
  TdiUnderTest other = tdi.over(id);
  return refuses(other, wire::TdispLockInterface{.default_stream_id = other.stream_id},
                 TdispError::kInvalidRequest, TdiState::kConfigUnlocked);
}

constexpr Case kTdispExtraCases[] = {
    {"header.interface", "An interface that does not exist gets INVALID_INTERFACE",
     "PCIe 11.3.2, 11.3.23", unknown_interface},
    {"header.version", "Another version than 1.0 gets VERSION_MISMATCH", "PCIe 11.3.2, 11.3.23",
     unknown_version},
    {"header.request", "An unknown request gets UNSUPPORTED_REQUEST", "PCIe 11.3.3, 11.3.23",
     unknown_tdisp_request},
    {"header.length", "A LOCK_INTERFACE that is too short gets INVALID_REQUEST",
     "PCIe 11.3.8, 11.3.23", short_lock},
    {"header.short", "Half a header is refused", "PCIe 11.3.2", short_header},
    {"clear", "TDISP outside of a secured session is refused", "PCIe 11.3", in_the_clear},
    {"error.locked", "A CONFIG_LOCKED TDI goes to ERROR when its stream stops", "PCIe 11.4.5",
     stream_stops_locked},
    {"error.running", "A running TDI goes to ERROR when its stream stops", "PCIe 11.4.5",
     stream_stops_running},
    {"error.session", "A running TDI goes to ERROR when its SPDM session ends", "PCIe 11.4.5",
     session_ends},
    {"error.requests", "In ERROR reports and START_INTERFACE get INVALID_INTERFACE_STATE",
     "PCIe 11.3, table 27", error_refuses},
    {"refresh", "Changing to the keys of the other set does not disturb a running TDI",
     "PCIe 6.33.3", refresh_keeps_running},
    {"session", "LOCK_INTERFACE over another session than the keys' gets INVALID_REQUEST",
     "PCIe 11.4.5", lock_over_other_session},
    {"p2p.flag", "BIND_P2P_STREAM is refused under a lock without BIND_P2P", "PCIe 11.3.18",
     p2p_without_flag},
    {"p2p.bind", "A second stream can be bound and unbound once", "PCIe 11.3.18",
     p2p_bind_and_unbind},
    {"p2p.unlocked", "BIND_P2P_STREAM gets INVALID_INTERFACE_STATE when unlocked", "PCIe 11.3.18",
     p2p_unlocked},
    {"mmio.set", "An updatable range's attribute can be set in RUN", "PCIe 11.3.22",
     mmio_attribute},
    {"mmio.range", "SET_MMIO_ATTRIBUTE of a range that is not reported gets INVALID_REQUEST",
     "PCIe 11.3.22", mmio_unknown_range},
    {"mmio.locked", "SET_MMIO_ATTRIBUTE gets INVALID_INTERFACE_STATE before RUN", "PCIe 11.3.22",
     mmio_not_running},
    {"vdm.vendor", "A vendor message of a vendor that the device does not know is refused",
     "PCIe 11.3.24", vendor_unknown},
};

}  // namespace

std::span<const Case> tdisp_extra_cases() { return kTdispExtraCases; }

}  // namespace teeio::serve::validate
