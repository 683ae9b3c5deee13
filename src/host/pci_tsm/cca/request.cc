#include <algorithm>
#include <array>

#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/vm.h"
#include "host/pci_tsm/cca/drive.h"

namespace teeio::tsm {
namespace {

using rmm::VdevState;

/// req blob of TSM_REQ_READ_OBJECT: enum tsm_object.
constexpr std::uint32_t kReport = 0;
constexpr std::uint32_t kEvidence = 1;

/// req blob of TSM_REQ_SET_TDI_STATE: enum tsm_tdi_state.
constexpr std::uint32_t kWantUnlocked = 0;
constexpr std::uint32_t kWantLocked = 1;
constexpr std::uint32_t kWantRun = 2;

/// RsiVdevState as the guest sees it: NEW is UNLOCKED.
std::uint32_t guest_state(std::uint64_t state) {
  return state <= 1 ? 0 : static_cast<std::uint32_t>(state - 1);
}

}  // namespace

rmm::RmiResult CcaDriver::set_state(const Bound& bound, Hpa rd, std::uint32_t state,
                                    Result<void>& driven) {
  rmm::Rmm& rmm = host_.rmm();
  const Hpa pdev = bound.card->pdev;
  VdevState wanted = VdevState::kUnlocked;
  rmm::RmiResult result;
  if (state == kWantUnlocked) {
    result = rmm.vdev_unlock(rd, pdev, bound.vdev);
  } else if (state == kWantLocked) {
    wanted = VdevState::kLocked;
    result = rmm.vdev_lock(rd, pdev, bound.vdev);
  } else if (state == kWantRun) {
    wanted = VdevState::kStarted;
    result = rmm.vdev_start(rd, pdev, bound.vdev);
  } else {
    driven = fail(Errno::kInval, "there is no such TDI state");
    return {.code = rmm::Code::kInput};
  }
  if (result.ok()) driven = drive_vdev(bound, rd, wanted);
  return result;
}

/// The host's part of RSI_VDEV_VALIDATE_MAPPING: it says which VDEV the realm means, and
/// makes valid what the realm has asked for. That, and no word of the host's, has the PA.
rmm::RmiResult CcaDriver::validate(const Bound& bound, kvm::Vm& vm, Reader payload) {
  const auto base = payload.le<std::uint64_t>();
  const auto top = payload.le<std::uint64_t>();
  const auto address = payload.le<std::uint64_t>();
  if (!payload.ok() || base >= top || !is_page_aligned(base | top | address))
    return {.code = rmm::Code::kInput};
  rmm::Rmm& rmm = host_.rmm();
  const Hpa rec = static_cast<const kvm::RealmVm&>(vm.ops()).rec();
  if (const auto named = rmm.vdev_complete(rec, bound.vdev); !named.ok()) return named;
  const auto entered = rmm.rec_enter(rec);
  if (!entered.ok()) return entered;
  if (entered.x1 != static_cast<std::uint64_t>(rmm::RecExit::kDevMemMap))
    return {.code = rmm::Code::kInput};
  rmm::RmiResult valid{.x1 = base};
  while (valid.ok() && valid.x1 < top)
    valid = rmm.rtt_dev_validate(vm.firmware_handle(), rec, Gpa{valid.x1}, Gpa{top});
  (void)rmm.rec_enter(rec);
  return valid;
}

Result<GuestResponse> CcaDriver::guest_request(hw::PciFunction& function, const Tdi&, kvm::Vm& vm,
                                               const GuestRequest& request, std::uint64_t& code) {
  const Bound bound = this->bound(function);
  const Hpa rd = vm.firmware_handle();
  rmm::Rmm& rmm = host_.rmm();
  Result<void> driven;
  rmm::RmiResult result;
  Bytes payload;
  Reader in(request.payload);
  switch (request.op) {
    case RequestOp::kSetTdiState: {
      const auto state = in.le<std::uint32_t>();
      if (!in.ok()) return fail(Errno::kInval, "the request names no TDI state");
      result = set_state(bound, rd, state, driven);
      break;
    }
    case RequestOp::kValidateMmio:
      result = validate(bound, vm, in);
      break;
    case RequestOp::kRegenObject: {
      std::array<std::byte, 32> nonce{};
      if (request.payload.size() < nonce.size())
        return fail(Errno::kInval, "the request has no nonce");
      std::ranges::copy(request.payload.first(nonce.size()), nonce.begin());
      const auto state = static_cast<VdevState>(rmm.vdev_get_state(bound.vdev).x1);
      result = rmm.vdev_get_measurements(rd, bound.card->pdev, bound.vdev, nonce);
      if (result.ok()) driven = drive_vdev(bound, rd, state);
      break;
    }
    case RequestOp::kReadObject: {
      const auto object = in.le<std::uint32_t>();
      const auto offset = in.le<std::uint32_t>();
      if (in.ok() && object == kEvidence) {
        payload = rmm.cached_evidence(bound.card->pdev);
        payload.erase(payload.begin(),
                      payload.begin() + static_cast<std::ptrdiff_t>(
                                            std::min<std::size_t>(offset, payload.size())));
        break;
      }
      if (in.ok() && object != kReport) return fail(Errno::kInval, "there is no such object");
      const auto state = static_cast<VdevState>(rmm.vdev_get_state(bound.vdev).x1);
      result = rmm.vdev_interface_report(rd, bound.card->pdev, bound.vdev);
      if (result.ok()) driven = drive_vdev(bound, rd, state);
      if (result.ok() && driven) payload = rmm.cached_report(bound.vdev);
      // An empty request means all of the report.
      if (in.ok())
        payload.erase(payload.begin(),
                      payload.begin() + std::min<std::ptrdiff_t>(offset, std::ssize(payload)));
      break;
    }
    case RequestOp::kObjectInfo: {
      result = rmm.vdev_get_state(bound.vdev);
      payload = Writer().le(guest_state(result.x1)).take();
      break;
    }
    case RequestOp::kSevEnableDma:
    case RequestOp::kSevDisableDma:
      return fail(Errno::kInval, "Arm CCA has no such guest request");
  }
  code = static_cast<std::uint64_t>(result.code);
  if (!driven) return std::unexpected(driven.error());
  if (!result.ok())
    return std::unexpected(kvm::rmi_error(result, "the RMM refuses the guest's request"));
  payload.resize(std::min(payload.size(), request.response_limit));
  return GuestResponse{.payload = std::move(payload), .tsm_code = code};
}

}  // namespace teeio::tsm
