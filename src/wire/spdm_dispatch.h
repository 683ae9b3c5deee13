#pragma once

#include <tuple>
#include <utility>

#include "wire/spdm.h"                 // IWYU pragma: export
#include "wire/spdm_algorithms.h"      // IWYU pragma: export
#include "wire/spdm_capabilities.h"    // IWYU pragma: export
#include "wire/spdm_certificates.h"    // IWYU pragma: export
#include "wire/spdm_chunk.h"           // IWYU pragma: export
#include "wire/spdm_encapsulated.h"    // IWYU pragma: export
#include "wire/spdm_error.h"           // IWYU pragma: export
#include "wire/spdm_events.h"          // IWYU pragma: export
#include "wire/spdm_key_pairs.h"       // IWYU pragma: export
#include "wire/spdm_measurements.h"    // IWYU pragma: export
#include "wire/spdm_session.h"         // IWYU pragma: export
#include "wire/spdm_slots.h"           // IWYU pragma: export
#include "wire/spdm_vendor_defined.h"  // IWYU pragma: export

namespace teeio::wire {

/// The struct of every row of spdm_messages(), for whoever treats all alike.
using SpdmMessageTypes = std::tuple<
    SpdmGetVersion, SpdmVersionResponse, SpdmGetCapabilities, SpdmCapabilities,
    SpdmNegotiateAlgorithms, SpdmAlgorithms, SpdmGetDigests, SpdmDigests, SpdmGetCertificate,
    SpdmCertificate, SpdmChallenge, SpdmChallengeAuth, SpdmGetMeasurements, SpdmMeasurements,
    SpdmError, SpdmRespondIfReady, SpdmVendorDefinedRequest, SpdmVendorDefinedResponse,
    SpdmKeyExchange, SpdmKeyExchangeRsp, SpdmFinish, SpdmFinishRsp, SpdmPskExchange,
    SpdmPskExchangeRsp, SpdmPskFinish, SpdmPskFinishRsp, SpdmHeartbeat, SpdmHeartbeatAck,
    SpdmKeyUpdate, SpdmKeyUpdateAck, SpdmGetEncapsulatedRequest, SpdmEncapsulatedRequest,
    SpdmDeliverEncapsulatedResponse, SpdmEncapsulatedResponseAck, SpdmEndSession, SpdmEndSessionAck,
    SpdmGetCsr, SpdmCsr, SpdmSetCertificate, SpdmSetCertificateRsp, SpdmChunkSend, SpdmChunkSendAck,
    SpdmChunkGet, SpdmChunkResponse, SpdmGetEndpointInfo, SpdmEndpointInfo,
    SpdmGetSupportedEventTypes, SpdmSupportedEventTypes, SpdmSubscribeEventTypes,
    SpdmSubscribeEventTypesAck, SpdmSendEvent, SpdmEventAck, SpdmGetMeasurementExtensionLog,
    SpdmMeasurementExtensionLog, SpdmGetKeyPairInfo, SpdmKeyPairInfo, SpdmSetKeyPairInfo,
    SpdmSetKeyPairInfoAck, SpdmSlotManagement, SpdmSlotManagementResp>;

/// Whether decoding `Message` takes sizes.
template <class Message>
concept SpdmSized = requires(ByteView in, const SpdmSizes& sizes) { Message::decode(in, sizes); };

template <class Message>
Result<Message> decode_spdm_as(ByteView in, const SpdmSizes& sizes) {
  if constexpr (SpdmSized<Message>) {
    return Message::decode(in, sizes);
  } else {
    return Message::decode(in);
  }
}

/// Calls `visitor.template operator()<Message>()` for the struct of `code`; false
/// for a code outside the table.
template <class Visitor>
bool visit_spdm_type(std::uint8_t code, Visitor&& visitor) {
  const auto visit_if = [&]<class Message>() {
    if (std::to_underlying(Message::kCode) != code) return false;
    visitor.template operator()<Message>();
    return true;
  };
  return [&]<class... Messages>(std::type_identity<std::tuple<Messages...>>) {
    return (visit_if.template operator()<Messages>() || ...);
  }(std::type_identity<SpdmMessageTypes>{});
}

}  // namespace teeio::wire
