#include <algorithm>
#include <array>

#include "crypto/certificate.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/vm.h"
#include "host/pci_tsm/cca/cca_driver.h"
#include "schedule/task.h"
#include "spdm/channel.h"

namespace teeio::tsm {
namespace {

using rmm::VdevState;

/// req blob of TSM_REQ_READ_OBJECT: enum tsm_object.
constexpr std::uint32_t kReport = 0;
constexpr std::uint32_t kEvidence = 1;
constexpr std::uint32_t kCertificates = 2;
constexpr std::uint32_t kMeasurements = 3;
constexpr std::uint32_t kVca = 4;

/// req blob of TSM_REQ_SET_TDI_STATE: enum tsm_tdi_state.
constexpr std::uint32_t kWantUnlocked = 0;
constexpr std::uint32_t kWantLocked = 1;
constexpr std::uint32_t kWantRun = 2;

constexpr std::size_t kNonceBytes = 32;

using Object = rmm::CommExit::Object;
constexpr std::size_t index(Object object) { return static_cast<std::size_t>(object); }

/// RsiVdevState as the guest sees it: NEW is UNLOCKED.
std::uint32_t guest_state(std::uint64_t state) {
  return rmm::rsi_state(static_cast<VdevState>(state));
}

/// What the host was given to keep, as a verifier wants it: see spdm::Evidence. Empty for
/// a card that shows nothing.
Bytes evidence_of(const std::array<Bytes, 4>& card, const std::array<Bytes, 4>& own) {
  constexpr std::size_t kNonceAt = 4;
  const auto chain = crypto::CertificateChain::parse(card[index(Object::kCertificate)]);
  const Bytes& measured = own[index(Object::kMeasurements)];
  if (!chain) return {};
  const bool p256 = chain->leaf().public_key().type() == crypto::KeyType::kP256;
  const std::size_t signature = p256 ? 64 : 96;
  if (measured.size() < kNonceAt + kNonceBytes + signature) return {};
  spdm::Evidence evidence{
      .chain = crypto::encode_spdm_chain(
          *chain, p256 ? crypto::HashAlgorithm::kSha256 : crypto::HashAlgorithm::kSha384),
      .transcript = card[index(Object::kVca)],
      .signature = Bytes(measured.end() - static_cast<std::ptrdiff_t>(signature), measured.end()),
      .record = {}};
  std::ranges::copy(ByteView(measured).subspan(kNonceAt, kNonceBytes), evidence.nonce.begin());
  evidence.transcript.insert(evidence.transcript.end(), measured.begin(),
                             measured.end() - static_cast<std::ptrdiff_t>(signature));
  return spdm::encode_evidence(evidence);
}

}  // namespace

/// cca_tsm_guest_req(): with a lock at bind, RUN is all that a guest may ask for.
rmm::RmiResult CcaDriver::set_state(const Bound& bound, Bdf function, Hpa rd, std::uint32_t state,
                                    Result<void>& driven) {
  rmm::Rmm& rmm = host_.rmm();
  const Hpa pdev = bound.card->pdev;
  VdevState wanted = VdevState::kUnlocked;
  rmm::RmiResult result;
  if (state == kWantRun) {
    wanted = VdevState::kStarted;
    result = rmm.vdev_start(rd, pdev, bound.vdev);
  } else if (state == kWantUnlocked && how_ == CcaBind::kUnlocked) {
    result = rmm.vdev_unlock(rd, pdev, bound.vdev);
  } else if (state == kWantLocked && how_ == CcaBind::kUnlocked) {
    wanted = VdevState::kLocked;
    result = rmm.vdev_lock(rd, pdev, bound.vdev);
  } else {
    driven = fail(Errno::kInval, "a guest asks for no such TDI state");
    return {.code = rmm::Code::kInput};
  }
  if (result.ok()) driven = drive_vdev(bound, function, rd, wanted);
  return result;
}

/// cca_vdev_device_map(): device memory is mapped where a realm wants it. What of it is valid
/// says the realm, to its monitor (KVM_EXIT_ARM64_TIO).
///
/// Of a realm without code the request does the realm's and KVM's part too: it says which
/// VDEV is meant, and makes valid what the realm has asked for, at the PA that it named.
rmm::RmiResult CcaDriver::validate(const Bound& bound, kvm::Vm& vm, Reader payload,
                                   Result<void>& mapped) {
  const auto base = payload.le<std::uint64_t>();
  const auto top = payload.le<std::uint64_t>();
  const auto address = payload.le<std::uint64_t>();
  if (!payload.ok() || base >= top || !is_page_aligned(base | top | address))
    return {.code = rmm::Code::kInput};
  const auto& realm = static_cast<const kvm::RealmVm&>(vm.ops());
  if (realm.runs_code()) {
    for (std::uint64_t done = 0; mapped && done < top - base; done += kPageSize)
      mapped = vm.mmu().map_device(Gpa{base + done}, Hpa{address + done});
    return {};
  }
  rmm::Rmm& rmm = host_.rmm();
  const Hpa rec = realm.rec();
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

/// The device measures itself anew; what the host keeps of it replaces what it had.
rmm::RmiResult CcaDriver::measure(const Bound& bound, Bdf function, Hpa rd, ByteView nonce,
                                  Result<void>& driven) {
  rmm::Rmm& rmm = host_.rmm();
  rmm::MeasureParams params;
  std::ranges::copy(nonce.first(params.nonce.size()), params.nonce.begin());
  Card& card = *bound.card;
  driven = host_.memory().write(card.pages.params, params.encode());
  if (!driven) return {.code = rmm::Code::kInput};
  const auto state = static_cast<VdevState>(rmm.vdev_get_state(bound.vdev).x1);
  const auto begun = rmm.vdev_get_measurements(rd, card.pdev, bound.vdev, card.pages.params);
  if (!begun.ok()) return begun;
  card.of_function[function][index(Object::kMeasurements)].clear();
  driven = drive_vdev(bound, function, rd, state);
  return begun;
}

rmm::RmiResult CcaDriver::read_report(const Bound& bound, Bdf function, Hpa rd,
                                      Result<void>& driven) {
  rmm::Rmm& rmm = host_.rmm();
  const auto state = static_cast<VdevState>(rmm.vdev_get_state(bound.vdev).x1);
  const auto begun = rmm.vdev_get_interface_report(rd, bound.card->pdev, bound.vdev);
  if (!begun.ok()) return begun;
  bound.card->of_function[function][index(Object::kReport)].clear();
  driven = drive_vdev(bound, function, rd, state);
  return begun;
}

GuestOutcome CcaDriver::guest_request(hw::PciFunction& function, const Tdi&, kvm::Vm& vm,
                                      const GuestRequest& request) {
  const Bdf bdf = function.bdf();
  const Bound bound = bound_.of(bdf);
  const Hpa rd = vm.firmware_handle();
  Card& card = *bound.card;
  Objects& own = card.of_function[bdf];
  Result<void> driven;
  rmm::RmiResult result;
  Bytes payload;
  Reader in(request.payload);
  switch (request.op) {
    case RequestOp::kSetTdiState: {
      const auto state = in.le<std::uint32_t>();
      if (!in.ok()) return fail(Errno::kInval, "the request names no TDI state");
      result = set_state(bound, bdf, rd, state, driven);
      break;
    }
    case RequestOp::kValidateMmio:
      result = validate(bound, vm, in, driven);
      break;
    case RequestOp::kRegenObject:
      if (request.payload.size() < kNonceBytes)
        return fail(Errno::kInval, "the request has no nonce");
      result = measure(bound, bdf, rd, request.payload, driven);
      break;
    case RequestOp::kReadObject: {
      const auto object = in.le<std::uint32_t>();
      const auto offset = in.le<std::uint32_t>();
      if (in.ok() && object >= kCertificates && object <= kVca) {
        // cca_vdev_read_cached_object(): as the host keeps it.
        payload = object == kCertificates ? card.objects[index(Object::kCertificate)]
                  : object == kVca        ? card.objects[index(Object::kVca)]
                                          : own[index(Object::kMeasurements)];
        payload.erase(payload.begin(),
                      payload.begin() + static_cast<std::ptrdiff_t>(
                                            std::min<std::size_t>(offset, payload.size())));
        break;
      }
      if (in.ok() && object == kEvidence) {
        if (own[index(Object::kMeasurements)].empty() && offset == 0) {
          std::array<std::byte, kNonceBytes> nonce;
          schedule::fill_random(nonce);
          result = measure(bound, bdf, rd, nonce, driven);
        }
        if (result.ok() && driven) payload = evidence_of(card.objects, own);
        payload.erase(payload.begin(),
                      payload.begin() + static_cast<std::ptrdiff_t>(
                                            std::min<std::size_t>(offset, payload.size())));
        break;
      }
      if (in.ok() && object != kReport) return fail(Errno::kInval, "there is no such object");
      result = read_report(bound, bdf, rd, driven);
      if (result.ok() && driven) payload = own[index(Object::kReport)];
      // An empty request means all of the report.
      if (in.ok())
        payload.erase(payload.begin(),
                      payload.begin() + std::min<std::ptrdiff_t>(offset, std::ssize(payload)));
      break;
    }
    case RequestOp::kObjectInfo:
      result = host_.rmm().vdev_get_state(bound.vdev);
      payload = Writer().le(guest_state(result.x1)).take();
      break;
    case RequestOp::kSevEnableDma:
    case RequestOp::kSevDisableDma:
      return fail(Errno::kInval, "Arm CCA has no such guest request");
  }
  const auto code = static_cast<std::uint64_t>(result.code);
  if (!driven) return {std::unexpected(driven.error()), code};
  if (!result.ok())
    return {std::unexpected(kvm::rmi_error(result, "the RMM refuses the guest's request")), code};
  payload.resize(std::min(payload.size(), request.response_limit));
  return {std::move(payload), code};
}

}  // namespace teeio::tsm
