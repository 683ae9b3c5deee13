// GET_CSR, SET_CERTIFICATE.
#include "spdm/responder_state.h"
#include "wire/spdm_certificates.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

SpdmErrorCode why_not(const Error& error) {
  return error.code == Errno::kInval ? SpdmErrorCode::kInvalidRequest : SpdmErrorCode::kUnspecified;
}

}  // namespace

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
  note_certificates_changed(state, static_cast<std::uint8_t>(1U << request->slot));
  wire::SpdmSetCertificateRsp answer;
  answer.version = state.version();
  answer.slot = request->slot;
  return answer.encode();
}

}  // namespace teeio::spdm::responder
