// GET_DIGESTS, GET_CERTIFICATE.
#include <algorithm>

#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"

namespace teeio::spdm::requester {
namespace {

void note(State& state, std::uint32_t session, ByteView request, ByteView response) {
  if (session == kNoSession) state.m1m2.update(*state.base, request).update(*state.base, response);
}

class GetDigests final : public SessionStep {
 public:
  using SessionStep::SessionStep;
  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (!state.peer_can(wire::kSpdmCapCert))
      return fail(Errno::kOpNotSupp, "the device has no certificates");
    wire::SpdmGetDigests request;
    request.version = state.version();
    return request.encode();
  }
  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmDigests::decode(response, state.sizes()));
    if (answer.provisioned == 0) return fail(Errno::kInval, "DIGESTS describes no slot");
    std::size_t at = 0;
    const std::size_t size = state.suite.hash_size();
    for (std::size_t i = 0; i < wire::kSpdmSlots; ++i) {
      PeerSlot& slot = state.slots.at(i);
      if ((answer.provisioned >> i & 1U) == 0) {
        slot.digest.clear();
        continue;
      }
      const ByteView digest = answer.digests.subspan(at, size);
      at += size;
      // What was proved must not change behind our back.
      if (slot.verified && !std::ranges::equal(slot.verified->hash.view(), digest))
        return fail(Errno::kPerm, "the device's certificates have changed");
      slot.digest.assign(digest.begin(), digest.end());
    }
    state.slot_mask = answer.provisioned;
    if (session_ == kNoSession) state.m1m2.clear();
    note(state, session_, request, answer.wire);
    if (session_ == kNoSession && state.peer_multi_key && state.digests_may_enter &&
        state.multi_key_digests.empty())
      state.multi_key_digests.assign(answer.wire.begin(), answer.wire.end());
    return Progress::kDone;
  }
};

class GetCertificate final : public SessionStep {
 public:
  GetCertificate(std::uint8_t slot, std::uint32_t session) : SessionStep(session), slot_(slot) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (slot_ >= wire::kSpdmSlots) return fail(Errno::kInval, "there are eight certificate slots");
    if ((std::uint32_t{state.slot_mask} >> slot_ & 1U) == 0)
      return fail(Errno::kOpNotSupp, "the device's certificate slot is empty");
    wire::SpdmGetCertificate request;
    request.version = state.version();
    request.slot = slot_;
    request.large = state.version() >= wire::kSpdmVersion14 && state.both(wire::kSpdmCapLargeResp);
    request.offset = static_cast<std::uint32_t>(chain_.size());
    request.length = portion(state, request.large);
    if (!request.large && request.offset > 0xffff)
      return fail(Errno::kTooBig, "certificate chain is longer than 64 KiB");
    asked_ = request.length;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmCertificate::decode(response));
    if (answer.slot != slot_) return fail(Errno::kInval, "CERTIFICATE is of another slot");
    if (answer.portion.empty() || answer.portion.size() > asked_)
      return fail(Errno::kInval, "CERTIFICATE has another length than what was asked for");
    const std::size_t total = chain_.size() + answer.portion.size() + answer.remainder;
    if (total > state.config.settings.limits.certificate_chain_bytes)
      return fail(Errno::kTooBig, "certificate chain is longer than the limit");
    if (!chain_.empty() && total != total_)
      return fail(Errno::kPerm, "certificate chain changed while it was read");
    total_ = total;
    chain_.insert(chain_.end(), answer.portion.begin(), answer.portion.end());
    note(state, session_, request, answer.wire);
    if (answer.remainder != 0) return Progress::kAgain;
    return finish(state);
  }

 private:
  static std::uint32_t portion(const State& state, bool large) {
    const Settings& settings = state.config.settings;
    const std::uint32_t header = large ? 16 : 8;
    const std::uint32_t room = settings.data_transfer_size - header;
    return large ? room : std::min(room, 0xffffU);
  }

  Result<Progress> finish(State& state) {
    PeerSlot& slot = state.slots.at(slot_);
    state.chain_problem.clear();
    const crypto::TrustAnchors* anchors = state.anchors ? &*state.anchors : nullptr;
    // The same chain again needs no second look.
    if (slot.verified && std::ranges::equal(slot.verified->blob, chain_)) return Progress::kDone;
    TEEIO_ASSIGN(auto verified,
                 verify_chain(std::move(chain_), *state.suite.hash, anchors,
                              crypto::SpdmEnd::kResponder, slot.digest, &state.chain_problem));
    if (verified.chain.chain.leaf().public_key().type() != crypto::key_type(*state.suite.asym))
      return fail(Errno::kPerm, "the certificate's key does not fit the chosen algorithm");
    slot.shown = {verified.blob, true};
    slot.verified = std::move(verified);
    return Progress::kDone;
  }

  const std::uint8_t slot_;
  Bytes chain_;
  std::size_t total_ = 0;
  std::uint32_t asked_ = 0;
};

}  // namespace

Result<void> SessionStep::need(const State& state) const {
  TEEIO_TRY(state.need_connection());
  if (session_ == kNoSession) return {};
  const Session* session = state.find(session_);
  if (session == nullptr || !session->established)
    return fail(Errno::kNxio, "there is no such SPDM session");
  return {};
}

void push_digests(State& state, std::uint32_t session) {
  state.push(std::make_unique<GetDigests>(session));
}

void push_certificates(State& state, std::uint8_t slot, std::uint32_t session) {
  push_digests(state, session);
  state.push(std::make_unique<GetCertificate>(slot, session));
}

}  // namespace teeio::spdm::requester
