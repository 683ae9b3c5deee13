#include "decode/connection.h"

#include <bit>

#include "wire/spdm_pqc.h"

namespace teeio::decode {
namespace {

using wire::SpdmCode;

/// Whether DIGESTS of `size` bytes carries the tables of a multi-key connection: they take four
/// bytes a slot, padding of a transport at most three in all.
bool has_key_tables(const wire::SpdmHeader& header, std::size_t size, std::size_t hash_size) {
  if (header.version < wire::kSpdmVersion13) return false;
  const auto slots = static_cast<std::size_t>(std::popcount(header.param2));
  return slots != 0 && size >= wire::SpdmHeader::kSize + slots * (hash_size + 4);
}

}  // namespace

void Connection::observe(const wire::SpdmHeader& header, bool encapsulated) {
  const SpdmCode code{header.code};
  // A request that only fetches a put-off answer asks for nothing new.
  if (!wire::is_spdm_request(code) || code == SpdmCode::kRespondIfReady ||
      code == SpdmCode::kChunkGet || code == SpdmCode::kChunkSend ||
      code == SpdmCode::kGetEncapsulatedRequest || code == SpdmCode::kDeliverEncapsulatedResponse)
    return;
  if (code == SpdmCode::kGetVersion) {
    *this = Connection{};  // DSP0274: it resets the connection
    return;
  }
  Asked& asks = asked(encapsulated);
  asks = {};
  if (code == SpdmCode::kChallenge)
    asks = {.summary = header.param2 != 0, .signature = true};
  else if (code == SpdmCode::kKeyExchange || code == SpdmCode::kPskExchange)
    asks = {.summary = header.param1 != 0, .signature = true};
}

void Connection::observe(const wire::SpdmGetCapabilities& m, bool /*encapsulated*/) {
  requester_caps_ = m.flags;
}

void Connection::observe(const wire::SpdmCapabilities& m, bool /*encapsulated*/) {
  responder_caps_ = m.flags;
}

void Connection::observe(const wire::SpdmAlgorithms& m, bool /*encapsulated*/) {
  sizes_.hash = wire::spdm_hash_size(m.base_hash);
  // Of the two families' fields of one purpose one is zero.
  sizes_.signature =
      wire::spdm_signature_size(m.base_asym) + wire::spdm_pqc_signature_size(m.pqc_asym);
  const std::size_t point = wire::spdm_exchange_size(m.tables.dhe.value_or(0));
  const std::uint16_t kem = m.tables.kem.value_or(0);
  sizes_.exchange_request = point + wire::spdm_kem_request_size(kem);
  sizes_.exchange_response = point + wire::spdm_kem_response_size(kem);
  requester_signature_ = wire::spdm_signature_size(m.tables.req_base_asym.value_or(0)) +
                         wire::spdm_pqc_signature_size(m.tables.req_pqc_asym.value_or(0));
}

void Connection::observe(const wire::SpdmGetMeasurements& m, bool encapsulated) {
  asked(encapsulated).signature = m.sign;
}

void Connection::observe(const wire::SpdmGetEndpointInfo& m, bool encapsulated) {
  asked(encapsulated).signature = m.sign;
}

bool Connection::clear_handshake() const {
  return (requester_caps_ & responder_caps_ & wire::kSpdmCapHandshakeInTheClear) != 0;
}

std::size_t Connection::summary_size(const Asked& asked) const {
  constexpr std::uint32_t kMeasures = wire::kSpdmCapMeasNoSig | wire::kSpdmCapMeasSig;
  return asked.summary && (responder_caps_ & kMeasures) != 0 ? sizes_.hash : 0;
}

wire::SpdmSizes Connection::sizes_for(const wire::SpdmHeader& header, std::size_t size,
                                      bool encapsulated) const {
  wire::SpdmSizes sizes = sizes_;
  const Asked& asked = encapsulated ? encapsulated_asked_ : asked_;
  if (encapsulated) sizes.signature = requester_signature_;
  sizes.verify_data = sizes_.hash;
  const SpdmCode code{header.code};
  if (code == SpdmCode::kDigests) {
    sizes.multi_key = has_key_tables(header, size, sizes.hash);
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
