#include "vm.h"

#include <fcntl.h>
#include <linux/teeio_proposed.h>
#include <sys/mman.h>

#include <cstdlib>
#include <memory>

Mapping::Mapping(std::size_t size, int fd, int flags)
    : at_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0)), size_(size) {
  if (at_ == MAP_FAILED) {
    at_ = nullptr;
    fail("mmap");
  }
}

void Mapping::unmap() {
  if (at_ != nullptr) ::munmap(at_, size_);
  at_ = nullptr;
  size_ = 0;
}

Vm::Vm(unsigned long type) : kvm_(open_file("/dev/kvm", O_RDWR)) {
  if (CALL(kvm_, KVM_GET_API_VERSION, 0UL) != KVM_API_VERSION) fail("KVM API version", ENOTSUP);
  vm_ = Fd(ioctl_again(kvm_, KVM_CREATE_VM, type));
  if (!vm_) fail(errno == EINVAL ? "KVM_CREATE_VM (is --arch this host's?)" : "KVM_CREATE_VM");
}

void Vm::tdx(const Fd& fd, std::uint32_t id, std::uint32_t flags, std::uint64_t data,
             const char* what) {
  kvm_tdx_cmd command{};
  command.id = id;
  command.flags = flags;
  command.data = data;
  call(fd, KVM_MEMORY_ENCRYPT_OP, what, &command);
}

void Vm::init_td() {
  // kvm_tdx_capabilities ends in a list of CPUID leaves, for which `nent` is
  // the room; kvm_tdx_init_vm takes the wanted ones, here none.
  constexpr std::uint32_t kRoom = 256;
  constexpr std::size_t kSize = sizeof(kvm_tdx_capabilities) + kRoom * sizeof(kvm_cpuid_entry2);
  const std::unique_ptr<void, decltype(&std::free)> memory(std::calloc(1, kSize), &std::free);
  auto* const capabilities = static_cast<kvm_tdx_capabilities*>(memory.get());
  capabilities->cpuid.nent = kRoom;
  tdx(vm_, KVM_TDX_CAPABILITIES, 0, pointer(capabilities), "KVM_TDX_CAPABILITIES");

  kvm_tdx_init_vm init{};
  init.xfam = capabilities->supported_xfam & 3;  // x87 and SSE
  tdx(vm_, KVM_TDX_INIT_VM, 0, pointer(&init), "KVM_TDX_INIT_VM");
}

void Vm::sev(std::uint32_t id, std::uint64_t data, const char* what) {
  kvm_sev_cmd command{};
  command.id = id;
  command.data = data;
  call(vm_, KVM_MEMORY_ENCRYPT_OP, what, &command);
}

void Vm::start_snp() {
  kvm_sev_init init{};
  sev(KVM_SEV_INIT2, pointer(&init), "KVM_SEV_INIT2");
  constexpr std::uint64_t kReservedOne = 1U << 17U;
  constexpr std::uint64_t kSmt = 1U << 16U;
  kvm_sev_snp_launch_start start{};
  start.policy = kReservedOne | kSmt;
  sev(KVM_SEV_SNP_LAUNCH_START, pointer(&start), "KVM_SEV_SNP_LAUNCH_START");
}

void Vm::update_snp(std::uint64_t gpa, std::span<const std::byte> pages, std::uint8_t type) {
  kvm_sev_snp_launch_update update{};
  update.gfn_start = gpa / 4096;
  update.uaddr = pointer(pages.data());
  update.len = pages.size();
  update.type = type;
  // What was done before it stopped is success.
  while (update.len != 0)
    sev(KVM_SEV_SNP_LAUNCH_UPDATE, pointer(&update), "KVM_SEV_SNP_LAUNCH_UPDATE");
}

void Vm::finish_snp() {
  kvm_sev_snp_launch_finish finish{};
  sev(KVM_SEV_SNP_LAUNCH_FINISH, pointer(&finish), "KVM_SEV_SNP_LAUNCH_FINISH");
}

void Vm::add_ram(std::uint32_t slot, std::uint64_t gpa, const Mapping& shared) {
  kvm_create_guest_memfd create{};
  create.size = shared.bytes().size();
  // The file pins the VM and not the other way round: without it the slot would
  // lose its private side.
  Fd memory(CALL(vm_, KVM_CREATE_GUEST_MEMFD, &create));

  kvm_userspace_memory_region2 region{};
  region.slot = slot;
  region.flags = KVM_MEM_GUEST_MEMFD;
  region.guest_phys_addr = gpa;
  region.memory_size = create.size;
  region.userspace_addr = pointer(shared.at());
  region.guest_memfd = static_cast<std::uint32_t>(memory.get());
  CALL(vm_, KVM_SET_USER_MEMORY_REGION2, &region);
  memory_.push_back(std::move(memory));
}

void Vm::set_private(std::uint64_t gpa, std::uint64_t size, bool is_private) {
  kvm_memory_attributes attributes{};
  attributes.address = gpa;
  attributes.size = size;
  attributes.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
  CALL(vm_, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
}

void Vm::add_mmio(std::uint32_t slot, std::uint64_t gpa, std::uint64_t size, const Fd& dma_buf) {
  kvm_userspace_memory_region2 region{};
  region.slot = slot;
  region.flags = KVM_MEM_VFIO_DMABUF;
  region.guest_phys_addr = gpa;
  region.memory_size = size;
  region.guest_memfd = static_cast<std::uint32_t>(dma_buf.get());
  CALL(vm_, KVM_SET_USER_MEMORY_REGION2, &region);
}

void Vm::remove_slot(std::uint32_t slot) {
  kvm_userspace_memory_region2 region{};
  region.slot = slot;
  CALL(vm_, KVM_SET_USER_MEMORY_REGION2, &region);
}

void Vm::associate(const Fd& vfio) {
  kvm_create_device create{};
  create.type = KVM_DEV_TYPE_VFIO;
  CALL(vm_, KVM_CREATE_DEVICE, &create);
  vfio_device_ = Fd(static_cast<int>(create.fd));

  const std::int32_t fd = vfio.get();
  kvm_device_attr attribute{};
  attribute.group = KVM_DEV_VFIO_FILE;
  attribute.attr = KVM_DEV_VFIO_FILE_ADD;
  attribute.addr = pointer(&fd);
  CALL(vfio_device_, KVM_SET_DEVICE_ATTR, &attribute);
}

void Vm::dissociate(const Fd& vfio) {
  if (!vfio_device_) return;
  const std::int32_t fd = vfio.get();
  kvm_device_attr attribute{};
  attribute.group = KVM_DEV_VFIO_FILE;
  attribute.attr = KVM_DEV_VFIO_FILE_DEL;
  attribute.addr = pointer(&fd);
  CALL(vfio_device_, KVM_SET_DEVICE_ATTR, &attribute);
}

void Vm::add_vcpu() {
  vcpu_ = Fd(CALL(vm_, KVM_CREATE_VCPU, 0UL));
  const int size = CALL(kvm_, KVM_GET_VCPU_MMAP_SIZE, 0UL);
  run_ = Mapping(static_cast<std::size_t>(size), vcpu_.get(), MAP_SHARED);
}

void Vm::init_td_vcpu(std::uint64_t argument) {
  tdx(vcpu_, KVM_TDX_INIT_VCPU, 0, argument, "KVM_TDX_INIT_VCPU");
}

void Vm::set_entry(std::uint64_t rip, std::uint64_t argument) {
  kvm_sregs special{};
  CALL(vcpu_, KVM_GET_SREGS, &special);
  kvm_segment flat{};
  flat.limit = 0xffffffff;
  flat.present = 1;
  flat.s = 1;
  flat.db = 1;
  flat.g = 1;
  flat.type = 3;  // data, writable, accessed
  special.ds = special.es = special.fs = special.gs = special.ss = flat;
  flat.type = 11;  // code, readable, accessed
  special.cs = flat;
  special.cr0 = 0x11;  // PE, ET
  CALL(vcpu_, KVM_SET_SREGS, &special);
  kvm_regs regs{};
  regs.rip = rip;
  regs.rflags = 2;
  regs.r8 = argument;
  CALL(vcpu_, KVM_SET_REGS, &regs);
}

void Vm::pre_fault(std::uint64_t gpa, std::uint64_t size) {
  kvm_pre_fault_memory range{};
  range.gpa = gpa;
  range.size = size;
  // What was done before it stopped is success.
  while (range.size != 0) CALL(vcpu_, KVM_PRE_FAULT_MEMORY, &range);
}

void Vm::load(std::uint64_t gpa, std::span<const std::byte> pages) {
  kvm_tdx_init_mem_region region{};
  region.source_addr = pointer(pages.data());
  region.gpa = gpa;
  region.nr_pages = pages.size() / 4096;
  tdx(vcpu_, KVM_TDX_INIT_MEM_REGION, KVM_TDX_MEASURE_MEMORY_REGION, pointer(&region),
      "KVM_TDX_INIT_MEM_REGION");
}

void Vm::finalize() { tdx(vm_, KVM_TDX_FINALIZE_VM, 0, 0, "KVM_TDX_FINALIZE_VM"); }

int Vm::run() { return ::ioctl(vcpu_.get(), KVM_RUN, 0UL) < 0 ? errno : 0; }

void Vm::close() {
  run_.unmap();
  vcpu_.close();
  vfio_device_.close();
  memory_.clear();
  vm_.close();
  kvm_.close();
}

void Vm::forward_host_calls(bool abort) {
  // RHI_DA_FEATURES to OBJECT_READ, CONTINUE and those about a device's state, ABORT.
  struct Calls {
    std::uint32_t first, count;
  };
  constexpr Calls kCalls[] = {{0xc500004b, 3}, {0xc5000051, 4}, {0xc5000056, 1}};
  for (const Calls& calls : std::span(kCalls).first(abort ? 3 : 2)) {
    kvm_smccc_filter filter{};
    filter.base = calls.first;
    filter.nr_functions = calls.count;
    filter.action = KVM_SMCCC_FILTER_FWD_TO_USER;
    kvm_device_attr attribute{};
    attribute.group = KVM_ARM_VM_SMCCC_CTRL;
    attribute.attr = KVM_ARM_VM_SMCCC_FILTER;
    attribute.addr = pointer(&filter);
    CALL(vm_, KVM_SET_DEVICE_ATTR, &attribute);
  }
}

void Vm::populate(std::uint64_t gpa, std::span<const std::byte> pages) {
  kvm_arm_rmi_populate region{};
  region.base = gpa;
  region.size = pages.size();
  region.source_uaddr = pointer(pages.data());
  region.flags = KVM_ARM_RMI_POPULATE_FLAGS_MEASURE;
  // What was done before it stopped is success.
  while (region.size != 0) CALL(vm_, KVM_ARM_RMI_POPULATE, &region);
}

void Vm::init_arm_vcpu(std::uint64_t pc, std::uint64_t argument) {
  kvm_vcpu_init init{};
  CALL(vm_, KVM_ARM_PREFERRED_TARGET, &init);
  init.features[0] |= 1U << KVM_ARM_VCPU_PSCI_0_2;
  CALL(vcpu_, KVM_ARM_VCPU_INIT, &init);
  constexpr unsigned kPc = 32;
  set_arm_register(0, argument);
  set_arm_register(kPc, pc);
}

std::uint64_t Vm::arm_register(unsigned number) const {
  std::uint64_t value = 0;
  kvm_one_reg reg{};
  reg.id = KVM_REG_ARM64_CORE_U64(number);
  reg.addr = pointer(&value);
  CALL(vcpu_, KVM_GET_ONE_REG, &reg);
  return value;
}

void Vm::set_arm_register(unsigned number, std::uint64_t value) const {
  kvm_one_reg reg{};
  reg.id = KVM_REG_ARM64_CORE_U64(number);
  reg.addr = pointer(&value);
  CALL(vcpu_, KVM_SET_ONE_REG, &reg);
}
