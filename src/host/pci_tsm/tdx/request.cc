#include <algorithm>
#include <utility>

#include "host/kvm/vm.h"
#include "host/pci_tsm/tdx/tdx_driver.h"

namespace teeio::tsm {
namespace {

constexpr std::uint8_t kTdispError = 0x7f;
constexpr std::string_view kRequestFailed = "TDH.DEVIF.REQUEST failed";
constexpr std::string_view kResponseFailed = "TDH.DEVIF.RESPONSE failed";
constexpr std::string_view kDeviceRefused = "the device refused a TDISP request";

/// req blob of TSM_REQ_READ_OBJECT: enum tsm_object.
constexpr std::uint32_t kReport = 0;
constexpr std::uint32_t kEvidence = 1;
constexpr std::uint32_t kVca = 4;

/// req blob of TSM_REQ_SET_TDI_STATE: the TDISP state that the guest wants.
enum class WantedState : std::uint32_t { kUnlocked = 0, kLocked = 1, kRun = 2 };

GuestOutcome refused(const tdx::LeafResult& leaf, std::string_view why) {
  return {std::unexpected(kvm::leaf_error(leaf, why)), leaf.status.rax()};
}

}  // namespace

tdx::LeafResult TdxDriver::make_request(Card& card, tdx::FunctionId id, tdx::DevifRequest code,
                                        tdx::OnBehalfOf who) {
  const bool can_wait = code == tdx::DevifRequest::kStop;
  const auto make = [&] { return host_.module().tdh_devif_request(id, code, who, card.message); };
  return can_wait ? host_.call(make) : host_.once(make);
}

tdx::LeafResult TdxDriver::take_response(Card& card, tdx::FunctionId id, tdx::OnBehalfOf who) {
  const auto take = [&] { return host_.module().tdh_devif_response(id, who, card.message); };
  // Also for set-up: a request that stays pending would block STOP.
  return host_.call(take);
}

/// The module makes the message; nothing has left for the device yet.
Result<std::size_t> TdxDriver::tdisp_request(Card& card, tdx::FunctionId id,
                                             tdx::DevifRequest code) {
  const auto request = make_request(card, id, code, tdx::OnBehalfOf::kVmm);
  if (!request.ok()) return std::unexpected(kvm::leaf_error(request, kRequestFailed));
  return request.message_bytes();
}

/// The host carries the message, and the module takes the answer.
Result<tdx::LeafResult> TdxDriver::tdisp_exchange(Card& card, tdx::FunctionId id,
                                                  std::size_t bytes) {
  TEEIO_TRY(carry(host_, card, card.message, bytes, card.message));
  const auto response = take_response(card, id, tdx::OnBehalfOf::kVmm);
  if (!response.ok()) return std::unexpected(kvm::leaf_error(response, kResponseFailed));
  if (response.message_code() == kTdispError) return fail(Errno::kIo, kDeviceRefused);
  return response;
}

Result<tdx::LeafResult> TdxDriver::tdisp(Card& card, tdx::FunctionId id, tdx::DevifRequest code) {
  TEEIO_ASSIGN(const std::size_t bytes, tdisp_request(card, id, code));
  return tdisp_exchange(card, id, bytes);
}

/// The module has the device measure itself with the guest's nonce; the host carries.
GuestOutcome TdxDriver::collect_evidence(Card& card, ByteView payload) {
  ConnectApi::Nonce nonce{};
  if (payload.size() < nonce.size()) return fail(Errno::kInval, "the request has no nonce");
  std::ranges::copy(payload.first(nonce.size()), nonce.begin());
  std::uint64_t code = 0;
  if (auto collected = connect_->collect_evidence(card, nonce, code); !collected)
    return {std::unexpected(collected.error()), code};
  return {Bytes{}, code};
}

GuestOutcome TdxDriver::read_evidence(Card& card, std::uint32_t offset,
                                      const GuestRequest& request) {
  std::uint64_t code = 0;
  auto portion = connect_->read_evidence(card, offset, request.response_limit, code);
  return {std::move(portion), code};
}

/// What goes out is what the guest has left with the module, whatever it told the VMM.
GuestOutcome TdxDriver::relay(Card& card, tdx::FunctionId id) {
  const auto request = make_request(card, id, tdx::DevifRequest::kNone, tdx::OnBehalfOf::kTd);
  if (!request.ok()) return refused(request, kRequestFailed);
  const auto carried = carry(host_, card, card.message, request.message_bytes(), card.message);
  if (!carried) return {std::unexpected(carried.error()), request.status.rax()};
  const auto response = take_response(card, id, tdx::OnBehalfOf::kTd);
  if (!response.ok()) return refused(response, kResponseFailed);
  const std::uint64_t code = response.status.rax();
  if (response.message_code() == kTdispError) return {fail(Errno::kIo, kDeviceRefused), code};
  return {Bytes{}, code};
}

GuestOutcome TdxDriver::guest_request(hw::PciFunction& function, const Tdi&, kvm::Vm&,
                                      const GuestRequest& request) {
  Card* const card = cards_.with_stream_of(function);
  if (card == nullptr) return fail(Errno::kNxio, "the card is not connected");
  switch (request.op) {
    case RequestOp::kReadObject: {
      Reader in(request.payload);
      const auto object = in.le<std::uint32_t>();
      const auto offset = in.le<std::uint32_t>();
      if (in.ok() && object == kEvidence) return read_evidence(*card, offset, request);
      if (in.ok() && object > kEvidence && object <= kVca)
        return read_part(*card, object, offset, request);
      if (in.ok() && object != kReport) return fail(Errno::kInval, "there is no such object");
      break;
    }
    case RequestOp::kRegenObject:
      return collect_evidence(*card, request.payload);
    case RequestOp::kObjectInfo:
      break;
    case RequestOp::kSetTdiState: {
      Reader in(request.payload);
      const auto wanted = static_cast<WantedState>(in.le<std::uint32_t>());
      if (!in.ok()) return fail(Errno::kInval, "the request names no TDI state");
      if (wanted != WantedState::kRun) {
        // The module takes LOCK and STOP from the VMM only, and between STOP and
        // the end of the TDI the host must unmap what KVM has mapped.
        return {
            fail(Errno::kInval,
                 "on TDX the host locks and stops a TDI: it must unmap private MMIO in between"),
            tdx::Status(tdx::Code::kOperandInvalid, tdx::Operand::kRdx).rax()};
      }
      break;
    }
    case RequestOp::kValidateMmio:
    case RequestOp::kSevEnableDma:
    case RequestOp::kSevDisableDma:
      return fail(Errno::kInval, "TDX has no such guest request");
  }
  return relay(*card, tdx::function_id(function.bdf()));
}

}  // namespace teeio::tsm
