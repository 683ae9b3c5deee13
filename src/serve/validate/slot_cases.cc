// SLOT_MANAGEMENT (SPDM 1.4). Nothing is asked for that would change a slot.
#include <fmt/format.h>

#include <algorithm>

#include "serve/validate/provisioning.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_slots.h"

namespace teeio::serve::validate {
namespace {

using Subcode = wire::SpdmSlotSubcode;
using wire::SpdmErrorCode;

constexpr std::uint64_t kMandatorySubCodes = 0xf;

std::expected<Ready, Verdict> ready_for_slots(Bench& bench) {
  auto ready = ready_for(bench, wire::kSpdmCapCert, "CERT_CAP");
  if (ready && (ready->agreed.extended_flags & wire::kSpdmExtendedCapSlotManagement) == 0)
    return std::unexpected(skipped("SLOT_MGMT_CAP is not set"));
  return ready;
}

wire::SpdmSlotManagement request_of(Subcode subcode, unsigned bank = 0, unsigned slot = 0) {
  wire::SpdmSlotManagement request;
  request.subcode = std::to_underlying(subcode);
  request.bank = static_cast<std::uint8_t>(bank);
  request.slot = static_cast<std::uint8_t>(slot);
  return request;
}

/// The structure of the answer.
std::expected<Bytes, Verdict> ask(Ready& ready, const wire::SpdmSlotManagement& request) {
  const std::string_view name = wire::spdm_slot_subcode_name(request.subcode);
  const Reply reply = ready.link.raw(request.encode());
  if (!reply.answered())
    return std::unexpected(failed(fmt::format("{}: {} came", name, reply.str())));
  const auto answer = wire::SpdmSlotManagementResp::decode(reply.bytes);
  if (!answer) return std::unexpected(failed(fmt::format("{}: {}", name, answer.error().why)));
  if (answer->subcode != request.subcode)
    return std::unexpected(failed(fmt::format("{}: the answer is of another subcode", name)));
  return Bytes(answer->structure.begin(), answer->structure.end());
}

std::expected<std::vector<wire::SpdmBankElement>, Verdict> banks_of(Ready& ready) {
  auto structure = ask(ready, request_of(Subcode::kGetBankInfo));
  if (!structure) return std::unexpected(structure.error());
  auto banks = wire::decode_spdm_bank_info(*structure);
  if (!banks) return std::unexpected(failed(fmt::format("GetBankInfo: {}", banks.error().why)));
  if (banks->empty()) return std::unexpected(failed("GetBankInfo has no bank"));
  return *banks;
}

}  // namespace

Verdict slot_banks(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for_slots(bench));
  TEEIO_CASE_ASSIGN(const Bytes structure, ask(ready, request_of(Subcode::kSupportedSubcodes)));
  const auto subcodes = wire::decode_spdm_supported_subcodes(structure);
  TEEIO_CASE(subcodes.has_value(), "SupportedSubCodes: {}", subcodes.error().why);
  TEEIO_CASE((*subcodes & kMandatorySubCodes) == kMandatorySubCodes, "SupportedSubCodes is {:#x}",
             *subcodes);
  TEEIO_CASE_ASSIGN(const auto banks, banks_of(ready));
  for (std::size_t i = 0; i < banks.size(); ++i) {
    TEEIO_CASE(banks[i].bank == i, "bank {} has the number {}", i, banks[i].bank);
    TEEIO_CASE((banks[i].modifiable & ~unsigned{banks[i].slots}) == 0,
               "bank {} lets slots be changed that it does not have", i);
  }
  return passed();
}

/// One bank is that of ALGORITHMS, and its slots are those of DIGESTS and CERTIFICATE.
Verdict slot_details(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for_slots(bench));
  TEEIO_CASE_ASSIGN(const auto banks, banks_of(ready));
  const Bytes chain = ready.link.requester().peer_chain(0)->chain;
  const crypto::Digest digest = crypto::hash(*ready.suite.hash, chain);
  unsigned selected = 0;
  for (const wire::SpdmBankElement& bank : banks) {
    TEEIO_CASE_ASSIGN(const Bytes structure,
                      ask(ready, request_of(Subcode::kGetBankDetails, bank.bank)));
    const auto details = wire::SpdmBankDetails::decode(structure);
    TEEIO_CASE(details.has_value(), "GetBankDetails: {}", details.error().why);
    TEEIO_CASE(details->bank == bank.bank, "GetBankDetails is of bank {}", details->bank);
    unsigned slots = 0;
    for (const wire::SpdmSlotElement& one : details->slots) {
      TEEIO_CASE(one.slot < wire::kSpdmSlots, "there is a slot {}", one.slot);
      slots |= 1U << one.slot;
    }
    TEEIO_CASE(slots == bank.slots, "bank {} has the slots {:#x}, by GetBankInfo {:#x}", bank.bank,
               slots, bank.slots);
    if ((details->attributes & wire::SpdmBankDetails::kSelected) == 0) continue;
    ++selected;
    const auto first = std::ranges::find(details->slots, 0, &wire::SpdmSlotElement::slot);
    TEEIO_CASE(first != details->slots.end() && std::ranges::equal(first->digest, ByteView(digest)),
               "slot 0's digest is not that of its chain");
    TEEIO_CASE_ASSIGN(const Bytes shown,
                      ask(ready, request_of(Subcode::kGetCertificateChain, bank.bank)));
    const auto again = wire::decode_spdm_slot_data(shown);
    TEEIO_CASE(again && std::ranges::equal(*again, chain),
               "GetCertificateChain has another chain than CERTIFICATE");
  }
  TEEIO_CASE(selected == 1, "{} banks are selected", selected);
  return passed();
}

Verdict slot_nonsense(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for_slots(bench));
  TEEIO_CASE_ASSIGN(const auto banks, banks_of(ready));
  wire::SpdmSlotManagement unknown;
  unknown.subcode = 0x3f;  // in no table
  Bytes in_header = request_of(Subcode::kGetBankDetails).encode();
  in_header.at(wire::SpdmHeader::kSize) = std::byte{4};
  Bytes long_address = request_of(Subcode::kGetBankDetails).encode();
  long_address.at(2 * wire::SpdmHeader::kSize) = std::byte{9};
  const std::pair<std::string_view, Bytes> wrong[] = {
      {"a subcode that there is not", unknown.encode()},
      {"a bank that there is not",
       request_of(Subcode::kGetBankDetails, static_cast<unsigned>(banks.size())).encode()},
      {"a slot that there is not", request_of(Subcode::kGetCertificateChain, 0, 0xf).encode()},
      {"a structure in the header", in_header},
      {"a SlotAddress of 9 bytes", long_address}};
  for (const auto& [what, request] : wrong) {
    const Reply reply = ready.link.raw(request);
    TEEIO_CASE(reply.is_error(SpdmErrorCode::kInvalidRequest), "{}: {} came", what, reply.str());
  }
  return passed();
}

Verdict slots_absent(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, ready_for(bench, wire::kSpdmCapCert, "CERT_CAP"));
  if ((ready.agreed.extended_flags & wire::kSpdmExtendedCapSlotManagement) != 0)
    return skipped("SLOT_MGMT_CAP is set");
  Bytes request = request_of(Subcode::kSupportedSubcodes).encode();
  request.front() = std::byte{ready.agreed.version};
  const Reply reply = ready.link.raw(request);
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kUnsupportedRequest), "{} came", reply.str());
  return passed();
}

}  // namespace teeio::serve::validate
