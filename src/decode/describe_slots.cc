#include <fmt/format.h>

#include "decode/describe.h"
#include "wire/spdm_slots.h"

namespace teeio::decode {
namespace {

using Subcode = wire::SpdmSlotSubcode;

void describe_subcode(Fields& f, std::uint8_t subcode) {
  const std::string_view name = wire::spdm_slot_subcode_name(subcode);
  if (name.empty())
    f.hex_number("subcode", subcode);
  else
    f.word("subcode", name);
}

void describe_subcodes(Fields& f, ByteView structure) {
  const auto subcodes = wire::decode_spdm_supported_subcodes(structure);
  if (!subcodes) return f.word("structure", subcodes.error().why);
  f.word("subcodes", [&subcodes](Text& out) {
    List names(out, ',');
    for (std::uint8_t subcode = 0; subcode < 64; ++subcode) {
      if ((*subcodes >> subcode & 1U) == 0) continue;
      const std::string_view name = wire::spdm_slot_subcode_name(subcode);
      if (name.empty())
        names.next().add("0x").add_number(subcode, 16);
      else
        names.next().add(name);
    }
  });
}

void describe_banks(Fields& f, ByteView structure) {
  const auto banks = wire::decode_spdm_bank_info(structure);
  if (!banks) return f.word("structure", banks.error().why);
  for (const wire::SpdmBankElement& one : *banks)
    f.word({"bank", one.bank},
           fmt::format("slots={:#x},modifiable={:#x}", one.slots, one.modifiable));
}

void describe_details(Fields& f, ByteView structure) {
  const auto details = wire::SpdmBankDetails::decode(structure);
  if (!details) return f.word("structure", details.error().why);
  f.number("bank", details->bank);
  f.flag("selected", (details->attributes & wire::SpdmBankDetails::kSelected) != 0);
  f.flag("config_algorithm", (details->attributes & wire::SpdmBankDetails::kConfigAlgorithm) != 0);
  f.hex_number("asym_capabilities", details->asym_capabilities);
  f.hex_number("asym", details->current_asym);
  f.hex_number("available_asym", details->available_asym);
  f.bytes("pqc_capabilities", details->pqc_capabilities);
  f.bytes("pqc", details->current_pqc);
  f.bytes("available_pqc", details->available_pqc);
  for (const wire::SpdmSlotElement& one : details->slots) {
    const bool filled = (one.attributes & wire::SpdmSlotElement::kProvisioned) != 0;
    const bool fixed = (one.attributes & wire::SpdmSlotElement::kWriteProtected) != 0;
    f.word({"slot", one.slot},
           fmt::format("{}{},size={},key_pair={},cert_info={:#x},usage={:#x}",
                       filled ? "provisioned" : "empty", fixed ? ",write-protected" : "", one.size,
                       one.key_pair, one.certificate_info, one.key_usage));
    if (filled) f.bytes({"slot", one.slot, ".digest"}, one.digest);
  }
}

void describe_data(Fields& f, FieldName name, ByteView structure) {
  const auto data = wire::decode_spdm_slot_data(structure);
  if (!data) return f.word("structure", data.error().why);
  f.size(name, *data);
}

}  // namespace

void describe(Fields& f, const wire::SpdmSlotManagement& m) {
  describe_subcode(f, m.subcode);
  switch (Subcode{m.subcode}) {
    case Subcode::kSupportedSubcodes:
    case Subcode::kGetBankInfo:
      return;
    case Subcode::kGetBankDetails:
    case Subcode::kGetCertificateChain:
      break;
    case Subcode::kGetCsr:
    case Subcode::kSetCertificate:
      f.number("key_pair", m.key_pair);
      f.hex_number("attributes", m.attributes);
      f.size("requester_info", m.requester_info);
      f.size("opaque", m.opaque);
      f.size("chain", m.certificate_chain);
      break;
    case Subcode::kManageBank:
      f.number("operation", m.operation);
      f.hex_number("asym", m.asym);
      f.bytes("pqc", m.pqc);
      break;
    case Subcode::kManageSlot:
      f.word("operation", m.operation == wire::SpdmSlotManagement::kErase ? "erase" : "reserved");
      break;
  }
  if (wire::spdm_slot_subcode_name(m.subcode).empty()) return;
  f.number("bank", m.bank);
  f.number("slot", m.slot);
}

void describe(Fields& f, const wire::SpdmSlotManagementResp& m) {
  describe_subcode(f, m.subcode);
  if (m.structure.empty()) return;
  switch (Subcode{m.subcode}) {
    case Subcode::kSupportedSubcodes:
      return describe_subcodes(f, m.structure);
    case Subcode::kGetBankInfo:
      return describe_banks(f, m.structure);
    case Subcode::kGetBankDetails:
      return describe_details(f, m.structure);
    case Subcode::kGetCertificateChain:
      return describe_data(f, "chain", m.structure);
    case Subcode::kGetCsr:
      return describe_data(f, "csr", m.structure);
    case Subcode::kManageBank:
    case Subcode::kManageSlot:
    case Subcode::kSetCertificate:
      break;
  }
  f.bytes("structure", m.structure);
}

}  // namespace teeio::decode
