// SLOT_MANAGEMENT. Source: libspdm pull request 3637,
// library/spdm_responder_lib/libspdm_rsp_slot_management.c (what is refused, and how) and
// doc/slot_management_database.md (what each field tells).
#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_slots.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;
using Request = wire::SpdmSlotManagement;
using Subcode = wire::SpdmSlotSubcode;

/// A type of key that this end may have, whatever was negotiated.
struct Bank {
  crypto::KeyType type;
  crypto::SignatureAlgorithm algorithm;
  KeyPairBits bits;
};

/// In the order of BaseAsymAlgo's and PqcAsymAlgo's bits: a function of the settings alone, so that
/// a bank keeps its number whatever its slots have.
std::vector<Bank> all_banks(const State& state) {
  std::vector<Bank> banks;
  const auto add = [&](std::optional<crypto::SignatureAlgorithm> algorithm, std::uint32_t pqc) {
    if (!algorithm) return;
    const crypto::KeyType type = crypto::key_type(*algorithm);
    if (std::ranges::find(banks, type, &Bank::type) == banks.end())
      banks.push_back({type, *algorithm, key_pair_bits(type, pqc)});
  };
  const Algorithms& ours = state.config.settings.algorithms;
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1U)
    if ((ours.base_asym & bit) != 0) add(signature_of(bit), 0);
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1U)
    if ((ours.pqc_asym & bit) != 0) add(pqc_signature_of(bit), bit);
  return banks;
}

bool is_selected(const State& state, const Bank& bank) {
  return state.suite.asym && crypto::key_type(*state.suite.asym) == bank.type;
}

const Credential* credential_of(const State& state, const Bank& bank, std::uint8_t slot) {
  return state.config.credentials->credential(slot, bank.algorithm, *state.suite.hash);
}

std::uint64_t supported(const State& state) {
  const auto bit = [](Subcode subcode) { return std::uint64_t{1} << std::to_underlying(subcode); };
  std::uint64_t all = bit(Subcode::kSupportedSubcodes) | bit(Subcode::kGetBankInfo) |
                      bit(Subcode::kGetBankDetails) | bit(Subcode::kGetCertificateChain);
  if (state.can(wire::kSpdmCapCsr, 0)) all |= bit(Subcode::kGetCsr);
  if (state.can(wire::kSpdmCapSetCert, 0))
    all |= bit(Subcode::kManageSlot) | bit(Subcode::kSetCertificate);
  return all;  // a bank's algorithm is fixed: no ManageBank
}

Bytes answer_of(const State& state, const Request& request, ByteView structure) {
  wire::SpdmSlotManagementResp answer;
  answer.version = state.version();
  answer.subcode = request.subcode;
  answer.structure = structure;
  return answer.encode();
}

Bytes bank_info(const State& state) {
  const std::uint8_t modifiable = state.can(wire::kSpdmCapSetCert, 0) ? 0xff : 0;
  std::vector<wire::SpdmBankElement> elements(all_banks(state).size());
  // All eight slots are there, as DIGESTS has it, filled or not.
  for (std::size_t bank = 0; bank < elements.size(); ++bank)
    elements[bank] = {static_cast<std::uint8_t>(bank), 0xff, modifiable};
  return wire::encode_spdm_bank_info(elements);
}

Bytes bank_details(const State& state, const Bank& bank, std::uint8_t number) {
  const Bytes pqc = Writer().le(bank.bits.pqc).take();
  wire::SpdmBankDetails details;
  details.bank = number;
  if (is_selected(state, bank)) details.attributes = wire::SpdmBankDetails::kSelected;
  // What no other bank has, and all that this one can have, is its own algorithm.
  details.asym_capabilities = details.current_asym = details.available_asym = bank.bits.asym;
  details.pqc_capabilities = details.current_pqc = details.available_pqc = pqc;
  std::array<Bytes, wire::kSpdmSlots> digests;
  for (std::uint8_t slot = 0; slot < wire::kSpdmSlots; ++slot) {
    wire::SpdmSlotElement element;
    element.slot = slot;
    element.size = static_cast<std::uint32_t>(state.config.settings.limits.certificate_chain_bytes);
    if (!state.can(wire::kSpdmCapSetCert, 0))
      element.attributes = wire::SpdmSlotElement::kWriteProtected;
    digests.at(slot).resize(state.suite.hash_size());
    if (const Credential* held = credential_of(state, bank, slot); held != nullptr) {
      element.attributes |= wire::SpdmSlotElement::kProvisioned;
      const crypto::Digest digest = crypto::hash(
          *state.suite.hash, crypto::encode_spdm_chain(held->identity->chain, *state.suite.hash));
      std::ranges::copy(ByteView(digest), digests.at(slot).begin());
      if (state.multi_key) {
        element.key_pair = held->key_pair_id;
        element.certificate_info = held->model;
        element.key_usage = held->key_usage;
      }
    }
    element.digest = digests.at(slot);
    details.slots.push_back(element);
  }
  return details.encode();
}

Reply certificate_chain(const State& state, const Request& request, const Bank& bank) {
  const Credential* const held = credential_of(state, bank, request.slot);
  if (held == nullptr) return refuse(SpdmErrorCode::kInvalidRequest);
  const Bytes chain = crypto::encode_spdm_chain(held->identity->chain, *state.suite.hash);
  return answer_of(state, request, wire::encode_spdm_slot_data(chain));
}

std::uint8_t model_of(const Request& request) {
  constexpr std::uint8_t kModel = 7;
  return request.attributes & kModel;
}

bool names_agree(const State& state, const Request& request) {
  return names_key_pair(state, request.key_pair, model_of(request));
}

Reply csr(State& state, const Request& request, const Bank& bank) {
  if (!names_agree(state, request)) return refuse(SpdmErrorCode::kInvalidRequest);
  const auto made =
      state.config.provisioning->csr({request.key_pair, bank.algorithm, *state.suite.hash},
                                     request.requester_info, request.opaque);
  if (!made) return refuse(why_not_provisioned(made.error()));
  return answer_of(state, request, wire::encode_spdm_slot_data(*made));
}

/// ManageSlot's Erase and SetCertificate.
Reply set(State& state, const Request& request, const Bank& bank) {
  ByteView certificates;
  if (Subcode{request.subcode} == Subcode::kSetCertificate) {
    if (!names_agree(state, request)) return refuse(SpdmErrorCode::kInvalidRequest);
    auto inside = certificates_of(state, request.certificate_chain);
    if (!inside) return std::unexpected(std::move(inside.error()));
    certificates = *inside;
  } else if (request.operation != Request::kErase) {
    return refuse(SpdmErrorCode::kInvalidRequest);
  }
  const auto done = state.config.provisioning->set_chain(
      request.slot, {request.key_pair, bank.algorithm, *state.suite.hash}, model_of(request),
      certificates);
  if (!done) return refuse(why_not_provisioned(done.error()));
  if (is_selected(state, bank)) note_slot_set(state, request.slot);
  return answer_of(state, request, {});
}

/// What names a bank and a slot.
Reply addressed(Call& call, const Request& request) {
  State& state = call.state;
  const std::vector<Bank> banks = all_banks(state);
  if (request.bank >= banks.size() || request.slot >= wire::kSpdmSlots)
    return refuse(SpdmErrorCode::kInvalidRequest);
  const Bank& bank = banks[request.bank];
  const Subcode subcode{request.subcode};
  if (subcode == Subcode::kGetBankDetails)
    return answer_of(state, request, bank_details(state, bank, request.bank));
  if (subcode == Subcode::kGetCertificateChain) return certificate_chain(state, request, bank);
  // As for SET_CERTIFICATE: slots other than 0 are for those who hold a session.
  if (request.slot != 0 && call.session == nullptr)
    return refuse(SpdmErrorCode::kUnexpectedRequest);
  return subcode == Subcode::kGetCsr ? csr(state, request, bank) : set(state, request, bank);
}

}  // namespace

Reply slot_management(Call& call) {
  State& state = call.state;
  const auto header = wire::SpdmHeader::decode(call.request);
  if (!header || !state.suite.hash) return refuse(SpdmErrorCode::kUnspecified);
  if (wire::spdm_slot_subcode_name(header->param1).empty())
    return refuse(SpdmErrorCode::kInvalidRequest);
  if ((supported(state) >> header->param1 & 1U) == 0)
    return refuse(SpdmErrorCode::kUnsupportedRequest, header->code);
  const auto request = Request::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kSlotManagement);
  switch (Subcode{request->subcode}) {
    case Subcode::kSupportedSubcodes:
      return answer_of(state, *request, wire::encode_spdm_supported_subcodes(supported(state)));
    case Subcode::kGetBankInfo:
      return answer_of(state, *request, bank_info(state));
    case Subcode::kGetBankDetails:
    case Subcode::kGetCertificateChain:
    case Subcode::kGetCsr:
    case Subcode::kManageBank:
    case Subcode::kManageSlot:
    case Subcode::kSetCertificate:
      return addressed(call, *request);
  }
  std::unreachable();
}

}  // namespace teeio::spdm::responder
