// GET_ENDPOINT_INFO.
#include "crypto/random.h"
#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_events.h"

namespace teeio::spdm::responder {

using wire::SpdmErrorCode;

Reply get_endpoint_info(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetEndpointInfo::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetEndpointInfo);
  if (request->subcode != wire::SpdmGetEndpointInfo::kDeviceClass)
    return refuse(SpdmErrorCode::kInvalidRequest);
  wire::SpdmEndpointInfo answer;
  answer.version = state.version();
  answer.info = state.config.endpoint_info;
  if (!request->sign) return answer.encode();
  if (!state.can(wire::kSpdmCapEndpointInfoSig, 0)) return refuse(SpdmErrorCode::kInvalidRequest);
  const LocalSlot* slot = state.signer_of_four_bits(request->slot);
  if (slot == nullptr) return refuse(SpdmErrorCode::kInvalidRequest);
  if (state.multi_key && (slot->credential->key_usage & wire::kSpdmKeyUseEndpointInfo) == 0)
    return refuse(SpdmErrorCode::kInvalidRequest);
  answer.slot = request->slot;
  crypto::fill_random(answer.nonce);
  // A signature that is not there yet: the message says that it has one, so its
  // place is measured out first.
  const Bytes blank(state.suite.signature_size());
  answer.signature = blank;
  Bytes bytes = answer.encode();
  bytes.resize(bytes.size() - blank.size());
  crypto::RunningHash transcript = *state.base;
  transcript.update(request->wire).update(bytes);
  const auto signature = slot->credential->identity->key.sign_spdm(
      {state.version(), crypto::SigningPurpose::kResponderEndpointInfo, *state.suite.asym,
       *state.suite.hash},
      transcript.digest());
  if (!signature) return refuse(SpdmErrorCode::kUnspecified);
  bytes.insert(bytes.end(), signature->begin(), signature->end());
  return bytes;
}

}  // namespace teeio::spdm::responder
