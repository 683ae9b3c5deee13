// Requesters that authenticate themselves, requests of the responder, pre-shared keys.

#include <fmt/format.h>

#include <utility>

#include "serve/validate/auth.h"
#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_session.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;

/// After ALGORITHMS, with a requester that can authenticate itself; skipped where the
/// responder does not offer `flags`.
std::expected<Link, Verdict> able(std::expected<Link, Verdict> link, std::uint32_t flags) {
  if (!link) return link;
  const auto agreed = link->requester().negotiated();
  if ((agreed->peer_flags & flags) == flags) return link;
  return std::unexpected(skipped((flags & wire::kSpdmCapMutAuth) != 0
                                     ? "MUT_AUTH_CAP and ENCAP_CAP are not both set"
                                     : "ENCAP_CAP is not set"));
}

constexpr std::uint32_t kMutual = wire::kSpdmCapMutAuth | wire::kSpdmCapEncap;

Verdict mutual(Bench& bench) {
  if (bench.target().transport == PlatformTransport::kNone)
    return skipped("transport none carries no sessions");
  TEEIO_CASE_ASSIGN(Link link, bench.with_signer(able(bench.negotiated_with_identity(), kMutual)));
  if (!has_flag(link, wire::kSpdmCapKeyEx)) return skipped("KEY_EX_CAP is not set");
  link.requester().open_session({.slot = signing_slot(link)});
  Reply reply = link.run();
  if (mutual_auth_asked(link).how == wire::kSpdmMutAuth) {
    TEEIO_CASE(!reply.answered(),
               "a session opens for a requester whose certificates the responder never saw");
    return skipped(
        "KEY_EXCHANGE_RSP wants certificates that the responder was given before, without "
        "encapsulated requests; auth.known.challenge gives them, and auth.known.key a key");
  }
  TEEIO_CASE(reply.answered(), "KEY_EXCHANGE and FINISH: {} came", reply.str());
  if (!link.heard().has_sent(SpdmCode::kDeliverEncapsulatedResponse))
    return skipped("KEY_EXCHANGE_RSP does not ask for authentication");
  reply = link.raw(harmless_request(link), *link.requester().last_session());
  TEEIO_CASE(reply.answered(), "a request inside: {} came", reply.str());
  return passed();
}

Verdict basic_mutual_of(Bench& bench, std::uint8_t version) {
  TEEIO_CASE_ASSIGN(Link link,
                    bench.with_signer(able(bench.negotiated_with_identity(version), kMutual)));
  if (!has_flag(link, wire::kSpdmCapChal)) return skipped("CHAL_CAP is not set");
  link.requester().challenge(signing_slot(link));
  const Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  if (!link.heard().has_sent(SpdmCode::kDeliverEncapsulatedResponse))
    return skipped("CHALLENGE_AUTH does not ask for authentication");
  return passed();
}

/// Each version decides for itself whether it asks.
Verdict basic_mutual(Bench& bench) {
  Verdict told = skipped("VERSION lists no version that has mutual authentication");
  for (const std::uint8_t version :
       {wire::kSpdmVersion11, wire::kSpdmVersion12, wire::kSpdmVersion13, wire::kSpdmVersion14}) {
    if (!bench.may_offer(version)) continue;
    Verdict one = basic_mutual_of(bench, version);
    if (one.kind == Verdict::Kind::kFail) {
      if (!one.set_up)
        one.why = fmt::format("SPDM {}.{}: {}", version >> 4U, version & 0xfU, one.why);
      return one;
    }
    if (told.kind == Verdict::Kind::kSkip) told = std::move(one);
  }
  return told;
}

Verdict own_key_update(Bench& bench) {
  if (bench.target().transport == PlatformTransport::kNone)
    return skipped("transport none carries no sessions");
  TEEIO_CASE_ASSIGN(Session session, bench.session(bench.with_signer(able(
                                         bench.negotiated_with_identity(), wire::kSpdmCapEncap))));
  Link& link = session.link();
  if (!has_flag(link, wire::kSpdmCapKeyUpdate)) return skipped("KEY_UPD_CAP is not set");
  const Bytes id = Writer().le(session.id()).take();
  const auto heard = link.client().exchange(PlatformCommand::kEncapKeyUpdate, id);
  if (!heard) return skipped("the responder knows no command for an encapsulated KEY_UPDATE");
  link.requester().answer_encapsulated(session.id());
  Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "GET_ENCAPSULATED_REQUEST: {} came", reply.str());
  if (link.heard().last(SpdmCode::kKeyUpdateAck) == nullptr &&
      !link.heard().has_sent(SpdmCode::kDeliverEncapsulatedResponse))
    return skipped("the responder has no KEY_UPDATE of its own");
  reply = link.raw(harmless_request(link), session.id());
  TEEIO_CASE(reply.answered(), "under the new key: {} came", reply.str());
  return passed();
}

Verdict nothing_to_ask(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, able(bench.negotiated_with_identity(), wire::kSpdmCapEncap));
  const Reply reply = link.raw(raw_spdm(version_of(link), SpdmCode::kGetEncapsulatedRequest));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict deliver_unasked(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, able(bench.negotiated_with_identity(), wire::kSpdmCapEncap));
  const Bytes digests = raw_spdm(version_of(link), SpdmCode::kDigests);
  const Reply reply =
      link.raw(raw_spdm(version_of(link), SpdmCode::kDeliverEncapsulatedResponse, 1, 0, digests));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict unable_requester(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  const Reply reply = link.raw(raw_spdm(version_of(link), SpdmCode::kGetEncapsulatedRequest));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

// --- pre-shared keys --------------------------------------------------------------

std::expected<Link, Verdict> with_psk(Bench& bench) {
  if (!bench.target().psk) return std::unexpected(skipped("--psk HINT=KEY is not given"));
  if (bench.target().transport == PlatformTransport::kNone)
    return std::unexpected(skipped("transport none carries no sessions"));
  auto link = bench.negotiated();
  if (link && !has_flag(*link, wire::kSpdmCapPsk | wire::kSpdmCapPskWithContext))
    return std::unexpected(skipped("PSK_CAP is not set"));
  return link;
}

Verdict psk_session(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, with_psk(bench));
  link.requester().open_psk_session(*bench.target().psk);
  Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "PSK_EXCHANGE and PSK_FINISH: {} came", reply.str());
  link.requester().end_session(*link.requester().last_session());
  reply = link.run();
  TEEIO_CASE(reply.answered(), "END_SESSION: {} came", reply.str());
  return passed();
}

Verdict psk_unknown_hint(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, with_psk(bench));
  spdm::Psk psk = *bench.target().psk;
  for (std::byte& byte : psk.hint) byte = ~byte;
  link.requester().open_psk_session(psk);
  const Reply reply = link.run();
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

Verdict psk_other_key(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, with_psk(bench));
  spdm::Psk psk = *bench.target().psk;
  psk.key.front() ^= std::byte{1};
  link.requester().open_psk_session(psk);
  const Reply reply = link.run();
  TEEIO_CASE(!reply.answered(), "a session opens under a key that the responder does not have");
  return passed();
}

constexpr Case kAuthCases[] = {
    {"mutual", "A session opens whose requester was asked for its certificates",
     "DSP0274, mutual authentication", mutual},
    {"known.key",
     "A requester without certificates, whose key the responder has, is asked for a signature by "
     "it",
     "DSP0274, KEY_EXCHANGE_RSP, MutAuthRequested and ReqSlotID", known_requester},
    {"known.other", "No session opens for a requester with another key than that one",
     "DSP0274, FINISH", another_requester},
    {"known.challenge",
     "A session may ask for the chain that CHALLENGE has brought, without encapsulated requests",
     "DSP0274, KEY_EXCHANGE_RSP, MutAuthRequested", known_from_challenge},
    {"known.slots", "A responder whose key requesters have refuses slot 0",
     "DSP0274, CHALLENGE, SlotID", known_responder_slots},
    {"challenge",
     "CHALLENGE_AUTH of any version may ask for the requester's certificates, and takes its answer",
     "DSP0274, basic mutual authentication", basic_mutual},
    {"key_update", "The responder's own KEY_UPDATE leaves the session whole",
     "DSP0274, KEY_UPDATE; DSP0274, encapsulated requests", own_key_update},
    {"encap.idle", "GET_ENCAPSULATED_REQUEST is refused when there is nothing to ask",
     "DSP0274, GET_ENCAPSULATED_REQUEST", nothing_to_ask},
    {"encap.unasked", "DELIVER_ENCAPSULATED_RESPONSE to no request is refused",
     "DSP0274, DELIVER_ENCAPSULATED_RESPONSE", deliver_unasked},
    {"encap.unable", "GET_ENCAPSULATED_REQUEST of a requester without ENCAP_CAP is refused",
     "DSP0274, GET_ENCAPSULATED_REQUEST", unable_requester},
    {"psk.session", "A session opens under the pre-shared key", "DSP0274, PSK_EXCHANGE",
     psk_session},
    {"psk.hint", "PSK_EXCHANGE with a hint that nobody knows is refused", "DSP0274, PSK_EXCHANGE",
     psk_unknown_hint},
    {"psk.key", "No session opens under another key than the hint's", "DSP0274, PSK_EXCHANGE_RSP",
     psk_other_key},
};

}  // namespace

std::span<const Case> auth_cases() { return kAuthCases; }

}  // namespace teeio::serve::validate
