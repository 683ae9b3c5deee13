// KEY_EXCHANGE and FINISH.
#include <algorithm>

#include "crypto/kem.h"
#include "crypto/key_exchange.h"
#include "crypto/random.h"
#include "spdm/opaque.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_session.h"

namespace teeio::spdm::requester {
namespace {

/// What our slot is to the peer: its chain in SPDM format, hashed, or the key that the peer was
/// given. nullopt: empty.
struct OwnSlot {
  const Credential* credential = nullptr;
  crypto::Digest hash;
};
std::optional<OwnSlot> own_slot(const State& state, std::uint8_t number) {
  const bool known = number == kKnownKey;
  if (state.config.credentials == nullptr || !state.suite.req_asym ||
      known != state.config.peer_has_own_key || (!known && number >= wire::kSpdmSlots))
    return std::nullopt;
  const Credential* credential = state.config.credentials->credential(
      known ? 0 : number, *state.suite.req_asym, *state.suite.hash);
  if (credential == nullptr) return std::nullopt;
  const crypto::Identity& own = *credential->identity;
  return OwnSlot{credential,
                 crypto::hash(*state.suite.hash,
                              known ? own.key.public_key().der()
                                    : crypto::encode_spdm_chain(own.chain, *state.suite.hash))};
}

class KeyExchange final : public SessionStep {
 public:
  explicit KeyExchange(Requester::SessionWanted wanted)
      : SessionStep(kNoSession), wanted_(wanted) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (!state.both(wire::kSpdmCapKeyEx) || !state.both(wire::kSpdmCapMac) || !state.suite.aead)
      return fail(Errno::kOpNotSupp, "the device opens no sessions by KEY_EXCHANGE");
    if (!state.signer(wanted_.slot))
      return fail(Errno::kNxio, "the slot's certificates were not read");
    const auto half = free_session_half(state);
    if (!half) return fail(Errno::kBusy, "as many SPDM sessions are open as the limit allows");
    if (state.suite.kem)
      decapsulation_.emplace(crypto::DecapsulationKey::generate(*state.suite.kem));
    else
      ephemeral_.emplace(crypto::EphemeralKey::generate(*state.suite.group));
    const Bytes opaque = offer_secured_versions(state.agreed);
    wire::SpdmKeyExchange request;
    request.version = state.version();
    request.summary = static_cast<std::uint8_t>(wanted_.summary);
    request.slot = wanted_.slot;
    request.session_id = *half;
    request.policy = wanted_.policy;
    crypto::fill_random(request.random);
    request.exchange =
        decapsulation_ ? decapsulation_->encapsulation_key() : ephemeral_->exchange_data();
    request.opaque = opaque;
    half_ = *half;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    const bool clear = state.both(wire::kSpdmCapHandshakeInTheClear);
    wire::SpdmSizes sizes = state.sizes();
    sizes.summary_hash = state.summary_size(wanted_.summary);
    if (clear) sizes.verify_data = 0;
    TEEIO_ASSIGN(const auto answer, wire::SpdmKeyExchangeRsp::decode(response, sizes));
    if (!state.both(wire::kSpdmCapHeartbeat) && answer.heartbeat_period != 0)
      return fail(Errno::kInval, "KEY_EXCHANGE_RSP has a heartbeat that is not agreed");
    TEEIO_TRY(read_secured_version_choice(state.agreed, answer.opaque));
    const std::uint32_t id = wire::spdm_session_id(half_, answer.session_id);
    if (id == kNoSession || state.find(id) != nullptr)
      return fail(Errno::kInval, "KEY_EXCHANGE_RSP repeats a session ID");
    TEEIO_TRY(check_mut_auth(state, answer));
    TEEIO_ASSIGN(const crypto::Secret secret, derive(answer.exchange));

    auto session = std::make_unique<Session>(begin_transcript(state));
    session->id = id;
    session->slot = wanted_.slot;
    session->in_the_clear = clear;
    session->mut_auth = answer.mut_auth;
    session->own_slot = answer.req_slot == kKnownKeyInFourBits ? kKnownKey : answer.req_slot;
    session->heartbeat_period_s = answer.heartbeat_period;
    const std::size_t proofs = answer.signature.size() + answer.verify_data.size();
    session->transcript.update(request).update(answer.wire.first(answer.wire.size() - proofs));
    TEEIO_TRY(verify_peer(state, wanted_.slot, crypto::SigningPurpose::kResponderKeyExchangeRsp,
                          session->transcript.digest(), answer.signature));
    session->transcript.update(answer.signature);
    if (!decapsulation_) report_dhe_secret(state.config.observer, id, secret.view());
    start_handshake(state, *session, secret.view());
    if (!clear) {
      if (!session->keys->is_finished(Direction::kResponses, session->transcript.digest(),
                                      answer.verify_data))
        return fail(Errno::kPerm, "KEY_EXCHANGE_RSP's HMAC is wrong");
      session->transcript.update(answer.verify_data);
    }
    state.summary.assign(answer.summary_hash.begin(), answer.summary_hash.end());
    state.opening = id;
    state.sessions.push_back(std::move(session));
    state.push_next(make_finish());
    if ((answer.mut_auth & (wire::kSpdmMutAuthEncapsulated | wire::kSpdmMutAuthGetDigests)) != 0)
      state.push_next(make_encapsulated(clear ? kNoSession : id, answer.mut_auth, std::nullopt));
    return Progress::kDone;
  }

 private:
  Result<crypto::Secret> derive(ByteView exchange) const {
    auto secret =
        decapsulation_ ? decapsulation_->decapsulate(exchange) : ephemeral_->derive(exchange);
    if (!secret) return fail(Errno::kInval, "KEY_EXCHANGE_RSP's public key is none of its group");
    return secret;
  }

  static Result<void> check_mut_auth(const State& state, const wire::SpdmKeyExchangeRsp& answer) {
    const std::uint8_t mut_auth = answer.mut_auth;
    if (mut_auth == 0) return {};
    const bool known = mut_auth == wire::kSpdmMutAuth ||
                       mut_auth == wire::kSpdmMutAuthEncapsulated ||
                       mut_auth == wire::kSpdmMutAuthGetDigests;
    if (!known || !state.both(wire::kSpdmCapMutAuth))
      return fail(Errno::kInval, "KEY_EXCHANGE_RSP wants mutual authentication that is not agreed");
    if (mut_auth != wire::kSpdmMutAuth && !state.both(wire::kSpdmCapEncap))
      return fail(Errno::kInval, "KEY_EXCHANGE_RSP wants an encapsulated flow that is not agreed");
    // Source: libspdm libspdm_req_key_exchange.c, libspdm_try_send_receive_key_exchange().
    if (state.config.peer_has_own_key && mut_auth != wire::kSpdmMutAuth)
      return fail(Errno::kInval, "KEY_EXCHANGE_RSP wants certificates of a key that is known");
    if (mut_auth == wire::kSpdmMutAuth &&
        (answer.req_slot == kKnownKeyInFourBits) != state.config.peer_has_own_key)
      return fail(Errno::kInval, "KEY_EXCHANGE_RSP wants a key that this end does not have");
    return {};
  }

  crypto::RunningHash begin_transcript(const State& state) const {
    crypto::RunningHash transcript = *state.base;
    if (state.peer_multi_key) transcript.update(state.multi_key_digests);
    transcript.update(*state.signer(wanted_.slot)->hash);
    return transcript;
  }

  const Requester::SessionWanted wanted_;
  std::uint16_t half_ = 0;
  std::optional<crypto::EphemeralKey> ephemeral_;
  std::optional<crypto::DecapsulationKey> decapsulation_;  ///< in its place
};

class Finish final : public Step {
 public:
  [[nodiscard]] std::uint32_t session(const State& state) const override {
    const Session* opening = state.find(state.opening);
    return opening == nullptr || opening->in_the_clear ? kNoSession : opening->id;
  }

  Result<Bytes> build(State& state) override {
    Session* opening = state.find(state.opening);
    if (opening == nullptr) return fail(Errno::kNxio, "no SPDM session is being opened");
    wire::SpdmFinish request;
    request.version = state.version();
    std::optional<OwnSlot> slot;
    const Bytes blank(state.suite.req_signature_size());
    crypto::RunningHash transcript = opening->transcript;
    if (opening->mut_auth != 0) {
      slot = own_slot(state, opening->own_slot);
      if (!slot) return fail(Errno::kOpNotSupp, "the device wants a certificate that is not here");
      transcript.update(slot->hash);
      request.req_slot = opening->own_slot;
      request.signature = blank;  // says in the header that there is one
    }
    Bytes bytes = request.encode();
    bytes.resize(bytes.size() - request.signature.size());
    transcript.update(bytes);
    if (slot) {
      TEEIO_ASSIGN(const Bytes signature,
                   slot->credential->identity->key.sign_spdm(
                       {state.version(), crypto::SigningPurpose::kRequesterFinish,
                        *state.suite.req_asym, *state.suite.hash},
                       transcript.digest()));
      transcript.update(signature);
      bytes.insert(bytes.end(), signature.begin(), signature.end());
    }
    const crypto::Digest proof = opening->keys->finished(Direction::kRequests, transcript.digest());
    transcript.update(proof);
    bytes.insert(bytes.end(), proof.view().begin(), proof.view().end());
    transcript_.emplace(std::move(transcript));
    return bytes;
  }

  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    Session* opening = state.find(state.opening);
    if (opening == nullptr) return fail(Errno::kNxio, "no SPDM session is being opened");
    wire::SpdmSizes sizes = state.sizes();
    if (!opening->in_the_clear) sizes.verify_data = 0;
    TEEIO_ASSIGN(const auto answer, wire::SpdmFinishRsp::decode(response, sizes));
    crypto::RunningHash transcript = *transcript_;
    transcript.update(answer.wire.first(answer.wire.size() - answer.verify_data.size()));
    if (opening->in_the_clear) {
      if (!opening->keys->is_finished(Direction::kResponses, transcript.digest(),
                                      answer.verify_data))
        return fail(Errno::kPerm, "FINISH_RSP's HMAC is wrong");
      transcript.update(answer.verify_data);
    }
    opening->transcript = std::move(transcript);
    establish(state, *opening);
    return Progress::kDone;
  }

 private:
  std::optional<crypto::RunningHash> transcript_;
};

}  // namespace

std::unique_ptr<Step> make_finish() { return std::make_unique<Finish>(); }

void push_session(State& state, Requester::SessionWanted wanted) {
  state.push(std::make_unique<KeyExchange>(wanted));
}

}  // namespace teeio::spdm::requester
