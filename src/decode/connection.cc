#include "decode/connection.h"

#include <bit>

#include "wire/spdm_pqc.h"

namespace teeio::decode {
namespace {

using wire::SpdmCode;

/// Whether DIGESTS carries the tables of a multi-key connection: they take four
/// bytes a slot, padding of a transport at most three in all.
bool has_key_tables(ByteView message, std::size_t hash_size) {
  const auto header = wire::SpdmHeader::decode(message);
  if (!header || header->version < wire::kSpdmVersion13) return false;
  const auto slots = static_cast<std::size_t>(std::popcount(header->param2));
  return slots != 0 && message.size() >= wire::SpdmHeader::kSize + slots * (hash_size + 4);
}

}  // namespace

void Connection::observe_request(const wire::SpdmHeader& header, ByteView message, Asked& asked) {
  asked = {};
  const SpdmCode code{header.code};
  if (code == SpdmCode::kChallenge) {
    asked = {.summary = header.param2 != 0, .signature = true};
  } else if (code == SpdmCode::kKeyExchange || code == SpdmCode::kPskExchange) {
    asked = {.summary = header.param1 != 0, .signature = true};
  } else if (code == SpdmCode::kGetMeasurements) {
    if (const auto m = wire::SpdmGetMeasurements::decode(message)) asked.signature = m->sign;
  } else if (code == SpdmCode::kGetEndpointInfo) {
    if (const auto m = wire::SpdmGetEndpointInfo::decode(message)) asked.signature = m->sign;
  } else if (code == SpdmCode::kGetCapabilities) {
    if (const auto m = wire::SpdmGetCapabilities::decode(message)) requester_caps_ = m->flags;
  } else if (code == SpdmCode::kGetVersion) {
    *this = Connection{};  // DSP0274: it resets the connection
  }
}

void Connection::observe(ByteView message, bool encapsulated) {
  const auto header = wire::SpdmHeader::decode(message);
  if (!header) return;
  const SpdmCode code{header->code};
  // A request that only fetches a put-off answer asks for nothing new.
  if (code == SpdmCode::kRespondIfReady || code == SpdmCode::kChunkGet ||
      code == SpdmCode::kChunkSend || code == SpdmCode::kGetEncapsulatedRequest ||
      code == SpdmCode::kDeliverEncapsulatedResponse)
    return;
  if (wire::is_spdm_request(code))
    return observe_request(*header, message, encapsulated ? encapsulated_asked_ : asked_);
  if (code == SpdmCode::kCapabilities) {
    if (const auto m = wire::SpdmCapabilities::decode(message)) responder_caps_ = m->flags;
  } else if (code == SpdmCode::kAlgorithms) {
    const auto m = wire::SpdmAlgorithms::decode(message);
    if (!m) return;
    sizes_.hash = wire::spdm_hash_size(m->base_hash);
    // Of the two families' fields of one purpose one is zero.
    sizes_.signature =
        wire::spdm_signature_size(m->base_asym) + wire::spdm_pqc_signature_size(m->pqc_asym);
    const std::size_t point = wire::spdm_exchange_size(m->tables.dhe.value_or(0));
    const std::uint16_t kem = m->tables.kem.value_or(0);
    sizes_.exchange_request = point + wire::spdm_kem_request_size(kem);
    sizes_.exchange_response = point + wire::spdm_kem_response_size(kem);
    requester_signature_ = wire::spdm_signature_size(m->tables.req_base_asym.value_or(0)) +
                           wire::spdm_pqc_signature_size(m->tables.req_pqc_asym.value_or(0));
  }
}

bool Connection::clear_handshake() const {
  return (requester_caps_ & responder_caps_ & wire::kSpdmCapHandshakeInTheClear) != 0;
}

std::size_t Connection::summary_size(const Asked& asked) const {
  constexpr std::uint32_t kMeasures = wire::kSpdmCapMeasNoSig | wire::kSpdmCapMeasSig;
  return asked.summary && (responder_caps_ & kMeasures) != 0 ? sizes_.hash : 0;
}

wire::SpdmSizes Connection::sizes_for(ByteView message, bool encapsulated) const {
  wire::SpdmSizes sizes = sizes_;
  const auto header = wire::SpdmHeader::decode(message);
  if (!header) return sizes;
  const Asked& asked = encapsulated ? encapsulated_asked_ : asked_;
  if (encapsulated) sizes.signature = requester_signature_;
  sizes.verify_data = sizes_.hash;
  const SpdmCode code{header->code};
  if (code == SpdmCode::kDigests) {
    sizes.multi_key = has_key_tables(message, sizes.hash);
  } else if (code == SpdmCode::kChallengeAuth) {
    // The requester has no measurements, so nothing to sum up either.
    sizes.summary_hash = encapsulated ? 0 : summary_size(asked);
  } else if (code == SpdmCode::kPskExchangeRsp) {
    sizes.summary_hash = summary_size(asked);
  } else if (code == SpdmCode::kKeyExchangeRsp) {
    sizes.summary_hash = summary_size(asked);
    if (clear_handshake()) sizes.verify_data = 0;
  } else if (code == SpdmCode::kMeasurements || code == SpdmCode::kEndpointInfo) {
    if (!asked.signature) sizes.signature = 0;
  } else if (code == SpdmCode::kFinish) {
    sizes.signature = requester_signature_;
  } else if (code == SpdmCode::kFinishRsp) {
    if (!clear_handshake()) sizes.verify_data = 0;
  }
  return sizes;
}

}  // namespace teeio::decode
