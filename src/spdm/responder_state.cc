#include "spdm/responder_state.h"

#include <algorithm>
#include <array>
#include <utility>

namespace teeio::spdm {

std::string_view name(SessionEnd reason) {
  static constexpr std::array<std::string_view, 7> kNames{
      "ended", "decrypt error", "heartbeat", "handshake", "key update", "reset", "owner"};
  return kNames.at(std::to_underlying(reason));
}

}  // namespace teeio::spdm

namespace teeio::spdm::responder {

namespace {

/// Encodes and hashes a chain unless it is the one that the last connection had.
void refresh(LocalSlot& slot, crypto::HashAlgorithm algorithm) {
  const crypto::CertificateChain& chain = slot.credential->identity->chain;
  if (slot.algorithm == algorithm && std::ranges::equal(slot.certificates, chain.certificates()))
    return;
  slot.certificates.assign(chain.certificates().begin(), chain.certificates().end());
  slot.algorithm = algorithm;
  slot.chain = crypto::encode_spdm_chain(chain, algorithm);
  slot.hash = crypto::hash(algorithm, slot.chain);
}

/// The same of the key alone, by its SubjectPublicKeyInfo: the form in which DMTF's spdm-emu
/// provisions keys (*.pub.der). Source: libspdm, libspdm_generate_public_key_hash().
void refresh_key(LocalSlot& slot, crypto::HashAlgorithm algorithm) {
  slot.chain = slot.credential->identity->key.public_key().der();
  slot.algorithm = algorithm;
  slot.hash = crypto::hash(algorithm, slot.chain);
}

}  // namespace

std::unexpected<Refusal> refuse(const Error& decode_error, wire::SpdmCode request) {
  if (decode_error.code == Errno::kOpNotSupp)
    return refuse(wire::SpdmErrorCode::kUnsupportedRequest, std::to_underlying(request));
  return refuse(wire::SpdmErrorCode::kInvalidRequest);
}

wire::SpdmErrorCode session_required(const State& state) {
  // SessionRequired came with 1.2.
  return state.version() >= wire::kSpdmVersion12 ? wire::SpdmErrorCode::kSessionRequired
                                                 : wire::SpdmErrorCode::kUnexpectedRequest;
}

Session* State::find(std::uint32_t id) {
  const auto at = std::ranges::find(sessions, id, [](const auto& s) { return s->id; });
  return at != sessions.end() ? at->get() : nullptr;
}

void State::end(std::uint32_t id, SessionEnd reason) {
  const auto at = std::ranges::find(sessions, id, [](const auto& s) { return s->id; });
  if (at == sessions.end()) return;
  sessions.erase(at);
  if (encapsulated.session == id) encapsulated = {};
  if (outgoing && outgoing->session == id) outgoing.reset();
  if (incoming && incoming->session == id) incoming.reset();
  if (deferred && deferred->session == id) deferred.reset();
  if (config.observer != nullptr) config.observer->session_ended(id, reason);
}

void State::end_all(SessionEnd reason) {
  while (!sessions.empty()) end(sessions.back()->id, reason);
}

void State::forget() {
  end_all(SessionEnd::kReset);
  phase = Phase::kNotStarted;
  agreed = {};
  suite = {};
  multi_key = false;
  peer_multi_key = false;
  vca.clear();
  base.reset();
  m1m2.clear();
  l1l2.reset();
  challenged.reset();
  multi_key_digests.clear();
  digests_may_enter = true;
  for (LocalSlot& slot : slots) slot.asked = false;
  known_key.asked = false;
  encapsulated = {};
  outgoing.reset();
  incoming.reset();
  deferred.reset();
  app.reset();
  resynch = false;
  clears_negotiated = false;
}

void State::reset() {
  if (!keeps_agreement()) return forget();
  const Negotiated kept = agreed;
  const Suite kept_suite = suite;
  const bool ours = multi_key, theirs = peer_multi_key;
  Bytes messages = vca;
  forget();
  phase = Phase::kNegotiated;
  agreed = kept;
  suite = kept_suite;
  multi_key = ours;
  peer_multi_key = theirs;
  vca = std::move(messages);
  if (suite.hash) base.emplace(*suite.hash).update(vca);
}

const LocalSlot* State::slot(std::uint8_t number) {
  if (number >= wire::kSpdmSlots || config.credentials == nullptr || !suite.asym || !suite.hash)
    return nullptr;
  LocalSlot& known = slots[number];
  if (!known.asked) {
    known.asked = true;
    known.credential = config.credentials->credential(number, *suite.asym, *suite.hash);
    if (known.credential != nullptr) refresh(known, *suite.hash);
  }
  return known.credential != nullptr ? &known : nullptr;
}

const LocalSlot* State::signer(std::uint8_t number) {
  if (!has_known_key()) return slot(number);
  if (number != kKnownKey || config.credentials == nullptr || !suite.asym || !suite.hash)
    return nullptr;
  if (!known_key.asked) {
    known_key.asked = true;
    known_key.credential = config.credentials->credential(0, *suite.asym, *suite.hash);
    if (known_key.credential != nullptr) refresh_key(known_key, *suite.hash);
  }
  return known_key.credential != nullptr ? &known_key : nullptr;
}

const LocalSlot* State::signer_of_four_bits(std::uint8_t number) {
  const bool only_one = has_known_key() && version() < wire::kSpdmVersion11;
  return signer(number == kKnownKeyInFourBits || only_one ? kKnownKey : number);
}

std::uint8_t State::slot_mask() {
  if (has_known_key()) return 0;
  std::uint8_t mask = 0;
  for (std::uint8_t number = 0; number < wire::kSpdmSlots; ++number)
    if (slot(number) != nullptr) mask |= static_cast<std::uint8_t>(1U << number);
  return mask;
}

wire::SpdmSizes State::sizes() const {
  return {.hash = suite.hash_size(),
          .signature = suite.req_signature_size(),
          .exchange_request = suite.exchange_request_size(),
          .exchange_response = suite.exchange_response_size(),
          .summary_hash = 0,
          .verify_data = suite.hash_size(),
          .multi_key = multi_key};
}

}  // namespace teeio::spdm::responder
