// Keys that one end has of the other beforehand: authentication without certificates
// (PUB_KEY_ID_CAP), and without encapsulated requests (MutAuthRequested 1).

#include <fmt/format.h>

#include <utility>

#include "serve/validate/auth.h"
#include "serve/validate/bench.h"
#include "serve/validate/own_keys.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_session.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;

constexpr const char* kNoKey = "--requester-key is not given";

/// A link on which a session can be opened whose requester has `key`, and no certificates.
std::expected<Link, Verdict> with_key(Bench& bench, GivenKey& key) {
  if (bench.target().transport == PlatformTransport::kNone)
    return std::unexpected(skipped("transport none carries no sessions"));
  if (key.req_base_asym() == 0)
    return std::unexpected(skipped("ReqBaseAsymAlg has no algorithm for --requester-key"));
  auto link = bench.with_signer(bench.negotiated_with_key(key));
  if (!link) return link;
  if (!has_flag(*link, wire::kSpdmCapKeyEx))
    return std::unexpected(skipped("KEY_EX_CAP is not set"));
  if (!has_flag(*link, wire::kSpdmCapMutAuth))
    return std::unexpected(skipped("MUT_AUTH_CAP is not set"));
  return link;
}

Verdict not_asked(const Link& link) {
  return link.heard().last(SpdmCode::kKeyExchangeRsp) == nullptr
             ? skipped("KEY_EXCHANGE is refused: the responder may want certificates")
             : skipped("KEY_EXCHANGE_RSP does not ask for authentication");
}

}  // namespace

MutualAuthAsked mutual_auth_asked(const Link& link) {
  constexpr std::size_t kHow = 6, kSlot = 7;  // behind header and session ID
  const Bytes* const answer = link.heard().last(SpdmCode::kKeyExchangeRsp);
  if (answer == nullptr || answer->size() <= kSlot) return {};
  return {std::to_integer<std::uint8_t>((*answer)[kHow]),
          static_cast<std::uint8_t>(std::to_integer<unsigned>((*answer)[kSlot]) & 0xfU)};
}

Verdict known_requester(Bench& bench) {
  if (!bench.target().requester_key) return skipped(kNoKey);
  GivenKey key(*bench.target().requester_key);
  TEEIO_CASE_ASSIGN(Link link, with_key(bench, key));
  link.requester().open_session({.slot = signing_slot(link)});
  Reply reply = link.run();
  const MutualAuthAsked asked = mutual_auth_asked(link);
  if (asked.how == 0) return not_asked(link);
  TEEIO_CASE(asked.how == wire::kSpdmMutAuth && asked.slot == spdm::kKnownKeyInFourBits,
             "MutAuthRequested is {} and ReqSlotID {}, and not 1 and 15", asked.how, asked.slot);
  TEEIO_CASE(reply.answered(), "KEY_EXCHANGE and FINISH: {} came", reply.str());
  reply = link.raw(harmless_request(link), *link.requester().last_session());
  TEEIO_CASE(reply.answered(), "a request inside: {} came", reply.str());
  return passed();
}

Verdict another_requester(Bench& bench) {
  if (!bench.target().requester_key) return skipped(kNoKey);
  GivenKey key(crypto::PrivateKey::generate(bench.target().requester_key->type()));
  TEEIO_CASE_ASSIGN(Link link, with_key(bench, key));
  link.requester().open_session({.slot = signing_slot(link)});
  const Reply reply = link.run();
  if (mutual_auth_asked(link).how == 0) return not_asked(link);
  TEEIO_CASE(!reply.answered(), "a session opens for a key that the responder was not given");
  return passed();
}

/// MutAuthRequested 1 names a slot whose chain the responder has read on this connection.
Verdict known_from_challenge(Bench& bench) {
  if (bench.target().transport == PlatformTransport::kNone)
    return skipped("transport none carries no sessions");
  for (const std::uint8_t version :
       {wire::kSpdmVersion13, wire::kSpdmVersion12, wire::kSpdmVersion11}) {
    if (!bench.may_offer(version)) continue;
    TEEIO_CASE_ASSIGN(Link link, bench.with_signer(bench.negotiated_with_identity(version)));
    for (const auto& [flag, word] :
         {std::pair(wire::kSpdmCapMutAuth, "MUT_AUTH_CAP"),
          std::pair(wire::kSpdmCapChal, "CHAL_CAP"), std::pair(wire::kSpdmCapKeyEx, "KEY_EX_CAP")})
      if (!has_flag(link, flag)) return skipped(fmt::format("{} is not set", word));
    link.requester().challenge(signing_slot(link));
    Reply reply = link.run();
    if (!reply.answered())
      return skipped(fmt::format("CHALLENGE: {} came, which auth.challenge judges", reply.str()));
    if (!link.heard().has_sent(SpdmCode::kDeliverEncapsulatedResponse))
      return skipped("CHALLENGE_AUTH does not ask for authentication");
    link.requester().open_session({.slot = signing_slot(link)});
    reply = link.run();
    if (mutual_auth_asked(link).how != wire::kSpdmMutAuth)
      return skipped("KEY_EXCHANGE_RSP asks for no chain that CHALLENGE has brought");
    TEEIO_CASE(reply.answered(), "KEY_EXCHANGE and FINISH: {} came", reply.str());
    reply = link.raw(harmless_request(link), *link.requester().last_session());
    TEEIO_CASE(reply.answered(), "a request inside: {} came", reply.str());
    return passed();
  }
  return skipped("VERSION lists none of 1.1 to 1.3, whose CHALLENGE_AUTH may ask");
}

/// Where the key is known there are no slots. Source: DSP0274 1.2, CHALLENGE, SlotID.
Verdict known_responder_slots(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  if (!has_flag(link, wire::kSpdmCapPubKeyId)) return skipped("PUB_KEY_ID_CAP is not set");
  if (!has_flag(link, wire::kSpdmCapChal)) return skipped("CHAL_CAP is not set");
  const std::uint8_t version = link.requester().negotiated()->version;
  wire::SpdmChallenge request;
  request.version = version;
  const Reply reply = link.raw(request.encode());
  TEEIO_CASE(reply.kind == Reply::Kind::kError, "CHALLENGE of slot 0: {} came", reply.str());
  return passed();
}

}  // namespace teeio::serve::validate
