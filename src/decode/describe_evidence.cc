#include "decode/describe.h"

namespace teeio::decode {
namespace {

std::string_view summary_text(std::uint8_t summary) {
  switch (wire::SpdmSummary{summary}) {
    case wire::SpdmSummary::kNone:
      return "none";
    case wire::SpdmSummary::kTcb:
      return "TCB";
    case wire::SpdmSummary::kAll:
      return "all";
  }
  return "reserved";
}

std::string_view type_text(wire::SpdmMeasurementType type) {
  using enum wire::SpdmMeasurementType;
  switch (type) {
    case kImmutableRom:
      return "rom";
    case kMutableFirmware:
      return "firmware";
    case kHardwareConfiguration:
      return "hardware-config";
    case kFirmwareConfiguration:
      return "firmware-config";
    case kMeasurementManifest:
      return "manifest";
    case kDeviceMode:
      return "device-mode";
    case kVersion:
      return "version";
    case kSecureVersionNumber:
      return "svn";
    case kHashExtend:
      return "hash-extend";
    case kInformational:
      return "informational";
    case kStructuredManifest:
      return "structured-manifest";
  }
  return "reserved";
}

/// The blocks of a record, until one makes no sense.
void describe_record(Fields& f, ByteView record) {
  while (!record.empty()) {
    const auto block = wire::SpdmMeasurementBlock::take(record);
    if (!block) return f.word("record", block.error().why);
    f.word({"block", block->index},
           [&block](Text& out) { out.add(type_text(block->type)).add(block->raw ? ",raw" : ""); });
    f.bytes({"block", block->index, ".value"}, block->value);
  }
}

/// The entries of a log that came at once.
void describe_log(Fields& f, ByteView log) {
  const auto header = wire::SpdmMelHeader::decode(log);
  if (!header) return;  // a part of one
  f.number("entries", header->entries);
  for (ByteView rest = log.subspan(wire::SpdmMelHeader::kSize); !rest.empty();) {
    const auto entry = wire::SpdmMelEntry::take(rest);
    if (!entry) return f.word("log", entry.error().why);
    f.word({"entry", entry->mel_index}, [&entry](Text& out) {
      out.add(type_text(entry->type)).add(entry->raw ? ",raw" : "");
      out.add(",block=").add_number(entry->measurement_index);
    });
    f.bytes({"entry", entry->mel_index, ".value"}, entry->value);
  }
}

/// Empty for a reserved one.
std::string_view key_pair_operation_name(wire::SpdmKeyPairOperation operation) {
  switch (operation) {
    case wire::SpdmKeyPairOperation::kChange:
      return "change";
    case wire::SpdmKeyPairOperation::kErase:
      return "erase";
    case wire::SpdmKeyPairOperation::kGenerate:
      return "generate";
  }
  return {};
}

}  // namespace

void describe(Fields& f, const wire::SpdmDigests& m) {
  f.hex_number("slots", m.provisioned);
  if (m.version >= wire::kSpdmVersion13) f.hex_number("supported", m.supported);
  const std::size_t size = m.count() == 0 ? 0 : m.digests.size() / m.count();
  std::size_t at = 0;
  for (unsigned slot = 0; slot < wire::kSpdmSlots; ++slot) {
    if ((m.provisioned >> slot & 1U) == 0) continue;
    f.bytes({"digest", slot}, m.digests.subspan(at * size, size));
    ++at;
  }
  f.bytes("key_pairs", m.key_pairs);
  f.bytes("cert_models", m.cert_models);
  f.bytes("key_usages", m.key_usages);
}

void describe(Fields& f, const wire::SpdmGetCertificate& m) {
  f.number("slot", m.slot);
  f.number("offset", m.offset);
  f.number("length", m.length);
  f.flag("large", m.large);
  f.flag("slot_size_requested", m.slot_size_requested);
}

void describe(Fields& f, const wire::SpdmCertificate& m) {
  f.number("slot", m.slot);
  f.size("portion", m.portion);
  f.number("remainder", m.remainder);
  f.flag("large", m.large);
  if (m.cert_model != 0) f.number("cert_model", m.cert_model);
}

void describe(Fields& f, const wire::SpdmChallenge& m) {
  f.number("slot", m.slot);
  f.word("summary", summary_text(m.summary));
  f.bytes("nonce", m.nonce);
  if (m.version >= wire::kSpdmVersion13) f.bytes("context", m.context);
}

void describe(Fields& f, const wire::SpdmChallengeAuth& m) {
  f.number("slot", m.slot);
  f.hex_number("slot_mask", m.slot_mask);
  f.flag("basic_mutual_auth", m.basic_mutual_auth);
  f.bytes("chain_hash", m.chain_hash);
  f.bytes("nonce", m.nonce);
  f.bytes("summary_hash", m.summary_hash);
  f.size("opaque", m.opaque);
  if (m.version >= wire::kSpdmVersion13) f.bytes("context", m.context);
  f.bytes("signature", m.signature);
}

void describe(Fields& f, const wire::SpdmGetMeasurements& m) {
  if (m.operation == wire::SpdmGetMeasurements::kCountOnly)
    f.word("index", "count");
  else if (m.operation == wire::SpdmGetMeasurements::kAll)
    f.word("index", "all");
  else
    f.number("index", m.operation);
  f.flag("raw_bit_stream", m.raw_bit_stream);
  f.flag("new_measurement", m.new_measurement);
  f.flag("sign", m.sign);
  if (m.sign) f.number("slot", m.slot);
  if (m.sign) f.bytes("nonce", m.nonce);
  if (m.version >= wire::kSpdmVersion13) f.bytes("context", m.context);
}

void describe(Fields& f, const wire::SpdmMeasurements& m) {
  if (m.total != 0) f.number("total", m.total);
  f.number("blocks", m.blocks);
  if (!m.signature.empty()) f.number("slot", m.slot);
  if (m.content_changed != 0) f.word("content", m.content_changed == 1 ? "changed" : "unchanged");
  describe_record(f, m.record);
  f.bytes("nonce", m.nonce);
  f.bytes("opaque", m.opaque);
  if (m.version >= wire::kSpdmVersion13) f.bytes("context", m.context);
  f.bytes("signature", m.signature);
}

void describe(Fields& f, const wire::SpdmGetMeasurementExtensionLog& m) {
  f.number("offset", m.offset);
  f.number("length", m.length);
}

void describe(Fields& f, const wire::SpdmMeasurementExtensionLog& m) {
  f.size("portion", m.portion);
  f.number("remainder", m.remainder);
  if (m.remainder == 0) describe_log(f, m.portion);
}

void describe(Fields& f, const wire::SpdmGetCsr& m) {
  f.size("requester_info", m.requester_info);
  f.size("opaque", m.opaque);
  if (m.version < wire::kSpdmVersion13) return;
  f.number("key_pair", m.key_pair);
  f.number("cert_model", m.cert_model);
  f.number("tracking_tag", m.tracking_tag);
  f.flag("overwrite", m.overwrite);
}

void describe(Fields& f, const wire::SpdmCsr& m) { f.size("csr", m.csr); }

void describe(Fields& f, const wire::SpdmSetCertificate& m) {
  f.number("slot", m.slot);
  f.flag("erase", m.erase);
  f.size("chain", m.chain);
  if (m.version < wire::kSpdmVersion13) return;
  f.number("cert_model", m.cert_model);
  f.number("key_pair", m.key_pair);
}

void describe(Fields& f, const wire::SpdmSetCertificateRsp& m) { f.number("slot", m.slot); }

void describe(Fields& f, const wire::SpdmGetKeyPairInfo& m) { f.number("key_pair", m.key_pair); }

void describe(Fields& f, const wire::SpdmKeyPairInfo& m) {
  f.number("key_pair", m.key_pair);
  f.number("total", m.total);
  f.hex_number("capabilities", m.capabilities);
  f.hex_number("usage_capabilities", m.usage_capabilities);
  f.hex_number("usage", m.current_usage);
  f.hex_number("asym_capabilities", m.asym_capabilities);
  f.hex_number("asym", m.current_asym);
  f.hex_number("slots", m.slot_mask);
  f.bytes("public_key_info", m.public_key_info);
  if (m.version < wire::kSpdmVersion14) return;
  f.bytes("pqc_capabilities", m.pqc_capabilities);
  f.bytes("pqc", m.current_pqc);
}

void describe(Fields& f, const wire::SpdmSetKeyPairInfo& m) {
  f.number("key_pair", m.key_pair);
  const auto operation = key_pair_operation_name(wire::SpdmKeyPairOperation{m.operation});
  if (operation.empty())
    f.number("operation", m.operation);
  else
    f.word("operation", operation);
  if (wire::SpdmKeyPairOperation{m.operation} == wire::SpdmKeyPairOperation::kErase) return;
  f.hex_number("usage", m.usage);
  f.hex_number("asym", m.asym);
  f.hex_number("slots", m.slot_mask);
  if (m.version >= wire::kSpdmVersion14) f.bytes("pqc", m.pqc);
}

void describe(Fields& f, const wire::SpdmGetEndpointInfo& m) {
  f.number("subcode", m.subcode);
  f.number("slot", m.slot);
  f.flag("sign", m.sign);
  if (m.sign) f.bytes("nonce", m.nonce);
}

void describe(Fields& f, const wire::SpdmEndpointInfo& m) {
  f.number("slot", m.slot);
  f.bytes("info", m.info);
  f.bytes("signature", m.signature);
}

}  // namespace teeio::decode
