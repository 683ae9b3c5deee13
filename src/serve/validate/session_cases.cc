#include <fmt/format.h>

#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_pqc.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

constexpr unsigned kManySessions = 16;

Reply ask_inside(Link& link, std::uint32_t session) {
  return link.raw(harmless_request(link), session);
}

/// A request of the session, sealed and next to be sent.
spdm::Message sealed(Link& link, std::uint32_t session) {
  link.requester().send_raw(session, harmless_request(link));
  return link.next_request();
}

/// Whether what is sent instead of a request is refused, and the session over.
Verdict refused_and_over(Session& session, const spdm::Message& bad) {
  const Reply reply = session.link().send_instead(spdm::view(bad));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  const Reply next = ask_inside(session.link(), session.id());
  TEEIO_CASE(!next.answered(), "the session goes on");
  return passed();
}

Verdict opens(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  const Reply reply = ask_inside(session.link(), session.id());
  TEEIO_CASE(reply.answered(), "a request inside: {} came", reply.str());
  return passed();
}

Verdict heartbeat(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  if (!has_flag(session.link(), wire::kSpdmCapHeartbeat)) return skipped("HBEAT_CAP is not set");
  session.link().requester().heartbeat(session.id());
  const Reply reply = session.link().run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  return passed();
}

Verdict key_update(Bench& bench, spdm::Requester::KeyUpdate which) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  if (!has_flag(session.link(), wire::kSpdmCapKeyUpdate)) return skipped("KEY_UPD_CAP is not set");
  for (int i = 0; i < 2; ++i) {
    session.link().requester().update_keys(session.id(), which);
    Reply reply = session.link().run();
    TEEIO_CASE(reply.answered(), "update {}: {} came", i + 1, reply.str());
    reply = ask_inside(session.link(), session.id());
    TEEIO_CASE(reply.answered(), "after update {}: {} came", i + 1, reply.str());
  }
  return passed();
}
Verdict key_update_requester(Bench& bench) {
  return key_update(bench, spdm::Requester::KeyUpdate::kRequester);
}
Verdict key_update_all(Bench& bench) { return key_update(bench, spdm::Requester::KeyUpdate::kAll); }

Verdict measures_inside(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  if (!has_flag(session.link(), wire::kSpdmCapMeasSig)) return skipped("MEAS_CAP does not sign");
  spdm::MeasurementsWanted wanted;
  wanted.session = session.id();
  wanted.slot = signing_slot(session.link());
  session.link().requester().measure(wanted);
  const Reply reply = session.link().run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  return passed();
}

Verdict ends(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  session.link().requester().end_session(session.id());
  const spdm::Message last = session.link().next_request();
  const Reply reply = session.link().run();
  TEEIO_CASE(reply.answered(), "END_SESSION: {} came", reply.str());
  const Reply next = session.link().message(spdm::view(last));
  TEEIO_CASE(next.refused(), "to a message after END_SESSION {} came", next.str());
  return passed();
}

Verdict opens_again(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  spdm::Requester& requester = session.link().requester();
  requester.end_session(session.id());
  requester.open_session({.slot = signing_slot(session.link())});
  const Reply reply = session.link().run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const Reply inside = ask_inside(session.link(), *requester.last_session());
  TEEIO_CASE(inside.answered(), "inside the second: {} came", inside.str());
  return passed();
}

Verdict two_at_once(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  Link& link = session.link();
  link.requester().open_session({.slot = signing_slot(link)});
  const Reply reply = link.run();
  if (reply.is_error(SpdmErrorCode::kSessionLimitExceeded))
    return skipped("the responder has one session at a time");
  TEEIO_CASE(reply.answered(), "the second: {} came", reply.str());
  const std::uint32_t second = *link.requester().last_session();
  TEEIO_CASE(second != session.id(), "both sessions have ID {:#x}", second);
  for (const std::uint32_t id : {session.id(), second, session.id()}) {
    const Reply inside = ask_inside(link, id);
    TEEIO_CASE(inside.answered(), "in session {:#x}: {} came", id, inside.str());
  }
  return passed();
}

Verdict limit(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  for (unsigned i = 1; i < kManySessions; ++i) {
    session.link().requester().open_session({.slot = signing_slot(session.link())});
    const Reply reply = session.link().run();
    if (reply.answered()) continue;
    TEEIO_CASE(reply.is_error(SpdmErrorCode::kSessionLimitExceeded), "session {}: {} came", i + 1,
               reply.str());
    return passed();
  }
  return skipped(fmt::format("{} sessions are below its limit", kManySessions));
}

Verdict tampered(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  spdm::Message bad = sealed(session.link(), session.id());
  bad.bytes.back() ^= std::byte{1};
  return refused_and_over(session, bad);
}

Verdict tampered_text(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  spdm::Message bad = sealed(session.link(), session.id());
  bad.bytes.at(bad.bytes.size() / 2) ^= std::byte{0x80};
  return refused_and_over(session, bad);
}

Verdict truncated(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  spdm::Message bad = sealed(session.link(), session.id());
  bad.bytes.resize(7);
  const Reply reply = session.link().send_instead(spdm::view(bad));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict replayed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  const spdm::Message request = sealed(session.link(), session.id());
  const Reply reply = session.link().run();
  TEEIO_CASE(reply.answered(), "the first time {} came", reply.str());
  (void)sealed(session.link(), session.id());
  return refused_and_over(session, request);
}

Verdict gap(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  (void)sealed(session.link(), session.id());
  session.link().requester().cancel();  // its sequence number is used all the same
  return refused_and_over(session, sealed(session.link(), session.id()));
}

Verdict other_session(Bench& bench) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  spdm::Message bad = sealed(session.link(), session.id());
  bad.bytes.front() ^= std::byte{0x55};  // the session ID is what a message begins with
  const Reply reply = session.link().send_instead(spdm::view(bad));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

/// A request that has no place inside a session.
Verdict not_inside(Bench& bench, SpdmCode code, std::size_t size) {
  TEEIO_CASE_ASSIGN(Session session, bench.session());
  const Reply reply = session.link().raw(
      raw_spdm(code == SpdmCode::kGetVersion ? wire::kSpdmVersion10 : version_of(session.link()),
               code, 0, 0, Bytes(size)),
      session.id());
  // A responder that never answers CHALLENGE says so here, too.
  const bool never = code == SpdmCode::kChallenge &&
                     !has_flag(session.link(), wire::kSpdmCapChal) &&
                     reply.is_error(SpdmErrorCode::kUnsupportedRequest);
  TEEIO_CASE(never || reply.is_error(SpdmErrorCode::kUnexpectedRequest), "{} came", reply.str());
  return passed();
}
Verdict version_inside(Bench& bench) { return not_inside(bench, SpdmCode::kGetVersion, 0); }
Verdict capabilities_inside(Bench& bench) {
  return not_inside(bench, SpdmCode::kGetCapabilities, 16);
}
Verdict challenge_inside(Bench& bench) { return not_inside(bench, SpdmCode::kChallenge, 40); }

/// KEY_EXCHANGE with exchange data that no key agreement takes. `slot`: nullopt, what signs.
Verdict key_exchange(Bench& bench, std::optional<std::uint8_t> slot, std::byte filler) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_signer());
  if (!has_flag(link, wire::kSpdmCapKeyEx)) return skipped("KEY_EX_CAP is not set");
  const auto agreed = link.requester().negotiated();
  Writer rest;
  rest.le(std::uint16_t{0x1234}).le(std::uint16_t{0}).zeros(32);
  rest.bytes(Bytes(wire::spdm_exchange_size(agreed->algorithms.dhe) +
                       wire::spdm_kem_request_size(agreed->algorithms.kem),
                   filler));
  rest.le(std::uint16_t{0});  // no opaque data
  const Reply reply = link.raw(raw_spdm(agreed->version, SpdmCode::kKeyExchange, 0,
                                        slot.value_or(signing_slot(link)), rest.take()));
  TEEIO_CASE(reply.kind == Reply::Kind::kError, "{} came", reply.str());
  return passed();
}
Verdict bad_point(Bench& bench) { return key_exchange(bench, std::nullopt, std::byte{0xff}); }
Verdict bad_slot(Bench& bench) { return key_exchange(bench, 9, std::byte{0x11}); }

constexpr Case kSessionCases[] = {
    {"open", "KEY_EXCHANGE and FINISH open a session that carries requests",
     "DSP0274, KEY_EXCHANGE_RSP; DSP0277", opens},
    {"heartbeat", "HEARTBEAT is acknowledged", "DSP0274, HEARTBEAT", heartbeat},
    {"update.requester", "The requester's key can be updated, twice", "DSP0274, KEY_UPDATE",
     key_update_requester},
    {"update.all", "Both keys can be updated, twice", "DSP0274, KEY_UPDATE", key_update_all},
    {"measurements", "Measurements are signed inside a session", "DSP0274, MEASUREMENTS",
     measures_inside},
    {"end", "After END_SESSION the session carries nothing", "DSP0274, END_SESSION", ends},
    {"again", "After END_SESSION another session can be opened", "DSP0274, END_SESSION",
     opens_again},
    {"two", "Two sessions have two IDs and do not disturb each other", "DSP0277, sessions",
     two_at_once},
    {"limit", "A session too many gets SessionLimitExceeded", "DSP0274, ERROR", limit},
    {"tamper.tag", "A changed tag is refused, and ends the session", "DSP0277; DSP0274, ERROR",
     tampered},
    {"tamper.text", "A changed ciphertext is refused, and ends the session",
     "DSP0277; DSP0274, ERROR", tampered_text},
    {"short", "A secured message that is too short is refused", "DSP0277, record format",
     truncated},
    {"replay", "A message sent twice is refused, and ends the session", "DSP0277, sequence numbers",
     replayed},
    {"gap", "A message that skips a sequence number is refused, and ends the session",
     "DSP0277, sequence numbers", gap},
    {"other", "A message under another session's ID is refused", "DSP0277, session ID",
     other_session},
    {"inside.version", "GET_VERSION inside a session gets UnexpectedRequest",
     "DSP0274, session messages", version_inside},
    {"inside.capabilities", "GET_CAPABILITIES inside a session gets UnexpectedRequest",
     "DSP0274, session messages", capabilities_inside},
    {"inside.challenge", "CHALLENGE inside a session gets UnexpectedRequest",
     "DSP0274, session messages", challenge_inside},
    {"exchange.point", "KEY_EXCHANGE with a point that is on no curve gets ERROR",
     "DSP0274, KEY_EXCHANGE", bad_point},
    {"exchange.slot", "KEY_EXCHANGE with a slot that does not exist gets ERROR",
     "DSP0274, KEY_EXCHANGE", bad_slot},
};

}  // namespace

std::span<const Case> session_cases() { return kSessionCases; }

}  // namespace teeio::serve::validate
