// GET_CSR, SET_CERTIFICATE, GET_KEY_PAIR_INFO.
#include <algorithm>

#include "spdm/responder_state.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_key_pairs.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

std::uint32_t key_pair_bit(crypto::KeyType type) {
  switch (type) {
    case crypto::KeyType::kRsa2048:
      return wire::kSpdmKeyPairRsa2048;
    case crypto::KeyType::kRsa3072:
      return wire::kSpdmKeyPairRsa3072;
    case crypto::KeyType::kRsa4096:
      return wire::kSpdmKeyPairRsa4096;
    case crypto::KeyType::kP256:
      return wire::kSpdmKeyPairEcc256;
    case crypto::KeyType::kP384:
      return wire::kSpdmKeyPairEcc384;
    case crypto::KeyType::kP521:
      return wire::kSpdmKeyPairEcc521;
    case crypto::KeyType::kEd25519:
      return wire::kSpdmKeyPairEd25519;
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
      return 0;  // its bit is in the post-quantum field
  }
  std::unreachable();
}

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

/// Precondition: both algorithms are agreed on.
Provisioning::Key key_of(const State& state, std::uint8_t pair) {
  return {pair, *state.suite.asym, *state.suite.hash};
}

SpdmErrorCode why_not(const Error& error) {
  return error.code == Errno::kInval ? SpdmErrorCode::kInvalidRequest : SpdmErrorCode::kUnspecified;
}

}  // namespace

Reply get_csr(Call& call) {
  State& state = call.state;
  if (!state.suite.asym || !state.suite.hash) return refuse(SpdmErrorCode::kUnspecified);
  const auto request = wire::SpdmGetCsr::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetCsr);
  // DSP0274 1.3: a key pair is named in multi-key connections, and only there.
  if (state.multi_key != (request->key_pair != 0)) return refuse(SpdmErrorCode::kInvalidRequest);
  const auto csr = state.config.provisioning->csr(key_of(state, request->key_pair),
                                                  request->requester_info, request->opaque);
  if (!csr) return refuse(why_not(csr.error()));
  wire::SpdmCsr answer;
  answer.version = state.version();
  answer.csr = *csr;
  return answer.encode();
}

Reply set_certificate(Call& call) {
  State& state = call.state;
  if (!state.suite.asym || !state.suite.hash) return refuse(SpdmErrorCode::kUnspecified);
  const auto request = wire::SpdmSetCertificate::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kSetCertificate);
  if (request->slot >= wire::kSpdmSlots) return refuse(SpdmErrorCode::kInvalidRequest);
  // DSP0274 1.2, 10.23: slots other than 0 are for those who hold a session.
  if (request->slot != 0 && call.session == nullptr)
    return refuse(SpdmErrorCode::kUnexpectedRequest);
  ByteView certificates;
  if (!request->erase) {
    const auto chain = wire::SpdmCertificateChain::decode(request->chain, state.suite.hash_size(),
                                                          state.version());
    if (!chain || !crypto::SpdmCertificateChain::parse(request->chain, *state.suite.hash))
      return refuse(SpdmErrorCode::kInvalidRequest);
    certificates = chain->certificates;
  }
  const auto set = state.config.provisioning->set_chain(
      request->slot, key_of(state, request->key_pair), certificates);
  if (!set) return refuse(why_not(set.error()));
  for (LocalSlot& slot : state.slots) slot.asked = false;
  wire::SpdmSetCertificateRsp answer;
  answer.version = state.version();
  answer.slot = request->slot;
  return answer.encode();
}

Reply get_key_pair_info(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetKeyPairInfo::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetKeyPairInfo);
  wire::SpdmKeyPairInfo answer;
  answer.version = state.version();
  answer.key_pair = request->key_pair;
  const Credential* found = nullptr;
  for (std::uint8_t number = 0; number < wire::kSpdmSlots; ++number) {
    const LocalSlot* slot = state.slot(number);
    if (slot == nullptr) continue;
    answer.total = std::max(answer.total, slot->credential->key_pair_id);
    if (slot->credential->key_pair_id != request->key_pair) continue;
    found = slot->credential;
    answer.slot_mask |= static_cast<std::uint8_t>(1U << number);
  }
  if (found == nullptr || request->key_pair == 0) return refuse(SpdmErrorCode::kInvalidRequest);
  const crypto::PublicKey& key = found->identity->key.public_key();
  answer.usage_capabilities = found->key_usage;
  answer.current_usage = found->key_usage;
  answer.asym_capabilities = key_pair_bit(key.type());
  answer.current_asym = answer.asym_capabilities;
  const Bytes identifier = algorithm_identifier(key);
  answer.public_key_info = identifier;
  return answer.encode();
}

}  // namespace teeio::spdm::responder
