#include <algorithm>
#include <array>

#include "host/kvm/vm.h"
#include "host/pci_tsm/tdx/tdx_driver.h"

namespace teeio::tsm {
namespace {

constexpr std::uint8_t kTdispError = 0x7f;

/// req blob of TSM_REQ_READ_OBJECT: enum tsm_object.
constexpr std::uint32_t kReport = 0;
constexpr std::uint32_t kEvidence = 1;
constexpr std::uint32_t kVca = 4;

/// req blob of TSM_REQ_SET_TDI_STATE: the TDISP state that the guest wants.
enum class WantedState : std::uint32_t { kUnlocked = 0, kLocked = 1, kRun = 2 };

}  // namespace

/// The module makes the message; nothing has left for the device yet.
Result<std::size_t> TdxDriver::tdisp_request(Card& card, tdx::FunctionId id, tdx::DevifRequest code,
                                             tdx::OnBehalfOf who) {
  const bool can_wait = code == tdx::DevifRequest::kStop;
  const auto make = [&] { return host_.module().tdh_devif_request(id, code, who, card.message); };
  const auto request = can_wait ? host_.call(make) : host_.once(make);
  if (!request.ok()) return std::unexpected(kvm::leaf_error(request, "TDH.DEVIF.REQUEST failed"));
  return request.message_bytes();
}

/// The host carries the message, and the module takes the answer.
Result<tdx::LeafResult> TdxDriver::tdisp_exchange(Card& card, tdx::FunctionId id,
                                                  tdx::OnBehalfOf who, std::size_t bytes) {
  TEEIO_TRY(carry(card, bytes));
  const auto take = [&] { return host_.module().tdh_devif_response(id, who, card.message); };
  // Also for set-up: a request that stays pending would block STOP.
  const auto response = host_.call(take);
  if (!response.ok())
    return std::unexpected(kvm::leaf_error(response, "TDH.DEVIF.RESPONSE failed"));
  if (response.message_code() == kTdispError)
    return fail(Errno::kIo, "the device refused a TDISP request");
  return response;
}

Result<tdx::LeafResult> TdxDriver::tdisp(Card& card, tdx::FunctionId id, tdx::DevifRequest code,
                                         tdx::OnBehalfOf who) {
  TEEIO_ASSIGN(const std::size_t bytes, tdisp_request(card, id, code, who));
  return tdisp_exchange(card, id, who, bytes);
}

/// The module has the device measure itself with the guest's nonce; the host carries.
Result<GuestResponse> TdxDriver::collect_evidence(Card& card, ByteView payload,
                                                  std::uint64_t& code) {
  std::array<std::byte, 32> nonce{};
  if (payload.size() < nonce.size()) return fail(Errno::kInval, "the request has no nonce");
  std::ranges::copy(payload.first(nonce.size()), nonce.begin());
  for (;;) {
    const auto step = host_.extension([&] {
      return host_.module().tdh_spdm_recollect(card.port.iommu, card.session, nonce, card.message);
    });
    code = step.status.rax();
    if (!step.ok()) return std::unexpected(kvm::leaf_error(step, "TDH.SPDM.MNG failed"));
    if (step.message_bytes() == 0) return GuestResponse{.payload = {}, .tsm_code = code};
    TEEIO_TRY(carry(card, step.message_bytes()));
  }
}

Result<GuestResponse> TdxDriver::read_evidence(Card& card, std::uint32_t offset,
                                               const GuestRequest& request, std::uint64_t& code) {
  const auto read = host_.extension([&] {
    return host_.module().tdh_spdm_info(card.port.iommu, card.session, offset, card.message);
  });
  code = read.status.rax();
  if (!read.ok()) return std::unexpected(kvm::leaf_error(read, "TDH.SPDM.MNG failed"));
  Bytes portion(std::min<std::size_t>(read.message_bytes(), request.response_limit));
  TEEIO_TRY(host_.memory().read(card.message, portion));
  return GuestResponse{.payload = std::move(portion), .tsm_code = code};
}

Result<GuestResponse> TdxDriver::guest_request(hw::PciFunction& function, const Tdi&, kvm::Vm&,
                                               const GuestRequest& request, std::uint64_t& code) {
  Card* card = card_of(function);
  if (card == nullptr) return fail(Errno::kNxio, "the card is not connected");
  switch (request.op) {
    case RequestOp::kReadObject: {
      Reader in(request.payload);
      const auto object = in.le<std::uint32_t>();
      const auto offset = in.le<std::uint32_t>();
      if (in.ok() && object == kEvidence) return read_evidence(*card, offset, request, code);
      if (in.ok() && object > kEvidence && object <= kVca)
        return read_part(*card, object, offset, request, code);
      if (in.ok() && object != kReport) return fail(Errno::kInval, "there is no such object");
      break;
    }
    case RequestOp::kRegenObject:
      return collect_evidence(*card, request.payload, code);
    case RequestOp::kObjectInfo:
      break;
    case RequestOp::kSetTdiState: {
      Reader in(request.payload);
      const auto wanted = static_cast<WantedState>(in.le<std::uint32_t>());
      if (!in.ok()) return fail(Errno::kInval, "the request names no TDI state");
      if (wanted != WantedState::kRun) {
        // The module takes LOCK and STOP from the VMM only, and between STOP and
        // the end of the TDI the host must unmap what KVM has mapped.
        code = tdx::Status(tdx::Code::kOperandInvalid, tdx::Operand::kRdx).rax();
        return fail(Errno::kInval,
                    "on TDX the host locks and stops a TDI: it must unmap private MMIO in between");
      }
      break;
    }
    case RequestOp::kValidateMmio:
    case RequestOp::kSevEnableDma:
    case RequestOp::kSevDisableDma:
      return fail(Errno::kInval, "TDX has no such guest request");
  }
  // What goes out is what the guest has left with the module, whatever it told the VMM.
  const auto relayed = tdisp(*card, tdx::function_id(function.bdf()), tdx::DevifRequest::kNone,
                             tdx::OnBehalfOf::kTd);
  if (!relayed) {
    code = tdx::Status(tdx::Code::kTdispInvalidReqSts).rax();
    return std::unexpected(relayed.error());
  }
  code = relayed->status.rax();
  return GuestResponse{.payload = {}, .tsm_code = code};
}

}  // namespace teeio::tsm
