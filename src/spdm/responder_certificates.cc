// GET_DIGESTS, GET_CERTIFICATE.
#include <algorithm>

#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

/// Bytes of CERTIFICATE before the portion.
constexpr std::uint32_t kCertificateHeader = 8;
constexpr std::uint32_t kLargeCertificateHeader = 16;
constexpr std::uint32_t kMaxPlainChain = 0xffff;

/// The most that one CERTIFICATE may carry: a transfer; or, when both ends have
/// chunks, a message. A requester that asks for everything may then count on
/// everything (libspdm takes a remainder for a mistake).
std::uint32_t portion_limit(const State& state, bool large) {
  const std::uint32_t header = large ? kLargeCertificateHeader : kCertificateHeader;
  const bool chunks = state.can(wire::kSpdmCapChunk, wire::kSpdmCapChunk);
  const std::uint32_t own = state.config.settings.data_transfer_size;
  const std::uint32_t theirs = state.agreed.peer_data_transfer_size;
  const std::uint32_t transfer = theirs != 0 ? std::min(own, theirs) : own;
  const std::uint32_t message = chunks ? state.agreed.peer_max_message_size : transfer;
  const std::uint32_t limit = message > header ? message - header : 0;
  return large ? limit : std::min(limit, kMaxPlainChain);
}

/// GET_DIGESTS and GET_CERTIFICATE outside of sessions are part of M1/M2.
void note(Call& call, ByteView request, ByteView answer) {
  if (call.session == nullptr)
    call.state.m1m2.update(*call.state.base, request).update(*call.state.base, answer);
}

}  // namespace

Reply get_digests(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetDigests::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetDigests);
  wire::SpdmDigests answer;
  answer.version = state.version();
  Bytes digests;
  Bytes key_pairs;
  Bytes models;
  Writer usages;
  for (std::uint8_t number = 0; number < wire::kSpdmSlots; ++number) {
    const LocalSlot* slot = state.slot(number);
    if (slot == nullptr) continue;
    answer.provisioned |= static_cast<std::uint8_t>(1U << number);
    const ByteView hash = slot->hash;
    digests.insert(digests.end(), hash.begin(), hash.end());
    if (!state.multi_key) continue;
    key_pairs.push_back(std::byte{slot->credential->key_pair_id});
    models.push_back(std::byte{slot->credential->model});
    usages.le(slot->credential->key_usage);
  }
  if (answer.provisioned == 0) return refuse(SpdmErrorCode::kUnspecified);
  if (state.version() >= wire::kSpdmVersion13) answer.supported = 0xff;
  const Bytes usage_bytes = usages.take();
  answer.digests = digests;
  answer.key_pairs = key_pairs;
  answer.cert_models = models;
  answer.key_usages = usage_bytes;
  Bytes bytes = answer.encode();
  // M1/M2 begins with the last GET_DIGESTS.
  if (call.session == nullptr) state.m1m2.clear();
  note(call, request->wire, bytes);
  if (call.session == nullptr && state.multi_key && state.digests_may_enter &&
      state.multi_key_digests.empty())
    state.multi_key_digests = bytes;
  return bytes;
}

Reply get_certificate(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetCertificate::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetCertificate);
  if (request->large && !state.can(wire::kSpdmCapLargeResp, 0))
    return refuse(SpdmErrorCode::kUnsupportedRequest,
                  std::to_underlying(wire::SpdmCode::kGetCertificate));
  if (request->slot >= wire::kSpdmSlots) return refuse(SpdmErrorCode::kInvalidRequest);
  const LocalSlot* slot = state.slot(request->slot);
  if (slot == nullptr && !request->slot_size_requested)
    return refuse(SpdmErrorCode::kInvalidRequest);
  const ByteView chain = slot != nullptr ? ByteView(slot->chain) : ByteView();
  const auto size = static_cast<std::uint32_t>(chain.size());
  if (!request->large && size > kMaxPlainChain) {
    if (state.version() < wire::kSpdmVersion14) return refuse(SpdmErrorCode::kUnspecified);
    return std::unexpected(
        Refusal{SpdmErrorCode::kDataTooLarge, 0, wire::SpdmTooLarge{size}.encode()});
  }
  wire::SpdmCertificate answer;
  answer.version = state.version();
  answer.slot = request->slot;
  answer.large = request->large;
  if (state.multi_key && slot != nullptr) answer.cert_model = slot->credential->model;
  if (request->slot_size_requested) {
    answer.remainder = size;
  } else {
    if (request->offset >= size) return refuse(SpdmErrorCode::kInvalidRequest);
    const std::uint32_t length =
        std::min({request->length, size - request->offset, portion_limit(state, request->large)});
    answer.portion = chain.subspan(request->offset, length);
    answer.remainder = size - request->offset - length;
  }
  Bytes bytes = answer.encode();
  note(call, request->wire, bytes);
  return bytes;
}

}  // namespace teeio::spdm::responder
