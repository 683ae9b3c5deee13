// PSK_EXCHANGE and PSK_FINISH.
#include <algorithm>

#include "crypto/random.h"
#include "spdm/opaque.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_session.h"

namespace teeio::spdm::requester {
namespace {

constexpr std::size_t kMinContext = 32;  ///< bytes of a context: the hash's size, at least this

class PskFinish final : public Step {
 public:
  [[nodiscard]] std::uint32_t session(const State& state) const override { return state.opening; }

  Result<Bytes> build(State& state) override {
    Session* opening = state.find(state.opening);
    if (opening == nullptr) return fail(Errno::kNxio, "no SPDM session is being opened");
    wire::SpdmPskFinish request;
    request.version = state.version();
    Bytes bytes = request.encode();
    crypto::RunningHash transcript = opening->transcript;
    transcript.update(bytes);
    const crypto::Digest proof = opening->keys->finished(Direction::kRequests, transcript.digest());
    transcript.update(proof);
    bytes.insert(bytes.end(), proof.view().begin(), proof.view().end());
    transcript_.emplace(std::move(transcript));
    return bytes;
  }

  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    Session* opening = state.find(state.opening);
    if (opening == nullptr) return fail(Errno::kNxio, "no SPDM session is being opened");
    TEEIO_ASSIGN(const auto answer, wire::SpdmPskFinishRsp::decode(response));
    opening->transcript = *transcript_;
    opening->transcript.update(answer.wire);
    establish(state, *opening);
    return Progress::kDone;
  }

 private:
  std::optional<crypto::RunningHash> transcript_;
};

class PskExchange final : public SessionStep {
 public:
  PskExchange(Psk psk, MeasurementSummary summary)
      : SessionStep(kNoSession), psk_(std::move(psk)), summary_(summary) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if ((state.agreed.own_flags & wire::kSpdmCapPsk) == 0 ||
        !state.peer_can(wire::kSpdmCapPsk | wire::kSpdmCapPskWithContext) ||
        !state.both(wire::kSpdmCapMac) || !state.suite.aead)
      return fail(Errno::kOpNotSupp, "the device opens no sessions by PSK_EXCHANGE");
    const auto half = free_session_half(state);
    if (!half) return fail(Errno::kBusy, "as many SPDM sessions are open as the limit allows");
    Bytes context(std::max(kMinContext, state.suite.hash_size()));
    crypto::fill_random(context);
    const Bytes opaque = offer_secured_versions(state.agreed);
    wire::SpdmPskExchange request;
    request.version = state.version();
    request.summary = static_cast<std::uint8_t>(summary_);
    request.session_id = *half;
    request.hint = psk_.hint;
    request.context = context;
    request.opaque = opaque;
    half_ = *half;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    wire::SpdmSizes sizes = state.sizes();
    sizes.summary_hash = state.summary_size(summary_);
    TEEIO_ASSIGN(const auto answer, wire::SpdmPskExchangeRsp::decode(response, sizes));
    if (!state.both(wire::kSpdmCapHeartbeat) && answer.heartbeat_period != 0)
      return fail(Errno::kInval, "PSK_EXCHANGE_RSP has a heartbeat that is not agreed");
    TEEIO_TRY(read_secured_version_choice(state.agreed, answer.opaque));
    const std::uint32_t id = wire::spdm_session_id(half_, answer.session_id);
    if (id == kNoSession || state.find(id) != nullptr)
      return fail(Errno::kInval, "PSK_EXCHANGE_RSP repeats a session ID");
    const bool finishes = state.peer_can(wire::kSpdmCapPskWithContext);
    if (finishes && answer.context.empty())
      return fail(Errno::kInval, "PSK_EXCHANGE_RSP lacks its context");
    auto session = std::make_unique<Session>(*state.base);
    session->id = id;
    session->psk = true;
    session->heartbeat_period_s = answer.heartbeat_period;
    session->transcript.update(request).update(
        answer.wire.first(answer.wire.size() - answer.verify_data.size()));
    start_handshake(state, *session, psk_.key);
    if (!session->keys->is_finished(Direction::kResponses, session->transcript.digest(),
                                    answer.verify_data))
      return fail(Errno::kPerm, "PSK_EXCHANGE_RSP's HMAC is wrong");
    session->transcript.update(answer.verify_data);
    state.summary.assign(answer.summary_hash.begin(), answer.summary_hash.end());
    Session& opened = *session;
    state.opening = id;
    state.sessions.push_back(std::move(session));
    if (finishes) {
      state.push_next(std::make_unique<PskFinish>());
    } else {
      establish(state, opened);
    }
    return Progress::kDone;
  }

 private:
  const Psk psk_;
  const MeasurementSummary summary_;
  std::uint16_t half_ = 0;
};

}  // namespace

void push_psk_session(State& state, Psk psk, MeasurementSummary summary) {
  state.push(std::make_unique<PskExchange>(std::move(psk), summary));
}

}  // namespace teeio::spdm::requester
