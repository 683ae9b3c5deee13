// GET_CSR, SET_CERTIFICATE.
#include <utility>

#include "spdm/responder_state.h"
#include "wire/spdm_certificates.h"

namespace teeio::spdm::responder {

using wire::SpdmErrorCode;

bool names_key_pair(const State& state, std::uint8_t key_pair, std::uint8_t cert_model) {
  constexpr std::uint8_t kGenericCertificate = 3;
  if (!state.multi_key) return key_pair == 0 && cert_model == 0;
  return key_pair != 0 && cert_model != 0 && cert_model <= kGenericCertificate;
}

SpdmErrorCode why_not_provisioned(const Error& error) {
  return error.code == Errno::kInval ? SpdmErrorCode::kInvalidRequest : SpdmErrorCode::kUnspecified;
}

std::expected<ByteView, Refusal> certificates_of(const State& state, ByteView chain) {
  const auto parsed =
      wire::SpdmCertificateChain::decode(chain, state.suite.hash_size(), state.version());
  if (!parsed) return refuse(SpdmErrorCode::kInvalidRequest);
  if (!crypto::SpdmCertificateChain::parse(chain, *state.suite.hash))
    return refuse(SpdmErrorCode::kUnspecified);
  return parsed->certificates;
}

void note_slot_set(State& state, std::uint8_t slot) {
  for (LocalSlot& each : state.slots) each.asked = false;
  note_certificates_changed(state, static_cast<std::uint8_t>(1U << slot));
}

Provisioning::Key key_of(const State& state, std::uint8_t pair) {
  return {pair, *state.suite.asym, *state.suite.hash};
}

Reply get_csr(Call& call) {
  State& state = call.state;
  if (!state.suite.asym || !state.suite.hash) return refuse(SpdmErrorCode::kUnspecified);
  const auto request = wire::SpdmGetCsr::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetCsr);
  // DSP0274 1.3: a key pair is named in multi-key connections, and only there.
  if (state.multi_key != (request->key_pair != 0)) return refuse(SpdmErrorCode::kInvalidRequest);
  const auto csr = state.config.provisioning->csr(key_of(state, request->key_pair),
                                                  request->requester_info, request->opaque);
  if (!csr) return refuse(why_not_provisioned(csr.error()));
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
  // 1.3, as libspdm has it: an erased slot has no model, and its key pair is named all the same.
  const bool named =
      request->erase && request->cert_model == 0
          ? state.multi_key == (request->key_pair != 0)
          : !request->erase && names_key_pair(state, request->key_pair, request->cert_model);
  if (state.version() >= wire::kSpdmVersion13 && !named)
    return refuse(SpdmErrorCode::kInvalidRequest);
  ByteView certificates;
  if (!request->erase) {
    auto inside = certificates_of(state, request->chain);
    if (!inside) return std::unexpected(std::move(inside.error()));
    certificates = *inside;
  }
  const auto set = state.config.provisioning->set_chain(
      request->slot, key_of(state, request->key_pair), request->cert_model, certificates);
  if (!set) return refuse(why_not_provisioned(set.error()));
  note_slot_set(state, request->slot);
  wire::SpdmSetCertificateRsp answer;
  answer.version = state.version();
  answer.slot = request->slot;
  return answer.encode();
}

}  // namespace teeio::spdm::responder
