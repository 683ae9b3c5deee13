#include "wire/spdm_encapsulated.h"

#include "wire/spdm_codec.h"

namespace teeio::wire {

Result<SpdmEncapsulatedRequest> SpdmEncapsulatedRequest::decode(ByteView in) {
  SpdmReader r(in, kCode);
  return r.finish(SpdmEncapsulatedRequest{
      .version = r.version(), .request_id = r.param1(), .request = r.rest()});
}

Bytes SpdmEncapsulatedRequest::encode() const {
  return begin_spdm(version, kCode, request_id).bytes(request).take();
}

Result<SpdmDeliverEncapsulatedResponse> SpdmDeliverEncapsulatedResponse::decode(ByteView in) {
  SpdmReader r(in, kCode);
  return r.finish(SpdmDeliverEncapsulatedResponse{
      .version = r.version(), .request_id = r.param1(), .response = r.rest()});
}

Bytes SpdmDeliverEncapsulatedResponse::encode() const {
  return begin_spdm(version, kCode, request_id).bytes(response).take();
}

Result<SpdmEncapsulatedResponseAck> SpdmEncapsulatedResponseAck::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmEncapsulatedResponseAck m;
  m.version = r.version();
  m.request_id = r.param1();
  m.payload_type = r.param2();
  if (r.since(kSpdmVersion12)) {
    m.ack_request_id = r.u8();
    r.skip(3);
  }
  switch (SpdmEncapsulatedPayload{m.payload_type}) {
    case SpdmEncapsulatedPayload::kAbsent:
      break;
    case SpdmEncapsulatedPayload::kPresent:
      m.payload = r.rest();
      break;
    case SpdmEncapsulatedPayload::kReqSlotNumber:
      m.payload = r.take(1);
      break;
    default:
      r.require(false, "ENCAPSULATED_RESPONSE_ACK has a reserved payload type");
  }
  return r.finish(m);
}

Bytes SpdmEncapsulatedResponseAck::encode() const {
  Writer w = begin_spdm(version, kCode, request_id, payload_type);
  if (version >= kSpdmVersion12) w.le(ack_request_id).zeros(3);
  return w.bytes(payload).take();
}

}  // namespace teeio::wire
