#include "host/kvm/rmm/realm_vm.h"

namespace teeio::kvm {

namespace {

/// As far as it was made: what is still only a delegated granule is refused with INPUT.
/// Gives whether the realm is gone.
bool take_apart(RealmHost& host, Hpa rd, Hpa rec) {
  rmm::Rmm& rmm = host.rmm();
  const auto gone = [&](auto command) {
    const rmm::Code code = host.insist(command).code;
    return code == rmm::Code::kSuccess || code == rmm::Code::kInput;
  };
  (void)rmm.realm_terminate(rd);
  if (gone([&] { return rmm.rec_destroy(rec); })) host.free_granule(rec);
  if (!gone([&] { return rmm.realm_destroy(rd); })) return false;
  host.free_granule(rd);
  return true;
}

}  // namespace

Result<std::unique_ptr<VmOps>> RealmVm::create(Vm& vm, RealmHost& host) {
  TEEIO_ASSIGN(const Hpa rd, host.alloc_granule());
  const auto rec = host.alloc_granule();
  if (!rec) {
    host.free_granule(rd);
    return std::unexpected(rec.error());
  }
  rmm::Rmm& rmm = host.rmm();
  auto made = rmm.realm_create(rd, vm.number());
  if (made.ok()) made = rmm.rec_create(rd, *rec);
  if (made.ok()) made = rmm.realm_activate(rd);
  if (made.ok()) return std::unique_ptr<VmOps>(new RealmVm(host, rd, *rec));
  (void)take_apart(host, rd, *rec);
  return std::unexpected(rmi_error(made, "RMI_REALM_CREATE failed"));
}

Result<void> RealmVm::map_private(Gpa gpa, Hpa page, PageKind kind) {
  if (kind == PageKind::kRam)
    return fail(Errno::kOpNotSupp, "a realm's private RAM is not modelled");
  const auto vdev = host_.vdev_of(page);
  if (!vdev) return fail(Errno::kInval, "the MMIO belongs to no bound TDI");
  if (const auto r = host_.rmm().granule_delegate(page); !r.ok())
    return std::unexpected(rmi_error(r, "RMI_GRANULE_DELEGATE failed"));
  const auto mapped = host_.rmm().rtt_dev_map(rd_, *vdev, gpa, page);
  if (mapped.ok()) return {};
  (void)host_.insist([&] { return host_.rmm().granule_undelegate(page); });
  return std::unexpected(rmi_error(mapped, "RMI_RTT_DEV_MAP failed"));
}

Result<void> RealmVm::remove_private(Gpa gpa, PageKind) {
  const auto unmapped = host_.insist([&] { return host_.rmm().rtt_dev_unmap(rd_, gpa); });
  if (!unmapped.ok()) return std::unexpected(rmi_error(unmapped, "RMI_RTT_DEV_UNMAP failed"));
  if (unmapped.x1 != 0)
    (void)host_.insist([&] { return host_.rmm().granule_undelegate(Hpa{unmapped.x1}); });
  return {};
}

/// Source: TF-RMM runtime/rsi/vdev.c.
Result<void> RealmVm::guest_enables_dma(Bdf function) {
  rmm::Rmm& rmm = host_.rmm();
  const auto info = rmm.rsi_vdev_info(rd_, function.rid());
  if (!info) return fail(Errno::kNxio, "the realm has no such VDEV");
  const auto enabled = rmm.rsi_vdev_dma_enable(rd_, info->vdev, info->nonce);
  if (!enabled.ok()) return fail(Errno::kIo, "RSI_VDEV_DMA_ENABLE failed");
  return {};
}

void RealmVm::destroy(Vm& vm) {
  if (take_apart(host_, rd_, rec_)) return;
  host_.trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked,
                     "the realm could not be destroyed", {.vm = vm.number(), .a = 1});
}

}  // namespace teeio::kvm
