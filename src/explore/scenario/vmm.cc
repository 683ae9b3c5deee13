#include "explore/scenario/vmm.h"

#include <algorithm>
#include <string>

#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/vm_file.h"

namespace teeio::explore {

Result<void> connect(machine::Program& program) {
  TEEIO_TRY(program.echo("tsm0\n", std::string(kCard) + "/tsm/connect"));
  return {};
}

Result<void> disconnect(machine::Program& program) {
  TEEIO_TRY(program.echo("tsm0\n", std::string(kCard) + "/tsm/disconnect"));
  return {};
}

// --- The VM ---

Result<void> Vmm::make_vm(std::uint64_t type) {
  TEEIO_ASSIGN(kvm, open("/dev/kvm"));
  TEEIO_ASSIGN(const std::int64_t fd, ioctl(kvm, KVM_CREATE_VM, type));
  vm = static_cast<int>(fd);
  if (type == kSnpVm) return start_snp();
  if (type != kTdxVm) return {};
  abi::kvm_tdx_init_vm init{};
  init.xfam = 3;
  return tdx(vm, abi::KVM_TDX_INIT_VM, store(bytes_of(init)));
}

Result<void> Vmm::sev(std::uint32_t id, std::uint64_t data) {
  abi::kvm_sev_cmd command{};
  command.id = id;
  command.data = data;
  TEEIO_TRY(ioctl(vm, KVM_MEMORY_ENCRYPT_OP, command));
  return {};
}

Result<void> Vmm::start_snp() {
  constexpr std::uint64_t kReservedOne = 1U << 17U;
  TEEIO_TRY(sev(abi::KVM_SEV_INIT2, store(bytes_of(abi::kvm_sev_init{}))));
  abi::kvm_sev_snp_launch_start start{};
  start.policy = kReservedOne;
  return sev(abi::KVM_SEV_SNP_LAUNCH_START, store(bytes_of(start)));
}

Result<void> Vmm::finish_snp() {
  TEEIO_TRY(make_vcpu());
  return sev(abi::KVM_SEV_SNP_LAUNCH_FINISH, store(bytes_of(abi::kvm_sev_snp_launch_finish{})));
}

Result<void> Vmm::make_vcpu() {
  TEEIO_ASSIGN(const std::int64_t fd, ioctl(vm, KVM_CREATE_VCPU, std::uint64_t{0}));
  vcpu = static_cast<int>(fd);
  return make_mappable(vcpu);
}

Result<void> Vmm::finalize() {
  TEEIO_TRY(make_vcpu());
  TEEIO_TRY(tdx(vcpu, abi::KVM_TDX_INIT_VCPU, 0));
  return tdx(vm, abi::KVM_TDX_FINALIZE_VM, 0);
}

Result<void> Vmm::tdx(int fd, std::uint32_t id, std::uint64_t data) {
  abi::kvm_tdx_cmd command{};
  command.id = id;
  command.data = data;
  TEEIO_TRY(ioctl(fd, KVM_MEMORY_ENCRYPT_OP, command));
  return {};
}

Result<void> Vmm::set_region(const abi::kvm_userspace_memory_region2& region) {
  abi::kvm_userspace_memory_region2 arg = region;
  TEEIO_TRY(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, arg));
  return {};
}

Result<void> Vmm::set_private(Gpa start, std::uint64_t size, bool is_private) {
  abi::kvm_memory_attributes attributes{};
  attributes.address = raw(start);
  attributes.size = size;
  attributes.attributes = is_private ? 8 : 0;  // KVM_MEMORY_ATTRIBUTE_PRIVATE
  TEEIO_TRY(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, attributes));
  return {};
}

Result<void> Vmm::pre_fault(Gpa page, std::uint64_t size) {
  abi::kvm_pre_fault_memory range{};
  range.gpa = raw(page);
  range.size = size;
  TEEIO_TRY(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, range));
  return {};
}

// --- The function ---

Result<void> Vmm::open_device(std::string_view path) {
  TEEIO_ASSIGN(vfio, open(path));
  return make_mappable(vfio);
}

Result<void> Vmm::associate(std::uint64_t attribute) {
  if (kvm_vfio < 0) {
    abi::kvm_create_device create{};
    create.type = abi::KVM_DEV_TYPE_VFIO;
    TEEIO_TRY(ioctl(vm, KVM_CREATE_DEVICE, create));
    kvm_vfio = static_cast<int>(create.fd);
  }
  abi::kvm_device_attr attr{};
  attr.group = KVM_DEV_VFIO_FILE;
  attr.attr = attribute;
  attr.addr = store(bytes_of(int{vfio}));
  TEEIO_TRY(ioctl(kvm_vfio, KVM_SET_DEVICE_ATTR, attr));
  return {};
}

Result<void> Vmm::bind_iommufd() {
  if (iommufd < 0) {
    TEEIO_ASSIGN(iommufd, open("/dev/iommu"));
  }
  abi::vfio_device_bind_iommufd bind{};
  bind.argsz = sizeof(bind);
  bind.iommufd = iommufd;
  TEEIO_TRY(ioctl(vfio, VFIO_DEVICE_BIND_IOMMUFD, bind));
  dev_id = bind.out_devid;
  return {};
}

Result<void> Vmm::make_viommu(std::uint32_t type) {
  abi::iommu_ioas_alloc ioas{};
  ioas.size = sizeof(ioas);
  TEEIO_TRY(ioctl(iommufd, IOMMU_IOAS_ALLOC, ioas));
  ioas_id = ioas.out_ioas_id;
  abi::iommu_hwpt_alloc hwpt{};
  hwpt.size = sizeof(hwpt);
  hwpt.flags = abi::IOMMU_HWPT_ALLOC_NEST_PARENT;
  hwpt.dev_id = dev_id;
  hwpt.pt_id = ioas_id;
  TEEIO_TRY(ioctl(iommufd, IOMMU_HWPT_ALLOC, hwpt));
  hwpt_id = hwpt.out_hwpt_id;
  abi::iommu_viommu_alloc viommu{};
  viommu.size = sizeof(viommu);
  viommu.type = type;
  viommu.dev_id = dev_id;
  viommu.hwpt_id = hwpt_id;
  TEEIO_TRY(ioctl(iommufd, IOMMU_VIOMMU_ALLOC, viommu));
  viommu_id = viommu.out_viommu_id;
  return {};
}

Result<void> Vmm::make_vdevice(std::uint64_t id) {
  abi::iommu_vdevice_alloc vdevice{};
  vdevice.size = sizeof(vdevice);
  vdevice.viommu_id = viommu_id;
  vdevice.dev_id = dev_id;
  vdevice.virt_id = id;
  virt_id = id;
  TEEIO_TRY(ioctl(iommufd, IOMMU_VDEVICE_ALLOC, vdevice));
  vdevice_id = vdevice.out_vdevice_id;
  return {};
}

Result<void> Vmm::prepare(std::string_view device, std::uint64_t vm_type, Upto last) {
  TEEIO_TRY(make_vm(vm_type));
  TEEIO_TRY(open_device(device));
  TEEIO_TRY(associate());
  TEEIO_TRY(bind_iommufd());
  TEEIO_TRY(make_viommu());
  return last == Upto::kViommu ? Result<void>() : make_vdevice();
}

Result<void> Vmm::destroy(std::uint32_t id) {
  abi::iommu_destroy arg{.size = sizeof(arg), .id = id};
  TEEIO_TRY(ioctl(iommufd, IOMMU_DESTROY, arg));
  return {};
}

// --- Bind, by each door ---

Result<void> Vmm::vfio_bind(std::uint32_t id, std::uint32_t flags) {
  abi::vfio_pci_tsm_bind arg{.argsz = sizeof(arg), .flags = flags, .vdevice_id = id, .pad = 0};
  TEEIO_TRY(ioctl(vfio, VFIO_DEVICE_TSM_BIND, arg));
  return {};
}

Result<void> Vmm::vfio_unbind(std::uint32_t flags) {
  abi::vfio_pci_tsm_unbind arg{.argsz = sizeof(arg), .flags = flags};
  TEEIO_TRY(ioctl(vfio, VFIO_DEVICE_TSM_UNBIND, arg));
  return {};
}

Result<void> Vmm::iommufd_op(std::uint32_t type, std::uint32_t id, std::uint32_t flags) {
  abi::iommu_vdevice_tsm_op arg{
      .size = sizeof(arg), .type = type, .flags = flags, .vdevice_id = id};
  TEEIO_TRY(ioctl(iommufd, IOMMU_VDEVICE_TSM_OP, arg));
  return {};
}

Result<std::int64_t> Vmm::request(std::uint32_t op, std::uint32_t arch, std::uint32_t payload,
                                  std::uint64_t* code) {
  abi::iommu_vdevice_tsm_req arg{};
  arg.size = sizeof(arg);
  arg.vdevice_id = vdevice_id;
  arg.op = op;
  arg.tvm_arch = arch;
  arg.req_len = sizeof(payload);
  arg.req_uptr = store(bytes_of(payload));
  auto result = ioctl(iommufd, IOMMU_VDEVICE_TSM_REQ, arg);
  if (code != nullptr) *code = arg.tsm_code;
  return result;
}

// --- Private MMIO ---

Result<int> Vmm::export_bar(std::uint32_t bar, std::uint64_t size) {
  // struct vfio_device_feature, vfio_device_feature_dma_buf, one range.
  struct {
    std::uint32_t argsz, flags;
    std::uint32_t region_index, open_flags, buf_flags, nr_ranges;
    std::uint64_t offset, length;
  } arg{sizeof(arg), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
        bar,         O_RDWR | O_CLOEXEC,
        0,           1,
        0,           size};
  TEEIO_ASSIGN(const std::int64_t fd, ioctl(vfio, VFIO_DEVICE_FEATURE, arg));
  return static_cast<int>(fd);
}

Result<void> Vmm::set_mmio_slot(std::uint32_t slot, std::uint64_t size) {
  abi::kvm_userspace_memory_region2 region{};
  region.slot = slot;
  region.flags = size == 0 ? 0 : KVM_MEM_VFIO_DMABUF;
  region.guest_phys_addr = raw(kMmioGpa);
  region.memory_size = size;
  region.guest_memfd = static_cast<std::uint32_t>(mmio_buffer);
  return set_region(region);
}

Result<void> Vmm::map_private_mmio(std::uint32_t slot) {
  TEEIO_ASSIGN(mmio_buffer, export_bar(2, kPageSize));
  TEEIO_TRY(set_mmio_slot(slot));
  TEEIO_TRY(set_private(kMmioGpa, kPageSize));
  return pre_fault(kMmioGpa);
}

// --- Trusted DMA ---

Result<void> Vmm::guest_enables_dma(Bdf function) {
  TEEIO_ASSIGN(const auto open_vm, file(vm));
  return static_cast<kvm::VmFile&>(*open_vm).vm().ops().guest_enables_dma(function);
}

Result<sev::GuestContext> Vmm::snp_guest() {
  TEEIO_ASSIGN(const auto open_vm, file(vm));
  kvm::Vm& of = static_cast<kvm::VmFile&>(*open_vm).vm();
  auto* snp = dynamic_cast<kvm::SevVm*>(&of.ops());
  auto known = snp == nullptr ? std::nullopt : snp->psp().psp().look(snp->firmware_handle());
  if (!known) return fail(Errno::kNxio, "the VM is no SNP guest");
  return *known;
}

Result<Bytes> Vmm::send(std::uint32_t op, std::uint32_t arch, ByteView payload) {
  Bytes answer(kPageSize);
  abi::iommu_vdevice_tsm_req arg{};
  arg.size = sizeof(arg);
  arg.vdevice_id = vdevice_id;
  arg.op = op;
  arg.tvm_arch = arch;
  arg.req_len = static_cast<std::uint32_t>(payload.size());
  arg.req_uptr = store(payload);
  arg.resp_len = static_cast<std::uint32_t>(answer.size());
  arg.resp_uptr = store(answer);
  TEEIO_TRY(ioctl(iommufd, IOMMU_VDEVICE_TSM_REQ, arg));
  answer.resize(std::min<std::size_t>(arg.resp_len, answer.size()));
  TEEIO_TRY(memory().read(arg.resp_uptr, answer));
  return answer;
}

void Vmm::close_vm_files() {
  for (Descriptor* file : {&vcpu, &kvm_vfio, &vm})
    if (const int fd = file->exchange(-1); fd >= 0) (void)close(fd);
}

}  // namespace teeio::explore
