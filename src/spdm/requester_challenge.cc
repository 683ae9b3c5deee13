// CHALLENGE.
#include <algorithm>

#include "crypto/random.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm::requester {
namespace {

class Challenge final : public SessionStep {
 public:
  Challenge(std::uint8_t slot, MeasurementSummary summary)
      : SessionStep(kNoSession), slot_(slot), summary_(summary) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (!state.peer_can(wire::kSpdmCapChal))
      return fail(Errno::kOpNotSupp, "the device answers no CHALLENGE");
    if (!state.signer(slot_)) return fail(Errno::kNxio, "the slot's certificates were not read");
    wire::SpdmChallenge request;
    request.version = state.version();
    request.slot = slot_;
    request.summary = static_cast<std::uint8_t>(summary_);
    crypto::fill_random(request.nonce);
    crypto::fill_random(request.context);
    context_ = request.context;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    wire::SpdmSizes sizes = state.sizes();
    sizes.summary_hash = state.summary_size(summary_);
    TEEIO_ASSIGN(const auto answer, wire::SpdmChallengeAuth::decode(response, sizes));
    if (answer.slot != (slot_ & kKnownKeyInFourBits))
      return fail(Errno::kInval, "CHALLENGE_AUTH is of another slot");
    const auto peer = state.signer(slot_);
    if (!peer) return fail(Errno::kNxio, "the slot's certificates were not read");
    if (!std::ranges::equal(answer.chain_hash, peer->hash->view()))
      return fail(Errno::kPerm, "CHALLENGE_AUTH is of another certificate chain");
    if (state.version() >= wire::kSpdmVersion13 && answer.context != context_)
      return fail(Errno::kPerm, "CHALLENGE_AUTH answers another request");
    state.m1m2.update(*state.base, request);
    state.m1m2.update(*state.base, answer.wire.first(answer.wire.size() - answer.signature.size()));
    const crypto::Digest transcript = state.m1m2.digest(*state.base);
    state.m1m2.clear();
    TEEIO_TRY(verify_peer(state, slot_, crypto::SigningPurpose::kResponderChallengeAuth, transcript,
                          answer.signature));
    state.summary.assign(answer.summary_hash.begin(), answer.summary_hash.end());
    if (answer.basic_mutual_auth) {
      if (!state.both(wire::kSpdmCapMutAuth | wire::kSpdmCapEncap))
        return fail(Errno::kInval, "CHALLENGE_AUTH wants mutual authentication that is not agreed");
      state.push_next(make_encapsulated(kNoSession, 0, begin_mutual(state)));
    }
    return Progress::kDone;
  }

 private:
  /// M1/M2 of the other direction begins with message A since 1.2.
  static crypto::RunningHash begin_mutual(const State& state) {
    if (state.version() >= wire::kSpdmVersion12) return *state.base;
    return crypto::RunningHash(*state.suite.hash);
  }

  const std::uint8_t slot_;
  const MeasurementSummary summary_;
  wire::SpdmContext context_{};
};

}  // namespace

void push_challenge(State& state, std::uint8_t slot, MeasurementSummary summary) {
  state.push(std::make_unique<Challenge>(slot, summary));
}

}  // namespace teeio::spdm::requester
