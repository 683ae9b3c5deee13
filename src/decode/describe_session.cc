#include "decode/describe.h"
#include "wire/spdm_opaque.h"

namespace teeio::decode {
namespace {

template <class Chunk>
void describe_chunk(Fields& f, const Chunk& m) {
  f.number("handle", m.handle);
  f.number("sequence", m.sequence);
  if (m.sequence == 0) f.number("large_size", m.large_size);
  f.number("chunk_bytes", m.chunk.size());  // they may be a piece of KEY_PROG
  f.flag("last", m.last);
}

/// Which version of secured messages the responder chose; a capture does not always say in which
/// format.
void describe_choice(Fields& f, ByteView opaque) {
  f.size("opaque", opaque);
  for (const auto format : {wire::SpdmOpaqueFormat::k1, wire::SpdmOpaqueFormat::k0})
    if (const auto chosen = wire::decode_secured_version_choice(opaque, format); chosen && *chosen)
      return f.version("secured_version", **chosen);
}

template <class KeyUpdate>
void describe_key_update(Fields& f, const KeyUpdate& m) {
  switch (wire::SpdmKeyOperation{m.operation}) {
    case wire::SpdmKeyOperation::kUpdateKey:
      f.word("operation", "UpdateKey");
      break;
    case wire::SpdmKeyOperation::kUpdateAllKeys:
      f.word("operation", "UpdateAllKeys");
      break;
    case wire::SpdmKeyOperation::kVerifyNewKey:
      f.word("operation", "VerifyNewKey");
      break;
    default:
      f.number("operation", m.operation);
  }
  f.number("tag", m.tag);
}

/// DMTF's event types have names.
void add_event_type(Text& out, std::uint8_t registry, std::uint16_t type) {
  const std::string_view name = registry == 0 ? wire::spdm_event_name(type) : std::string_view();
  if (name.empty())
    out.add("registry ").add_number(registry).add(" type ").add_number(type);
  else
    out.add(name);
}

void add_group(Text& out, const wire::SpdmEventGroup& group) {
  List names(out, ',');
  if ((group.attributes & wire::kSpdmAllEventTypes) != 0) names.next().add("all");
  for (Reader types(group.types); !types.rest().empty(); types.skip(2))
    add_event_type(names.next(), group.registry, types.le<std::uint16_t>());
}

void describe_groups(Fields& f, ByteView groups) {
  for (unsigned i = 0; !groups.empty(); ++i) {
    const auto group = wire::SpdmEventGroup::take(groups);
    if (!group) return f.word({"group", i}, group.error().why);
    f.word({"group", i}, [&group](Text& out) { add_group(out, *group); });
  }
}

/// Registries whose messages program keys: IDE_KM of PCI-SIG and of CXL.
bool may_hold_keys(std::uint16_t registry) {
  constexpr std::uint16_t kCxl = 7;
  return registry == wire::VendorDefined::kPciSigStandardId || registry == kCxl;
}

template <class VendorDefined>
void describe_vendor_defined(Fields& f, const VendorDefined& m) {
  f.number("registry", m.standard_id);
  f.bytes("vendor", m.vendor_id);
  f.flag("large", m.large);
  if (!may_hold_keys(m.standard_id)) return f.bytes("payload", m.payload);
  if (!m.payload.empty()) f.number("protocol", std::to_integer<unsigned>(m.payload.front()));
  f.key("payload", m.payload);
}

}  // namespace

void describe(Fields& f, const wire::SpdmKeyExchange& m) {
  f.hex_number("session_half", m.session_id);
  f.number("slot", m.slot);
  f.hex_number("summary", m.summary);
  if (m.version >= wire::kSpdmVersion12) f.hex_number("policy", m.policy);
  f.bytes("random", m.random);
  f.bytes("exchange", m.exchange);
  f.size("opaque", m.opaque);
}

void describe(Fields& f, const wire::SpdmKeyExchangeRsp& m) {
  f.hex_number("session_half", m.session_id);
  f.number("heartbeat_s", m.heartbeat_period);
  if (m.mut_auth != 0) f.hex_number("mut_auth", m.mut_auth);
  if (m.mut_auth != 0) f.number("req_slot", m.req_slot);
  f.bytes("random", m.random);
  f.bytes("exchange", m.exchange);
  f.bytes("summary_hash", m.summary_hash);
  describe_choice(f, m.opaque);
  f.bytes("signature", m.signature);
  f.bytes("verify_data", m.verify_data);
}

void describe(Fields& f, const wire::SpdmFinish& m) {
  if (!m.signature.empty()) f.number("req_slot", m.req_slot);
  f.size("opaque", m.opaque);
  f.bytes("signature", m.signature);
  f.bytes("verify_data", m.verify_data);
}

void describe(Fields& f, const wire::SpdmFinishRsp& m) {
  f.size("opaque", m.opaque);
  f.bytes("verify_data", m.verify_data);
}

void describe(Fields& f, const wire::SpdmPskExchange& m) {
  f.hex_number("session_half", m.session_id);
  f.hex_number("summary", m.summary);
  f.bytes("hint", m.hint);
  f.bytes("context", m.context);
  f.size("opaque", m.opaque);
}

void describe(Fields& f, const wire::SpdmPskExchangeRsp& m) {
  f.hex_number("session_half", m.session_id);
  f.number("heartbeat_s", m.heartbeat_period);
  f.bytes("summary_hash", m.summary_hash);
  f.bytes("context", m.context);
  describe_choice(f, m.opaque);
  f.bytes("verify_data", m.verify_data);
}

void describe(Fields& f, const wire::SpdmPskFinish& m) {
  f.size("opaque", m.opaque);
  f.bytes("verify_data", m.verify_data);
}

void describe(Fields& f, const wire::SpdmPskFinishRsp& m) { f.size("opaque", m.opaque); }

void describe(Fields& f, const wire::SpdmKeyUpdate& m) { describe_key_update(f, m); }
void describe(Fields& f, const wire::SpdmKeyUpdateAck& m) { describe_key_update(f, m); }

void describe(Fields& f, const wire::SpdmEndSession& m) {
  f.flag("clear_negotiated_state", m.clear_negotiated_state);
}

void describe(Fields& f, const wire::SpdmEncapsulatedRequest& m) {
  f.number("request_id", m.request_id);
}

void describe(Fields& f, const wire::SpdmDeliverEncapsulatedResponse& m) {
  f.number("request_id", m.request_id);
}

void describe(Fields& f, const wire::SpdmEncapsulatedResponseAck& m) {
  f.number("ack_request_id", m.ack_request_id);
  switch (wire::SpdmEncapsulatedPayload{m.payload_type}) {
    case wire::SpdmEncapsulatedPayload::kAbsent:
      return f.word("payload", "absent");
    case wire::SpdmEncapsulatedPayload::kPresent:
      return f.number("request_id", m.request_id);
    case wire::SpdmEncapsulatedPayload::kReqSlotNumber:
      return f.bytes("req_slot", m.payload);
  }
}

void describe(Fields& f, const wire::SpdmChunkSend& m) { describe_chunk(f, m); }
void describe(Fields& f, const wire::SpdmChunkResponse& m) { describe_chunk(f, m); }

void describe(Fields& f, const wire::SpdmChunkSendAck& m) {
  f.number("handle", m.handle);
  f.number("sequence", m.sequence);
  f.flag("early_error", m.early_error);
}

void describe(Fields& f, const wire::SpdmChunkGet& m) {
  f.number("handle", m.handle);
  f.number("sequence", m.sequence);
}

void describe(Fields& f, const wire::SpdmSupportedEventTypes& m) {
  f.number("groups", m.group_count);
  describe_groups(f, m.groups);
}

void describe(Fields& f, const wire::SpdmSubscribeEventTypes& m) {
  f.number("groups", m.group_count);
  describe_groups(f, m.groups);
}

void describe(Fields& f, const wire::SpdmSendEvent& m) {
  f.number("events", m.count);
  ByteView rest = m.events;
  while (!rest.empty()) {
    const auto event = wire::SpdmEvent::take(rest);
    if (!event) return;
    f.word({"event", event->instance},
           [&event](Text& out) { add_event_type(out, event->registry, event->type); });
    f.bytes({"event", event->instance, ".detail"}, event->detail);
  }
}

void describe(Fields& f, const wire::SpdmVendorDefinedRequest& m) { describe_vendor_defined(f, m); }
void describe(Fields& f, const wire::SpdmVendorDefinedResponse& m) {
  describe_vendor_defined(f, m);
}

}  // namespace teeio::decode
