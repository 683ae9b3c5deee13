#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "decode/fields.h"
#include "wire/spdm_dispatch.h"
#include "wire/tdisp_messages.h"

namespace teeio::decode {

/// What the fields of each message are called, by theme. A bare message has none.
template <wire::SpdmCode Code>
void describe(Fields& /*f*/, const wire::SpdmBare<Code>& /*m*/) {}
void describe(Fields& f, const wire::SpdmGetVersion& m);
void describe(Fields& f, const wire::SpdmVersionResponse& m);
void describe(Fields& f, const wire::SpdmGetCapabilities& m);
void describe(Fields& f, const wire::SpdmCapabilities& m);
void describe(Fields& f, const wire::SpdmNegotiateAlgorithms& m);
void describe(Fields& f, const wire::SpdmAlgorithms& m);
void describe(Fields& f, const wire::SpdmError& m);
void describe(Fields& f, const wire::SpdmRespondIfReady& m);

void describe(Fields& f, const wire::SpdmDigests& m);
void describe(Fields& f, const wire::SpdmGetCertificate& m);
void describe(Fields& f, const wire::SpdmCertificate& m);
void describe(Fields& f, const wire::SpdmChallenge& m);
void describe(Fields& f, const wire::SpdmChallengeAuth& m);
void describe(Fields& f, const wire::SpdmGetMeasurements& m);
void describe(Fields& f, const wire::SpdmMeasurements& m);
void describe(Fields& f, const wire::SpdmGetMeasurementExtensionLog& m);
void describe(Fields& f, const wire::SpdmMeasurementExtensionLog& m);
void describe(Fields& f, const wire::SpdmGetCsr& m);
void describe(Fields& f, const wire::SpdmCsr& m);
void describe(Fields& f, const wire::SpdmSetCertificate& m);
void describe(Fields& f, const wire::SpdmSetCertificateRsp& m);
void describe(Fields& f, const wire::SpdmGetKeyPairInfo& m);
void describe(Fields& f, const wire::SpdmKeyPairInfo& m);
void describe(Fields& f, const wire::SpdmSetKeyPairInfo& m);
void describe(Fields& f, const wire::SpdmGetEndpointInfo& m);
void describe(Fields& f, const wire::SpdmEndpointInfo& m);

void describe(Fields& f, const wire::SpdmSlotManagement& m);
void describe(Fields& f, const wire::SpdmSlotManagementResp& m);

void describe(Fields& f, const wire::SpdmKeyExchange& m);
void describe(Fields& f, const wire::SpdmKeyExchangeRsp& m);
void describe(Fields& f, const wire::SpdmFinish& m);
void describe(Fields& f, const wire::SpdmFinishRsp& m);
void describe(Fields& f, const wire::SpdmPskExchange& m);
void describe(Fields& f, const wire::SpdmPskExchangeRsp& m);
void describe(Fields& f, const wire::SpdmPskFinish& m);
void describe(Fields& f, const wire::SpdmPskFinishRsp& m);
void describe(Fields& f, const wire::SpdmKeyUpdate& m);
void describe(Fields& f, const wire::SpdmKeyUpdateAck& m);
void describe(Fields& f, const wire::SpdmEndSession& m);
void describe(Fields& f, const wire::SpdmEncapsulatedRequest& m);
void describe(Fields& f, const wire::SpdmDeliverEncapsulatedResponse& m);
void describe(Fields& f, const wire::SpdmEncapsulatedResponseAck& m);
void describe(Fields& f, const wire::SpdmChunkSend& m);
void describe(Fields& f, const wire::SpdmChunkResponse& m);
void describe(Fields& f, const wire::SpdmChunkSendAck& m);
void describe(Fields& f, const wire::SpdmChunkGet& m);
void describe(Fields& f, const wire::SpdmSupportedEventTypes& m);
void describe(Fields& f, const wire::SpdmSubscribeEventTypes& m);
void describe(Fields& f, const wire::SpdmSendEvent& m);
void describe(Fields& f, const wire::SpdmVendorDefinedRequest& m);
void describe(Fields& f, const wire::SpdmVendorDefinedResponse& m);

/// An IDE_KM or TDISP message: its name, and its fields in `f`. Errors: as
/// wire::decode_ide_km() and wire::decode_tdisp().
Result<std::string_view> describe_ide_km(Fields& f, ByteView in);
Result<std::string_view> describe_tdisp(Fields& f, ByteView in);

}  // namespace teeio::decode
