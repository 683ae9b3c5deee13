#include "host/kvm/rmm/realm_vm.h"

namespace teeio::kvm {

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
  host.free_granule(*rec);
  host.free_granule(rd);
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
  (void)host_.rmm().granule_undelegate(page);
  return std::unexpected(rmi_error(mapped, "RMI_RTT_DEV_MAP failed"));
}

Result<void> RealmVm::remove_private(Gpa gpa, PageKind) {
  const auto unmapped = host_.rmm().rtt_dev_unmap(rd_, gpa);
  if (!unmapped.ok()) return std::unexpected(rmi_error(unmapped, "RMI_RTT_DEV_UNMAP failed"));
  if (unmapped.x1 != 0) (void)host_.rmm().granule_undelegate(Hpa{unmapped.x1});
  return {};
}

void RealmVm::destroy(Vm& vm) {
  (void)host_.rmm().realm_terminate(rd_);
  if (host_.rmm().rec_destroy(rec_).ok()) host_.free_granule(rec_);
  if (host_.rmm().realm_destroy(rd_).ok()) return host_.free_granule(rd_);
  host_.trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked,
                     "the realm could not be destroyed", {.vm = vm.number(), .a = 1});
}

}  // namespace teeio::kvm
