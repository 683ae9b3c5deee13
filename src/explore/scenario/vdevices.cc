// vDEVICEs that are made at the same time, and VFIO's tie to the VM.

#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr std::uint64_t kVirtId = 0x10;

/// A VMM that has a vIOMMU and no vDEVICE.
Vmm& with_viommu(Stage& stage) {
  Vmm& vmm = stage.vmm();
  must(vmm.make_vm(stage.vm_type()));
  must(vmm.open_device(kPf));
  must(vmm.associate());
  must(vmm.bind_iommufd());
  must(vmm.make_viommu());
  return vmm;
}

/// IOMMU_VDEVICE_ALLOC on any device; gives the id.
Result<std::uint32_t> alloc_vdevice(Vmm& vmm, std::uint32_t dev_id, std::uint64_t virt_id) {
  abi::iommu_vdevice_alloc arg{};
  arg.size = sizeof(arg);
  arg.viommu_id = vmm.viommu_id;
  arg.dev_id = dev_id;
  arg.virt_id = virt_id;
  TEEIO_TRY(vmm.ioctl(vmm.iommufd, IOMMU_VDEVICE_ALLOC, arg));
  return arg.out_vdevice_id;
}

void two_vdevices(const Config& design) {
  Stage stage(design);
  Vmm& vmm = with_viommu(stage);
  Result<std::uint32_t> made[2];
  stage.play({{"first", [&] { made[0] = alloc_vdevice(vmm, vmm.dev_id, kVirtId); }},
              {"second", [&] { made[1] = alloc_vdevice(vmm, vmm.dev_id, kVirtId + 1); }}});
  TEEIO_CHECK(made[0].has_value() != made[1].has_value(), "a device has two vDEVICEs, or none");
}

void taken_virt_id(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.vdevice_binds() ? stage.bound() : stage.ready();
  auto second = vmm.open(kVf0);
  TEEIO_CHECK(second.has_value(), "the second function can be opened");
  abi::vfio_device_bind_iommufd bind{};
  bind.argsz = sizeof(bind);
  bind.iommufd = vmm.iommufd;
  TEEIO_CHECK(vmm.ioctl(*second, VFIO_DEVICE_BIND_IOMMUFD, bind).has_value(),
              "the second function can be bound");
  const std::uint32_t next_id = bind.out_devid + 1;
  stage.play({{"maker",
               [&] {
                 TEEIO_CHECK(!alloc_vdevice(vmm, bind.out_devid, kVirtId).has_value(),
                             "two vDEVICEs of one vIOMMU have one virtual id");
               }},
              {"destroyer", [&] { (void)vmm.destroy(next_id); }}});
}

void association_against_vm_close(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.make_vm(stage.vm_type()));
  must(vmm.open_device(kPf));
  must(vmm.associate());
  stage.play(
      {{"binder", [&] { (void)vmm.bind_iommufd(); }}, {"closer", [&] { vmm.close_vm_files(); }}});
}

/// Its descriptor is another thread's to close before KVM_CREATE_DEVICE has returned. A VM that
/// goes with it goes before its vDEVICE.
void kvm_device_against_its_close(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  const int lowest_free = vmm.kvm_vfio.exchange(-1);
  must(vmm.close(lowest_free));
  abi::kvm_create_device create{};
  create.type = abi::KVM_DEV_TYPE_VFIO;
  stage.play({{"maker", [&] { (void)vmm.ioctl(vmm.vm, KVM_CREATE_DEVICE, create); }},
              {"closer", [&] { (void)vmm.close(lowest_free); }}});
  TEEIO_CHECK(static_cast<int>(create.fd) == lowest_free, "the device has another descriptor");
}

void request_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  const std::uint32_t arch = stage.vendor().request_arch;
  stage.play({{"binder", [&] { (void)stage.bind(vmm); }},
              {"guest", [&] { (void)vmm.request(abi::TSM_REQ_OBJECT_INFO, arch, 0); }}});
}

}  // namespace

void add_vdevice_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "vdevice/two-for-one-device",
                 .description = "two IOMMU_VDEVICE_ALLOC of one device: exactly one is made",
                 .body = two_vdevices});
  all.push_back({.name = "vdevice/taken-virtual-id",
                 .description = "an IOMMU_VDEVICE_ALLOC that fails against IOMMU_DESTROY of its id",
                 .body = taken_virt_id});
  all.push_back({.name = "vfio/bind-iommufd-against-vm-close",
                 .description = "VFIO_DEVICE_BIND_IOMMUFD against the end of the associated VM",
                 .body = association_against_vm_close});
  all.push_back({.name = "vdevice/kvm-device-against-its-close",
                 .description = "KVM_CREATE_DEVICE against a close of the descriptor that it gives",
                 .body = kvm_device_against_its_close});
  all.push_back({.name = "request/guest-request-against-bind",
                 .description = "a guest's request for its TDI's state while it is being bound",
                 .body = request_against_bind});
}

}  // namespace teeio::explore
