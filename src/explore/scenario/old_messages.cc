#include "explore/scenario/adversaries.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/victims.h"
#include "firmware/sev/guest_message.h"

// Hosts that keep what was said in a TDI's life before, or about it, and use it in the next.

namespace teeio::explore {
namespace {

/// Unbound, bound and locked again, with what the first life was answered with last.
void live_again(Stage& stage, Vmm& vmm) {
  must(stage.unbind(vmm));
  must(stage.bind(vmm));
  must(stage.lock(vmm));
}

}  // namespace

namespace tdx_attack {

std::string replay_older(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  KeepingHost host;
  must(attest_tdx(vmm, kPfOfCard));
  live_again(stage, vmm);
  const Bytes old = host.last();
  live_again(stage, vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  host.replay(old);
  (void)attest_tdx(vmm, kPfOfCard);
  tsm::set_meddler(nullptr);
  return refusals.first();
}

/// The guest has validated the interface that is gone.
std::string bind_again(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  must(attest_tdx(vmm, kPfOfCard));
  stage.play();
  live_again(stage, vmm);
  refusals.start(stage.machine().trace());
  (void)ask_tdx(vmm, kPfOfCard, tdx::DevifRequest::kStart);
  return refusals.first();
}

}  // namespace tdx_attack

namespace cca_attack {

std::string replay_older(Stage& stage, Refusals&) {
  Vmm& vmm = stage.locked();
  KeepingHost host;
  must(attest_cca(vmm, kPfOfCard));
  live_again(stage, vmm);
  const Bytes old = host.last();
  live_again(stage, vmm);
  kvm::RealmVm& realm = realm_of(vmm);
  const Hpa vdev = vdev_of(realm, kPfOfCard);
  stage.play();
  host.replay(old);
  (void)attest_cca(vmm, kPfOfCard);
  tsm::set_meddler(nullptr);
  const bool in_error = realm.host().rmm().vdev_get_state(vdev).x1 ==
                        static_cast<std::uint64_t>(rmm::VdevState::kError);
  must(stage.unbind(vmm));
  return in_error ? "VDEV state: ERROR" : "VDEV state: as before";
}

/// The realm names the nonces of the VDEV that it has looked at.
std::string bind_again(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  kvm::RealmVm& realm = realm_of(vmm);
  rmm::Rmm& rmm = realm.host().rmm();
  must(attest_cca(vmm, kPfOfCard));
  const auto seen = realm.guest_looks(kPfOfCard);
  stage.play();
  live_again(stage, vmm);
  must(stage.ask_state(vmm, abi::TSM_TDI_RUN));
  refusals.start(stage.machine().trace());
  (void)rmm.rsi_vdev_dma_enable(realm.rec(), kPfOfCard.rid(),
                                {.lock = seen->lock_nonce,
                                 .measurements = seen->measurements_nonce,
                                 .report = seen->report_nonce});
  (void)rmm.vdev_complete(realm.rec(), vdev_of(realm, kPfOfCard));
  (void)rmm.rec_enter(realm.rec());
  return refusals.first();
}

}  // namespace cca_attack

namespace sev_attack {

namespace {

/// TDI_INFO of `vmm`'s guest about its own device, that many behind its last message.
Bytes question(Vmm& vmm, std::uint64_t ahead) {
  const auto known = vmm.snp_guest();
  const sev::GuestMessage message{
      .sequence = known->sequence.at(0) + ahead,
      .type = static_cast<std::uint8_t>(sev::TioMessage::kTdiInfoRequest),
      .payload = Writer().le(static_cast<std::uint16_t>(vmm.virt_id)).zeros(14).take()};
  return message.seal(known->message_keys.at(0));
}

Result<Bytes> give(Vmm& vmm, const Bytes& message) {
  return vmm.send(abi::TSM_REQ_OBJECT_INFO, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV, message);
}

}  // namespace

/// What the guest has validated is not valid any more, be it the same page.
std::string bind_again(Stage& stage, Refusals&) {
  Vmm& vmm = stage.with_mmio();
  must(attest_sev(vmm, kPfOfCard));
  sev::Rmp& rmp = snp_guest_of(vmm).psp().rmp();
  const Hpa page = validated_mmio(vmm);
  const sev::RmpEntry before = rmp.entry(page);
  stage.play();
  live_again(stage, vmm);
  must(stage.ask_state(vmm, abi::TSM_TDI_RUN));
  (void)rmp.update(page, {.assigned = true, .asid = before.asid, .gpa = before.gpa});
  const auto fault = rmp.check_guest(before.asid, before.gpa, page, sev::RmpAccess::kRead);
  (void)rmp.update(page, {});
  return "#VC: " + std::string(fault ? sev::rmp_fault_text(*fault) : "none");
}

/// The guest's next message but one: the firmware wants them all, in order.
std::string skip_message(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(attest_sev(vmm, kPfOfCard));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)give(vmm, question(vmm, 3));
  return refusals.first();
}

/// A message that was answered in the TDI's life before. The guest's messages are numbered in
/// its own life, not in its device's.
std::string replay_message_of_before(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(attest_sev(vmm, kPfOfCard));
  const Bytes old = question(vmm, 0);
  live_again(stage, vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)give(vmm, old);
  return refusals.first();
}

}  // namespace sev_attack

}  // namespace teeio::explore
