// GET_KEY_PAIR_INFO, SET_KEY_PAIR_INFO.
#include <algorithm>
#include <bit>
#include <utility>

#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_key_pairs.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;
using Operation = wire::SpdmKeyPairOperation;

constexpr std::uint16_t kAllUses = wire::kSpdmKeyUseKeyExchange | wire::kSpdmKeyUseChallenge |
                                   wire::kSpdmKeyUseMeasurement | wire::kSpdmKeyUseEndpointInfo;

/// The bytes of one DER element at the start of `in`, its header's size in
/// `header`. Only for what OpenSSL encoded: lengths up to two octets.
ByteView der_element(ByteView in, std::size_t& header) {
  header = 2;
  if (in.size() < header) return {};
  std::size_t length = std::to_integer<std::size_t>(in[1]);
  if (length >= 0x80) {
    const std::size_t octets = length & 0x7fU;
    if (octets > 2 || in.size() < header + octets) return {};
    length = 0;
    for (std::size_t i = 0; i < octets; ++i)
      length = length << 8U | std::to_integer<std::size_t>(in[header + i]);
    header += octets;
  }
  return in.size() < header + length ? ByteView{} : in.first(header + length);
}

/// AlgorithmIdentifier: the first element inside SubjectPublicKeyInfo.
Bytes algorithm_identifier(const crypto::PublicKey& key) {
  const Bytes info = key.der();
  std::size_t header = 0;
  const ByteView outer = der_element(info, header);
  if (outer.empty()) return {};
  const ByteView inner = der_element(outer.subspan(header), header);
  return {inner.begin(), inner.end()};
}

/// What the slots say of a pair, for an end whose keys never change.
std::optional<Provisioning::KeyPair> pair_of_slots(State& state, std::uint8_t number) {
  Provisioning::KeyPair pair;
  for (std::uint8_t at = 0; at < wire::kSpdmSlots; ++at) {
    const LocalSlot* const slot = state.slot(at);
    if (slot == nullptr) continue;
    const Credential& held = *slot->credential;
    pair.total = std::max(pair.total, held.key_pair_id);
    if (held.key_pair_id != number || number == 0) continue;
    pair.slot_mask |= static_cast<std::uint8_t>(1U << at);
    pair.usage = held.key_usage;
    pair.key = held.identity->key.public_key();
  }
  return pair.key ? std::optional(std::move(pair)) : std::nullopt;
}

/// nullopt: there is no such pair.
std::optional<Provisioning::KeyPair> find_pair(State& state, std::uint8_t number) {
  if (number == 0 || !state.suite.asym || !state.suite.hash) return std::nullopt;
  if (state.config.provisioning == nullptr) return pair_of_slots(state, number);
  auto pair = state.config.provisioning->key_pair(key_of(state, number));
  return pair ? std::optional(std::move(*pair)) : std::nullopt;
}

std::uint32_t little_endian(ByteView bytes) {
  Bytes four(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(
                                                bytes.size(), sizeof(std::uint32_t))));
  four.resize(sizeof(std::uint32_t));
  return Reader(four).le<std::uint32_t>();
}

/// Whether a pair's capabilities allow what is wished. Source: libspdm
/// library/spdm_responder_lib/libspdm_rsp_set_key_pair_info_ack.c; the error codes too.
std::expected<void, Refusal> allows(const Provisioning::KeyPair& pair,
                                    const wire::SpdmSetKeyPairInfo& wish) {
  const auto can = [&](std::uint16_t capability) { return (pair.capabilities & capability) != 0; };
  const auto refused = [] { return refuse(SpdmErrorCode::kInvalidRequest); };
  const Operation operation{wish.operation};
  if (operation == Operation::kErase && !can(wire::kSpdmKeyPairErasable)) return refused();
  if (operation == Operation::kGenerate && !can(wire::kSpdmKeyPairGenerate)) return refused();
  // Which algorithm a pair has was settled by ALGORITHMS.
  if (wish.asym != 0 || little_endian(wish.pqc) != 0) return refused();
  if (wish.usage != 0 && (!can(wire::kSpdmKeyPairKeyUsage) || (wish.usage & ~kAllUses) != 0))
    return refused();
  if (wish.slot_mask != 0 && wish.slot_mask != pair.slot_mask &&
      !can(wire::kSpdmKeyPairCertAssociation))
    return refused();
  if (std::popcount(wish.slot_mask) > 1 && !can(wire::kSpdmKeyPairShareable)) return refused();
  if (operation != Operation::kChange && pair.slot_mask != 0)
    return refuse(SpdmErrorCode::kOperationFailed);
  return {};
}

SpdmErrorCode why_not_set(const Error& error) {
  if (error.code == Errno::kInval) return SpdmErrorCode::kInvalidRequest;
  return error.code == Errno::kBusy ? SpdmErrorCode::kOperationFailed : SpdmErrorCode::kUnspecified;
}

}  // namespace

KeyPairBits key_pair_bits(crypto::KeyType type, std::uint32_t pqc) {
  switch (type) {
    case crypto::KeyType::kRsa2048:
      return {.asym = wire::kSpdmKeyPairRsa2048};
    case crypto::KeyType::kRsa3072:
      return {.asym = wire::kSpdmKeyPairRsa3072};
    case crypto::KeyType::kRsa4096:
      return {.asym = wire::kSpdmKeyPairRsa4096};
    case crypto::KeyType::kP256:
      return {.asym = wire::kSpdmKeyPairEcc256};
    case crypto::KeyType::kP384:
      return {.asym = wire::kSpdmKeyPairEcc384};
    case crypto::KeyType::kP521:
      return {.asym = wire::kSpdmKeyPairEcc521};
    case crypto::KeyType::kEd25519:
      return {.asym = wire::kSpdmKeyPairEd25519};
    case crypto::KeyType::kMlDsa44:
    case crypto::KeyType::kMlDsa65:
    case crypto::KeyType::kMlDsa87:
    case crypto::KeyType::kSlhDsaSha2x128s:
    case crypto::KeyType::kSlhDsaShake128s:
    case crypto::KeyType::kSlhDsaSha2x128f:
    case crypto::KeyType::kSlhDsaShake128f:
    case crypto::KeyType::kSlhDsaSha2x192s:
    case crypto::KeyType::kSlhDsaShake192s:
    case crypto::KeyType::kSlhDsaSha2x192f:
    case crypto::KeyType::kSlhDsaShake192f:
    case crypto::KeyType::kSlhDsaSha2x256s:
    case crypto::KeyType::kSlhDsaShake256s:
    case crypto::KeyType::kSlhDsaSha2x256f:
    case crypto::KeyType::kSlhDsaShake256f:
      return {.pqc = pqc};
  }
  std::unreachable();
}

Reply get_key_pair_info(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetKeyPairInfo::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetKeyPairInfo);
  const auto pair = find_pair(state, request->key_pair);
  if (!pair) return refuse(SpdmErrorCode::kInvalidRequest);
  wire::SpdmKeyPairInfo answer;
  answer.version = state.version();
  answer.key_pair = request->key_pair;
  answer.total = pair->total;
  // What SET_KEY_PAIR_INFO would do.
  if (state.can(wire::kSpdmCapSetKeyPairInfo, 0)) answer.capabilities = pair->capabilities;
  answer.usage_capabilities = kAllUses;
  answer.current_usage = pair->usage;
  answer.slot_mask = pair->slot_mask;
  const KeyPairBits bits =
      key_pair_bits(crypto::key_type(*state.suite.asym), state.agreed.algorithms.pqc_asym);
  const Bytes pqc = Writer().le(bits.pqc).take();
  // A pair keeps its algorithm while it has no key: one that has none could not be made
  // (libspdm_rsp_set_key_pair_info_ack.c). That there is no key PublicKeyInfo tells.
  answer.asym_capabilities = answer.current_asym = bits.asym;
  answer.pqc_capabilities = answer.current_pqc = pqc;
  const Bytes identifier = pair->key ? algorithm_identifier(*pair->key) : Bytes{};
  answer.public_key_info = identifier;
  return answer.encode();
}

Reply set_key_pair_info(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmSetKeyPairInfo::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kSetKeyPairInfo);
  const auto pair = find_pair(state, request->key_pair);
  if (!pair || request->operation > std::to_underlying(Operation::kGenerate))
    return refuse(SpdmErrorCode::kInvalidRequest);
  if (auto allowed = allows(*pair, *request); !allowed)
    return std::unexpected(std::move(allowed.error()));
  const auto set = state.config.provisioning->set_pair(
      key_of(state, request->key_pair),
      {Operation{request->operation}, request->usage, request->slot_mask});
  if (!set) return refuse(why_not_set(set.error()));
  const std::uint8_t shown = state.slot_mask();
  for (LocalSlot& slot : state.slots) slot.asked = false;
  if (const auto changed = static_cast<std::uint8_t>(shown ^ state.slot_mask()); changed != 0)
    note_certificates_changed(state, changed);
  wire::SpdmSetKeyPairInfoAck answer;
  answer.version = state.version();
  return answer.encode();
}

}  // namespace teeio::spdm::responder
