// Private MMIO: revoke, un-revoke, faults, memslots, and the host's own mappings.

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr std::uint64_t kBar2 = std::uint64_t{2} << vfio::kRegionShift;

/// A locked function with a dma-buf of its MMIO, and a VM that may fault.
Vmm& with_buffer(Stage& stage) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  const auto buffer = vmm.export_bar(2, kPageSize);
  TEEIO_CHECK(buffer.has_value(), "the BAR can be exported");
  vmm.mmio_buffer = *buffer;
  return vmm;
}

/// And its memslot, private, with nothing mapped yet.
Vmm& with_slot(Stage& stage) {
  Vmm& vmm = with_buffer(stage);
  must(vmm.set_mmio_slot());
  must(vmm.set_private(kMmioGpa, kPageSize));
  return vmm;
}

void delete_slot(Vmm& vmm) { (void)vmm.set_mmio_slot(Vmm::kMmioSlot, 0); }

/// A function that is not bound, with a memslot of its MMIO that the guest shares.
Vmm& with_shared_slot(Stage& stage) {
  Vmm& vmm = stage.ready();
  must(stage.make_runnable(vmm));
  const auto buffer = vmm.export_bar(2, kPageSize);
  TEEIO_CHECK(buffer.has_value(), "the BAR can be exported");
  vmm.mmio_buffer = *buffer;
  must(vmm.set_mmio_slot());
  return vmm;
}

/// A reset revokes and gives back.
void shared_revoke_fault_delete(const Config& design) {
  Stage stage(design);
  Vmm& vmm = with_shared_slot(stage);
  stage.play({{"guest", [&] { (void)vmm.pre_fault(kMmioGpa); }},
              {"host", [&] { (void)vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}); }},
              {"vmm", [&] { delete_slot(vmm); }}});
}

void shared_delete_against_close(const Config& design) {
  Stage stage(design);
  Vmm& vmm = with_shared_slot(stage);
  must(vmm.associate(KVM_DEV_VFIO_FILE_DEL));
  must(vmm.close(vmm.mmio_buffer));
  stage.play({{"vmm", [&] { delete_slot(vmm); }}, {"closer", [&] { (void)vmm.close(vmm.vfio); }}});
}

void revoke_fault_delete(const Config& design) {
  Stage stage(design);
  stage.vm_may_die();  // a guest that touches private MMIO of a TDI that is unbound
  Vmm& vmm = with_slot(stage);
  stage.play({{"guest", [&] { (void)vmm.pre_fault(kMmioGpa); }},
              {"unbinder", [&] { (void)stage.unbind(vmm); }},
              {"vmm", [&] { delete_slot(vmm); }}});
}

void fault_against_delete(const Config& design) {
  Stage stage(design);
  Vmm& vmm = with_slot(stage);
  stage.play(
      {{"guest", [&] { (void)vmm.pre_fault(kMmioGpa); }}, {"vmm", [&] { delete_slot(vmm); }}});
}

void unbind_against_delete(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.play({{"unbinder", [&] { (void)stage.unbind(vmm); }}, {"vmm", [&] { delete_slot(vmm); }}});
}

void unbind_against_shared(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.play({{"unbinder", [&] { (void)stage.unbind(vmm); }},
              {"vmm", [&] { (void)vmm.set_private(kMmioGpa, kPageSize, false); }}});
}

void attach_against_unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = with_buffer(stage);
  stage.play({{"vmm", [&] { (void)vmm.set_mmio_slot(); }},
              {"unbinder", [&] { (void)stage.unbind(vmm); }}});
}

void attach_against_close(const Config& design) {
  Stage stage(design);
  Vmm& vmm = with_buffer(stage);
  must(vmm.associate(KVM_DEV_VFIO_FILE_DEL));
  stage.play({{"vmm", [&] { (void)vmm.set_mmio_slot(); }},
              {"closer", [&] { (void)vmm.close(vmm.vfio); }}});
}

void delete_against_close(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  must(vmm.associate(KVM_DEV_VFIO_FILE_DEL));
  must(vmm.close(vmm.mmio_buffer));
  stage.play({{"vmm", [&] { delete_slot(vmm); }}, {"closer", [&] { (void)vmm.close(vmm.vfio); }}});
}

void export_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play({{"exporter", [&] { (void)vmm.export_bar(2, kPageSize); }},
              {"binder", [&] { (void)stage.bind(vmm); }}});
}

/// Unbind gives the memory back to the importers; a second bond starts afresh.
void un_revoke(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.play();
  (void)stage.unbind(vmm);
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
  must(stage.bind(vmm));
  must(stage.lock(vmm));
  TEEIO_CHECK(vmm.pre_fault(kMmioGpa).has_value(), "private MMIO cannot be mapped a second time");
}

// --- The host's own mapping ---

void mmap_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play({{"host", [&] { (void)vmm.mmap(vmm.vfio, kBar2, kPageSize); }},
              {"binder", [&] { (void)stage.bind(vmm); }}});
}

void touch_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play(
      {{"host", [&] { (void)works_as_shared(vmm); }}, {"binder", [&] { (void)stage.bind(vmm); }}});
}

void mmap_against_power(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  const auto at = power_control(vmm);
  TEEIO_CHECK(at.has_value(), "the card has power states");
  stage.play({{"host", [&] { (void)vmm.mmap(vmm.vfio, kBar2, kPageSize); }},
              {"power", [&] {
                 (void)write_config(vmm, *at, 3);
                 (void)write_config(vmm, *at, 0);
               }}});
  TEEIO_CHECK(works_as_shared(vmm), "the function is back in D0 and does not answer");
}

}  // namespace

void add_mmio_scenarios(std::vector<MachineScenario>& all) {
  // On TDX the module refuses to unmap private MMIO of a locked TDI, and Linux
  // gives the VM up (KVM_BUG_ON): a VMM that deletes or flips it ends its own VM.
  const std::vector<machine::TsmKind> unmaps_while_locked = {machine::TsmKind::kCca};
  all.push_back({.name = "mmio/shared-revoke-fault-delete",
                 .description = "revoke by a reset, a guest's fault and the memslot's deletion",
                 .body = shared_revoke_fault_delete});
  all.push_back({.name = "mmio/shared-delete-against-close",
                 .description = "the last importer detaches while the exporter closes",
                 .body = shared_delete_against_close});
  all.push_back({.name = "mmio/revoke-fault-delete",
                 .description = "revoke by unbind, a guest's fault and the memslot's deletion",
                 .body = revoke_fault_delete,
                 .firmware = unmaps_while_locked});
  all.push_back({.name = "mmio/fault-against-delete",
                 .description = "a guest's fault against the memslot's deletion",
                 .body = fault_against_delete,
                 .firmware = unmaps_while_locked});
  all.push_back({.name = "mmio/unbind-against-delete",
                 .description = "unbind against the deletion of a memslot that is mapped",
                 .body = unbind_against_delete,
                 .firmware = unmaps_while_locked});
  all.push_back({.name = "mmio/unbind-against-shared",
                 .description = "unbind against the flip of the page to shared",
                 .body = unbind_against_shared,
                 .firmware = unmaps_while_locked});
  all.push_back({.name = "mmio/attach-against-unbind",
                 .description = "a memslot is made of a dma-buf that unbind revokes",
                 .body = attach_against_unbind});
  all.push_back({.name = "mmio/attach-against-close",
                 .description = "a memslot is made of a dma-buf whose exporter closes",
                 .body = attach_against_close});
  all.push_back({.name = "mmio/delete-against-close",
                 .description = "the last importer detaches while the exporter closes",
                 .body = delete_against_close,
                 .firmware = unmaps_while_locked});
  all.push_back({.name = "mmio/export-against-bind",
                 .description = "VFIO_DEVICE_FEATURE_DMA_BUF against bind",
                 .body = export_against_bind});
  all.push_back({.name = "mmio/un-revoke",
                 .description = "private MMIO is mapped again after unbind and bind",
                 .body = un_revoke});
  all.push_back({.name = "mmio/host-mmap-against-bind",
                 .description = "mmap of a BAR against bind: no live mapping of a bound device",
                 .body = mmap_against_bind});
  all.push_back({.name = "mmio/host-read-against-bind",
                 .description = "pread of a BAR against bind",
                 .body = touch_against_bind});
  all.push_back({.name = "mmio/host-mmap-against-power",
                 .description = "mmap of a BAR against a stay in D3hot",
                 .body = mmap_against_power});
}

}  // namespace teeio::explore
