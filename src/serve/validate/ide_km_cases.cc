#include <fmt/format.h>

#include "serve/validate/bench.h"
#include "serve/validate/ide_cases.h"
#include "wire/ide_registers.h"

namespace teeio::serve::validate {
namespace {

using wire::IdeKeySelector;
using wire::IdeKmKeyProg;
using wire::IdeKmKGoStopAck;
using wire::IdeKmKpAck;
using wire::IdeKmKSetGo;
using wire::IdeKmKSetStop;
using wire::IdeKmQuery;
using wire::IdeKmQueryResp;
using wire::KpAckStatus;

std::expected<IdeKmQueryResp, Verdict> query(Session& session, std::uint8_t port) {
  const auto answer = session.ide_km(IdeKmQuery{port});
  const auto* response = answer ? std::get_if<IdeKmQueryResp>(&*answer) : nullptr;
  if (response == nullptr)
    return std::unexpected(
        failed(fmt::format("QUERY of port {}: {} came", port, session.last().str())));
  if (response->port_index != port)
    return std::unexpected(
        failed(fmt::format("QUERY of port {}: port {} answers", port, response->port_index)));
  return *response;
}

/// KP_ACK to `request`, which must name the same key.
std::expected<IdeKmKpAck, Verdict> acknowledged(Session& session, const IdeKmKeyProg& request,
                                                std::optional<Bytes> raw = {}) {
  std::optional<wire::IdeKmMessage> answer;
  Reply reply;
  if (raw) {
    reply = session.app(wire::Protocol::kIdeKm, *raw);
    if (reply.answered())
      if (auto decoded = wire::decode_ide_km(reply.bytes)) answer = std::move(*decoded);
  } else {
    answer = session.ide_km(request);
    reply = session.last();
  }
  const auto* ack = answer ? std::get_if<IdeKmKpAck>(&*answer) : nullptr;
  if (ack == nullptr)
    return std::unexpected(
        failed(fmt::format("KEY_PROG {:#04x}: {} came", request.selector.raw, reply.str())));
  if (ack->stream_id != request.stream_id || ack->port_index != request.port_index ||
      ack->selector != request.selector)
    return std::unexpected(
        failed(fmt::format("KEY_PROG {:#04x}: KP_ACK names another key", request.selector.raw)));
  return *ack;
}

IdeKmKeyProg key_prog(const Bench& bench, IdeKeySelector selector) {
  return {bench.target().stream_id, selector, bench.target().port_index, wire::IdeKey{}};
}

/// KEY_PROG as `request` gets KP_ACK with `status`.
Verdict gets_status(Session& session, const IdeKmKeyProg& request, KpAckStatus status,
                    std::optional<Bytes> raw = {}) {
  TEEIO_CASE_ASSIGN(const IdeKmKpAck ack, acknowledged(session, request, std::move(raw)));
  TEEIO_CASE(ack.status == std::to_underlying(status), "KEY_PROG {:#04x}: status {} came, not {}",
             request.selector.raw, ack.status, std::to_underlying(status));
  return passed();
}

/// The case has passed, if the stream's registers say so, too; a device need not show them.
/// (intel/tee-io-validator issue 358: a device passed whose stream had never got Secure.)
Verdict passed_as_shown(const Bench& bench, Session& session, bool secure, std::string_view when) {
  Verdict verdict = shows_secure(bench, session, secure, when);
  return verdict.kind == Verdict::Kind::kSkip ? passed() : verdict;
}
Verdict passed_without_key(const Bench& bench, Session& session) {
  return passed_as_shown(bench, session, false, "though no key was taken");
}

Verdict query_port_0(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const IdeKmQueryResp response, query(session, 0));
  if (bench.target().port_index != 0) return passed();  // port 0 may be without IDE
  TEEIO_CASE(!response.registers.empty(), "the response has no registers");
  const auto whole = wire::IdeRegisters::decode(response.registers);
  TEEIO_CASE(whole.has_value(), "{} registers came: {}", response.registers.size(),
             whole.error().why);
  return passed();
}

Verdict query_other_ports(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const IdeKmQueryResp first, query(session, 0));
  if (first.max_port_index == 0) return skipped("the device has one port");
  for (unsigned port = 1; port <= first.max_port_index; ++port) {
    TEEIO_CASE_ASSIGN(const IdeKmQueryResp response,
                      query(session, static_cast<std::uint8_t>(port)));
    TEEIO_CASE(response.max_port_index == first.max_port_index, "port {} says that {} is the last",
               port, response.max_port_index);
  }
  return passed();
}

Verdict query_beyond(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  TEEIO_CASE_ASSIGN(const IdeKmQueryResp first, query(session, 0));
  if (first.max_port_index == 0xff) return skipped("the device has every port");
  const auto answer =
      session.ide_km(IdeKmQuery{static_cast<std::uint8_t>(first.max_port_index + 1)});
  TEEIO_CASE(!answer, "a port that does not exist answers");
  return passed();
}

Verdict query_short(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  const Reply reply = session.app(wire::Protocol::kIdeKm, Bytes(1));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict unknown_object(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  const Reply reply = session.app(wire::Protocol::kIdeKm, Bytes(8, std::byte{0x70}));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict program(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  for (const unsigned set : {0U, 1U})
    for (const IdeKeySelector selector : selectors(set)) {
      const Verdict verdict =
          gets_status(session, key_prog(bench, selector), KpAckStatus::kSuccess);
      if (verdict.kind != Verdict::Kind::kPass) return verdict;
    }
  return passed_as_shown(bench, session, false, "when keys are programmed and none goes");
}

Verdict program_length(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto request = key_prog(bench, selectors(0).front());
  const Bytes whole = wire::encode_ide_km(request);
  constexpr std::size_t kHead = 7;  // object, reserved, stream, reserved, selector, port
  for (std::size_t size = kHead + 1; size < whole.size(); size += 4) {
    const Verdict verdict =
        gets_status(session, request, KpAckStatus::kIncorrectLength,
                    Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    if (verdict.kind != Verdict::Kind::kPass)
      return failed(fmt::format("{} bytes: {}", size, verdict.why));
  }
  return passed_without_key(bench, session);
}

Verdict program_too_long(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto request = key_prog(bench, selectors(0).front());
  Bytes longer = wire::encode_ide_km(request);
  longer.resize(longer.size() + 4);
  if (Verdict verdict =
          gets_status(session, request, KpAckStatus::kIncorrectLength, std::move(longer));
      verdict.kind != Verdict::Kind::kPass)
    return verdict;
  return passed_without_key(bench, session);
}

Verdict program_port(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  TEEIO_CASE_ASSIGN(const IdeKmQueryResp first, query(session, 0));
  if (first.max_port_index == 0xff) return skipped("the device has every port");
  auto request = key_prog(bench, selectors(0).front());
  request.port_index = static_cast<std::uint8_t>(first.max_port_index + 1);
  if (Verdict verdict = gets_status(session, request, KpAckStatus::kUnsupportedPort);
      verdict.kind != Verdict::Kind::kPass)
    return verdict;
  return passed_without_key(bench, session);
}

Verdict program_sub_stream(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  for (unsigned sub_stream = 3; sub_stream <= 0xf; ++sub_stream) {
    const IdeKeySelector selector{static_cast<std::uint8_t>(sub_stream << 4U)};
    const Verdict verdict =
        gets_status(session, key_prog(bench, selector), KpAckStatus::kUnsupportedValue);
    if (verdict.kind != Verdict::Kind::kPass) return verdict;
  }
  return passed_without_key(bench, session);
}

Verdict program_ifv(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  for (const std::uint64_t ifv : {0ULL, 2ULL, 0xffULL, 1ULL << 32U}) {
    auto request = key_prog(bench, selectors(0).front());
    request.key->ifv = ifv;
    const Verdict verdict = gets_status(session, request, KpAckStatus::kUnsupportedValue);
    if (verdict.kind != Verdict::Kind::kPass)
      return failed(fmt::format("initial value {:#x}: {}", ifv, verdict.why));
  }
  return passed_without_key(bench, session);
}

Verdict program_stream(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  auto request = key_prog(bench, selectors(0).front());
  request.stream_id = 0xfd;
  if (Verdict verdict = gets_status(session, request, KpAckStatus::kUnsupportedValue);
      verdict.kind != Verdict::Kind::kPass)
    return verdict;
  return passed_without_key(bench, session);
}

Verdict go(Bench& bench, unsigned key_set) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto started = bench.start_keys(session, key_set);
  TEEIO_CASE(started.has_value(), "{}", started.error());
  return passed_as_shown(bench, session, true, fmt::format("when set {} goes", key_set));
}
Verdict go_set_0(Bench& bench) { return go(bench, 0); }
Verdict go_set_1(Bench& bench) { return go(bench, 1); }

/// Both sets are programmed, `from` goes, then `to` does.
std::expected<Session, Verdict> switched(Bench& bench, unsigned from, unsigned to) {
  auto session = bench.ide_session();
  if (!session) return session;
  for (const unsigned set : {from, to})
    if (const auto done = bench.program_keys(*session, set); !done)
      return std::unexpected(failed(done.error()));
  for (const unsigned set : {from, to})
    if (const auto done = bench.go_keys(*session, set); !done)
      return std::unexpected(failed(fmt::format("set {}: {}", set, done.error())));
  return session;
}
Verdict switch_0_to_1(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, switched(bench, 0, 1));
  return passed_as_shown(bench, session, true, "when set 1 took over");
}
Verdict switch_1_to_0(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, switched(bench, 1, 0));
  return passed_as_shown(bench, session, true, "when set 0 took over");
}

Verdict go_unprogrammed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto answer = session.ide_km(
      IdeKmKSetGo{bench.target().stream_id, selectors(1).front(), bench.target().port_index});
  TEEIO_CASE(!answer || !std::holds_alternative<IdeKmKGoStopAck>(*answer),
             "a key that nobody programmed goes");
  return passed_without_key(bench, session);
}

Verdict stop(Bench& bench, unsigned key_set) {
  TEEIO_CASE_ASSIGN(Session session, bench.ide_session());
  const auto started = bench.start_keys(session, key_set);
  TEEIO_CASE(started.has_value(), "{}", started.error());
  const auto stopped = bench.stop_keys(session, key_set);
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return passed_as_shown(bench, session, false, "when its keys have stopped");
}
Verdict stop_set_0(Bench& bench) { return stop(bench, 0); }
Verdict stop_set_1(Bench& bench) { return stop(bench, 1); }

Verdict stop_after_switch(Bench& bench, unsigned from, unsigned to) {
  TEEIO_CASE_ASSIGN(Session session, switched(bench, from, to));
  const auto stopped = bench.stop_keys(session, to);
  TEEIO_CASE(stopped.has_value(), "{}", stopped.error());
  return passed_as_shown(bench, session, false, "when its keys have stopped");
}
Verdict stop_after_0_to_1(Bench& bench) { return stop_after_switch(bench, 0, 1); }
Verdict stop_after_1_to_0(Bench& bench) { return stop_after_switch(bench, 1, 0); }

/// Opens a second session on the connection of the first; its ID, or the verdict.
std::expected<Session, Verdict> second_session(Session& first) {
  Link& link = first.link();
  link.requester().open_session({.slot = signing_slot(link)});
  const Reply reply = link.run();
  if (reply.is_error(wire::SpdmErrorCode::kSessionLimitExceeded))
    return std::unexpected(skipped("the responder has one session at a time"));
  if (!reply.answered())
    return std::unexpected(failed(fmt::format("the second session: {} came", reply.str())));
  const std::uint32_t id = *link.requester().last_session();
  return Session(std::move(link), id);
}

Verdict second_is_refused(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session first, bench.ide_session());
  const auto programmed = bench.program_keys(first, 0);
  TEEIO_CASE(programmed.has_value(), "{}", programmed.error());
  TEEIO_CASE_ASSIGN(Session second, second_session(first));
  TEEIO_CASE(!second.ide_km(IdeKmQuery{0}), "QUERY is answered");
  const auto answer = second.ide_km(key_prog(bench, selectors(0).front()));
  TEEIO_CASE(!answer, "KEY_PROG is answered");
  return passed();
}

Verdict second_after_first(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session first, bench.ide_session());
  const auto programmed = bench.program_keys(first, 0);
  TEEIO_CASE(programmed.has_value(), "{}", programmed.error());
  first.link().requester().end_session(first.id());
  const Reply ended = first.link().run();
  TEEIO_CASE(ended.answered(), "END_SESSION: {} came", ended.str());
  TEEIO_CASE_ASSIGN(Session second, second_session(first));
  TEEIO_CASE_ASSIGN(const IdeKmQueryResp response, query(second, 0));
  return gets_status(second, key_prog(bench, selectors(0).front()), KpAckStatus::kSuccess);
}

Verdict in_the_clear(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_signer());
  Session clear(std::move(link), spdm::kNoSession);
  const Reply reply = clear.app(wire::Protocol::kIdeKm, wire::encode_ide_km(IdeKmQuery{0}));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

constexpr Case kIdeKmCases[] = {
    {"query.port0", "QUERY of port 0 gets QUERY_RESP with the whole IDE capability",
     "PCIe 6.33.3; tee-io-validator 1.1", query_port_0},
    {"query.ports", "QUERY of every other port gets QUERY_RESP",
     "PCIe 6.33.3; tee-io-validator 1.2", query_other_ports},
    {"query.beyond", "QUERY of a port that does not exist gets no QUERY_RESP", "PCIe 6.33.3",
     query_beyond},
    {"query.short", "Half a QUERY is refused", "PCIe 6.33.3", query_short},
    {"object", "An object ID that does not exist is refused", "PCIe 6.33.3", unknown_object},
    {"prog.all", "Each of the twelve keys of a stream can be programmed",
     "PCIe 6.33.3; tee-io-validator 2.1", program},
    {"prog.length", "KEY_PROG of another length gets Incorrect Length",
     "PCIe 6.33.3; tee-io-validator 2.2", program_length},
    {"prog.long", "KEY_PROG that is too long gets Incorrect Length", "PCIe 6.33.3",
     program_too_long},
    {"prog.port", "KEY_PROG for a port that does not exist gets Unsupported PortIndex",
     "PCIe 6.33.3; tee-io-validator 2.3", program_port},
    {"prog.sub_stream", "KEY_PROG for sub-streams 3 to 15 gets Unsupported value",
     "PCIe 6.33.3; tee-io-validator 2.4", program_sub_stream},
    {"prog.ifv", "KEY_PROG with another initial value than 1 gets Unsupported value",
     "PCIe 6.33.3; tee-io-validator 2.5", program_ifv},
    {"prog.stream", "KEY_PROG for a stream that does not exist gets Unsupported value",
     "PCIe 6.33.3; tee-io-validator 2.6", program_stream},
    {"go.set0", "K_SET_GO of each key of set 0 is acknowledged",
     "PCIe 6.33.3; tee-io-validator 3.1", go_set_0},
    {"go.set1", "K_SET_GO of each key of set 1 is acknowledged",
     "PCIe 6.33.3; tee-io-validator 3.2", go_set_1},
    {"go.switch01", "Keys can be switched from set 0 to set 1", "PCIe 6.33.3; tee-io-validator 3.3",
     switch_0_to_1},
    {"go.switch10", "Keys can be switched from set 1 to set 0", "PCIe 6.33.3; tee-io-validator 3.4",
     switch_1_to_0},
    {"go.unprogrammed", "K_SET_GO of a key that was not programmed is not acknowledged",
     "PCIe 6.33.3", go_unprogrammed},
    {"stop.set0", "K_SET_STOP of each key of set 0 is acknowledged",
     "PCIe 6.33.3; tee-io-validator 4.1", stop_set_0},
    {"stop.set1", "K_SET_STOP of each key of set 1 is acknowledged",
     "PCIe 6.33.3; tee-io-validator 4.2", stop_set_1},
    {"stop.switch01", "K_SET_STOP works after a switch to set 1",
     "PCIe 6.33.3; tee-io-validator 4.3", stop_after_0_to_1},
    {"stop.switch10", "K_SET_STOP works after a switch to set 0",
     "PCIe 6.33.3; tee-io-validator 4.4", stop_after_1_to_0},
    {"session.second", "A second session gets nothing while the first has programmed keys",
     "PCIe 6.33.3; tee-io-validator 5.1", second_is_refused},
    {"session.after", "After the first session another one programs keys",
     "PCIe 6.33.3; tee-io-validator 5.2", second_after_first},
    {"registers.go", "The stream is Secure when all keys of a set go, and not before",
     "PCIe 7.9.26; PCIe 6.33.3", registers_go},
    {"registers.half", "Keys that are programmed and do not go leave the stream Insecure",
     "PCIe 7.9.26; PCIe 6.33.3", registers_half},
    {"registers.switch", "The stream stays Secure when the other set takes over",
     "PCIe 7.9.26; PCIe 6.33.3", registers_switch},
    {"registers.stop", "The stream is not Secure any more when its keys have stopped",
     "PCIe 7.9.26; PCIe 6.33.3", registers_stop},
    {"config.header", "A stream with partial header encryption gets Secure",
     "PCIe 7.9.26; tee-io-validator, Selective IDE 1.3", config_header_encryption},
    {"config.aggregation", "A stream with aggregation gets Secure",
     "PCIe 7.9.26; tee-io-validator, Selective IDE 1.4", config_aggregation},
    {"config.pcrc", "A stream with PCRC gets Secure",
     "PCIe 7.9.26; tee-io-validator, Selective IDE 1.5", config_pcrc},
    {"config.requests", "A stream that carries configuration requests gets Secure",
     "PCIe 7.9.26; tee-io-validator, Selective IDE 1.6", config_requests},
    {"config.tee_limited", "A TEE-limited stream gets Secure",
     "PCIe 7.9.26; tee-io-validator, Selective IDE 1.7", config_tee_limited},
    {"link.plain", "A link stream gets Secure", "PCIe 7.9.26; tee-io-validator, Link IDE 2.1",
     link_plain},
    {"link.header", "A link stream with partial header encryption gets Secure",
     "PCIe 7.9.26; tee-io-validator, Link IDE 2.2", link_header_encryption},
    {"link.aggregation", "A link stream with aggregation gets Secure",
     "PCIe 7.9.26; tee-io-validator, Link IDE 2.3", link_aggregation},
    {"link.pcrc", "A link stream with PCRC gets Secure",
     "PCIe 7.9.26; tee-io-validator, Link IDE 2.4", link_pcrc},
    {"link.selective", "A link and a selective stream get Secure at once",
     "PCIe 7.9.26; tee-io-validator, Selective and Link IDE 3.1", link_and_selective},
    {"clear", "IDE_KM outside of a secured session is refused", "PCIe 6.33.3", in_the_clear},
};

}  // namespace

std::span<const Case> ide_km_cases() { return kIdeKmCases; }

}  // namespace teeio::serve::validate
