// CHALLENGE.
#include "crypto/random.h"
#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm::responder {

using wire::SpdmErrorCode;

Reply challenge(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmChallenge::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kChallenge);
  const LocalSlot* slot = state.signer(request->slot);
  if (slot == nullptr) return refuse(SpdmErrorCode::kInvalidRequest);
  if (state.multi_key && (slot->credential->key_usage & wire::kSpdmKeyUseChallenge) == 0)
    return refuse(SpdmErrorCode::kInvalidRequest);
  auto summary = summary_hash(state, request->summary);
  if (!summary) return std::unexpected(std::move(summary.error()));

  wire::SpdmChallengeAuth answer;
  answer.version = state.version();
  answer.slot = request->slot;
  answer.slot_mask = state.slot_mask();
  answer.chain_hash = slot->hash;
  crypto::fill_random(answer.nonce);
  answer.summary_hash = *summary;
  answer.context = request->context;
  // Basic mutual authentication went away with 1.4.
  answer.basic_mutual_auth = state.config.mutual_auth != MutualAuth::kNever &&
                             state.version() >= wire::kSpdmVersion11 &&
                             state.version() < wire::kSpdmVersion14 &&
                             state.can(wire::kSpdmCapMutAuth | wire::kSpdmCapEncap,
                                       wire::kSpdmCapMutAuth | wire::kSpdmCapEncap |
                                           wire::kSpdmCapChal | wire::kSpdmCapCert);
  Bytes bytes = answer.encode();
  state.m1m2.update(*state.base, request->wire).update(*state.base, bytes);
  const auto signature = slot->credential->identity->key.sign_spdm(
      {state.version(), crypto::SigningPurpose::kResponderChallengeAuth, *state.suite.asym,
       *state.suite.hash},
      state.m1m2.digest(*state.base));
  state.m1m2.clear();
  if (!signature) return refuse(SpdmErrorCode::kUnspecified);
  bytes.insert(bytes.end(), signature->begin(), signature->end());
  if (answer.basic_mutual_auth)
    start_encapsulated(state, EncapsulatedFlow::Purpose::kChallenge, kNoSession, 0);
  return bytes;
}

}  // namespace teeio::spdm::responder
