#include "explore/scenario/adversaries.h"
#include "explore/scenario/victims.h"

// Hosts that take something away, or give it to another, while it is in use: below their own
// drivers, as one that was changed would.

namespace teeio::explore {

namespace tdx_attack {

/// The module knows a function once: TDH.DEVIF.CREATE finds its entry taken.
std::string bind_elsewhere(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.locked(kVf0));
  kvm::TdxVm& other = td_of(stage.locked(kVf1));
  hw::PhysicalMemory& memory = td.host().memory();
  std::array<Hpa, 3> pages{};
  for (Hpa& page : pages) {
    const auto made = memory.alloc_page();
    must(made ? Result<void>() : std::unexpected(made.error()));
    page = *made;
  }
  stage.play();
  refusals.start(stage.machine().trace());
  (void)td.host().module().tdh_devif_create(other.firmware_handle(), tdx::function_id(kFirstVf), 0,
                                            0, pages[0], pages[1], pages[2]);
  for (const Hpa page : pages) memory.free_page(page);
  return refusals.first();
}

std::string drop_tdi(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.locked());
  stage.play();
  refusals.start(stage.machine().trace());
  (void)td.host().module().tdh_devif_remove(tdx::function_id(kPfOfCard));
  return refusals.first();
}

/// The card's session is the module's first; its stream has an id of the host bridge's.
std::string delete_stream(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.locked());
  tdx::G3Leaves& module = td.host().module().g3();
  std::uint8_t stream = 0;
  while (module.tdh_ide_stream_delete(0, stream).status == tdx::Code::kIdeStreamNotConfigured)
    ++stream;
  stage.play();
  refusals.start(stage.machine().trace());
  (void)module.tdh_ide_stream_delete(0, stream);
  return refusals.first();
}

std::string destroy_running(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.with_dma());
  tdx::Module& module = td.host().module();
  Hpa vcpu{0};
  must(td.as_guest([&](tdx::Module&, Hpa vp) -> Result<void> {
    vcpu = vp;
    return {};
  }));
  stage.play();
  (void)module.tdh_vp_flush(vcpu);
  refusals.start(stage.machine().trace());
  (void)module.tdh_mng_vpflushdone(td.firmware_handle());
  return refusals.first();
}

/// The key, before the module has let go of it.
std::string free_key(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.locked());
  stage.play();
  refusals.start(stage.machine().trace());
  (void)td.host().module().tdh_mng_key_freeid(td.firmware_handle());
  return refusals.first();
}

}  // namespace tdx_attack

namespace cca_attack {

/// validate_vdev_params(): a VDEV's addresses are nobody else's, whatever its realm.
std::string bind_elsewhere(Stage& stage, Refusals& refusals) {
  kvm::RealmVm& realm = realm_of(stage.with_mmio(kVf0));
  kvm::RealmVm& other = realm_of(stage.locked(kVf1));
  kvm::RealmHost& host = realm.host();
  const Pdevs pdevs = pdevs_of(realm, kFirstVf);
  const Hpa page{host.rmm().rtt_read_entry(realm.firmware_handle(), kMmioGpa, 3).x3};
  const auto granule = host.alloc_granule();
  const auto params = host.memory().alloc_page();
  must(granule && params ? Result<void>() : fail(Errno::kNoMem, "the host has no page"));
  const rmm::VdevParams stolen{.id = kFirstVf.rid(),
                               .tdi = kFirstVf.rid(),
                               .range_count = 1,
                               .ranges = {{.base = page, .top = page + kPageSize}}};
  must(host.memory().write(*params, stolen.encode()));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)host.rmm().vdev_create(other.firmware_handle(), pdevs.end_point, *granule, *params);
  host.memory().free_page(*params);
  host.free_granule(*granule);
  return refusals.first();
}

std::string drop_tdi(Stage& stage, Refusals& refusals) {
  kvm::RealmVm& realm = realm_of(stage.locked());
  const Pdevs pdevs = pdevs_of(realm, kPfOfCard);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)realm.host().rmm().vdev_destroy(realm.firmware_handle(), pdevs.end_point,
                                        vdev_of(realm, kPfOfCard));
  return refusals.first();
}

std::string delete_stream(Stage& stage, Refusals& refusals) {
  kvm::RealmVm& realm = realm_of(stage.locked());
  const Pdevs pdevs = pdevs_of(realm, kPfOfCard);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)realm.host().rmm().pdev_stream_disconnect(pdevs.end_point, pdevs.port,
                                                  raw(pdevs.end_point) + rmm::kNonCoherent);
  return refusals.first();
}

std::string destroy_running(Stage& stage, Refusals& refusals) {
  kvm::RealmVm& realm = realm_of(stage.with_dma());
  stage.play();
  refusals.start(stage.machine().trace());
  (void)realm.host().rmm().realm_destroy(realm.firmware_handle());
  return refusals.first();
}

/// The realm's descriptor, as a page of the host's.
std::string free_key(Stage& stage, Refusals& refusals) {
  kvm::RealmVm& realm = realm_of(stage.locked());
  const Hpa rd = realm.firmware_handle();
  stage.play();
  refusals.start(stage.machine().trace());
  (void)realm.host().rmm().granule_range_undelegate(rd, rd + kPageSize);
  return refusals.first();
}

}  // namespace cca_attack

namespace sev_attack {

std::string bind_elsewhere(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked(kVf0);
  sev::TioOperands operands = tio_of(vmm, kFirstVf);
  operands.guest = snp_guest_of(stage.locked(kVf1)).firmware_handle();
  stage.play();
  refusals.start(stage.machine().trace());
  tio_command(vmm, sev::TioCommand::kTdiBind, operands);
  return refusals.first();
}

std::string drop_tdi(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  const sev::TioOperands operands = tio_of(vmm, kPfOfCard);
  stage.play();
  refusals.start(stage.machine().trace());
  tio_command(vmm, sev::TioCommand::kTdiReclaim, operands);
  return refusals.first();
}

std::string delete_stream(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  const sev::TioOperands operands = tio_of(vmm, kPfOfCard);
  stage.play();
  refusals.start(stage.machine().trace());
  tio_command(vmm, sev::TioCommand::kDevDisconnect, operands);
  return refusals.first();
}

std::string destroy_running(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.with_dma();
  kvm::SevVm& guest = snp_guest_of(vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  kvm::PspHost::Answer answer;
  (void)guest.psp().command(sev::kSnpDecommission, Writer().le(raw(guest.firmware_handle())).take(),
                            answer);
  return refusals.first();
}

/// The page that has the guest's keys in it.
std::string free_key(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  kvm::SevVm& guest = snp_guest_of(vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  kvm::PspHost::Answer answer;
  (void)guest.psp().command(sev::kSnpPageReclaim, Writer().le(raw(guest.firmware_handle())).take(),
                            answer);
  return refusals.first();
}

/// While the TDI that has raised it is bound. AMD's driver clears it once that is reclaimed.
std::string clear_fence(Stage& stage, Refusals& refusals) {
  Vmm& vmm = behind_fence(stage);
  const sev::TioOperands operands = tio_of(vmm, kPfOfCard);
  stage.play();
  refusals.start(stage.machine().trace());
  tio_command(vmm, sev::TioCommand::kAsidFenceClear, operands);
  return refusals.first();
}

}  // namespace sev_attack

}  // namespace teeio::explore
