#include "explore/scenario/pair_vm_calls.h"

#include "base/check.h"
#include "explore/scenario/pair_parts.h"
#include "host/mm/plain_files.h"

// What a VMM saves and restores of a VM, and what it wires to it. Two of these meet at
// vcpu->mutex, kvm->lock, kvm->slots_lock or the interrupt controllers' own locks.

namespace teeio::explore {
namespace {

constexpr std::uint32_t kLoggedSlot = 1;
constexpr std::uint64_t kLoggedGpa = 0x10'0000, kDoorbellGpa = 0x20'0000;
constexpr std::uint32_t kGsi = 5;
constexpr std::uint32_t kMostCpuids = 80, kTscMsr = 0x10;

/// State that is read and set again.
struct Kept {
  std::string_view name;
  std::uint32_t get, set;
  enum class Of : std::uint8_t { kVm, kVcpu } of;
  std::uint64_t head = 0;       ///< the argument begins so
  std::string_view never = {};  ///< as VmCall's
};
// A vCPU of these machines has no engine, whose the registers are.
constexpr Kept kKept[] = {
    {"REGS", KVM_GET_REGS, KVM_SET_REGS, Kept::Of::kVcpu, 0, "ENXIO"},
    {"SREGS", KVM_GET_SREGS, KVM_SET_SREGS, Kept::Of::kVcpu, 0, "ENXIO"},
    {"SREGS2", KVM_GET_SREGS2, KVM_SET_SREGS2, Kept::Of::kVcpu, 0, "ENXIO"},
    {"FPU", KVM_GET_FPU, KVM_SET_FPU, Kept::Of::kVcpu},
    {"XSAVE", KVM_GET_XSAVE, KVM_SET_XSAVE, Kept::Of::kVcpu},
    {"XSAVE2", KVM_GET_XSAVE2, KVM_SET_XSAVE, Kept::Of::kVcpu},
    {"XCRS", KVM_GET_XCRS, KVM_SET_XCRS, Kept::Of::kVcpu},
    {"LAPIC", KVM_GET_LAPIC, KVM_SET_LAPIC, Kept::Of::kVcpu},
    {"DEBUGREGS", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, Kept::Of::kVcpu},
    {"VCPU_EVENTS", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, Kept::Of::kVcpu},
    {"MP_STATE", KVM_GET_MP_STATE, KVM_SET_MP_STATE, Kept::Of::kVcpu},
    {"CPUID2", KVM_GET_CPUID2, KVM_SET_CPUID2, Kept::Of::kVcpu, kMostCpuids},
    {"IRQCHIP", KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, Kept::Of::kVm, KVM_IRQCHIP_IOAPIC},
    {"PIT", KVM_GET_PIT, KVM_SET_PIT, Kept::Of::kVm},
    {"PIT2", KVM_GET_PIT2, KVM_SET_PIT2, Kept::Of::kVm},
    {"CLOCK", KVM_GET_CLOCK, KVM_SET_CLOCK, Kept::Of::kVm},
};

Result<void> there_and_back(VmState& vm, const Kept& kept) {
  const int fd = kept.of == Kept::Of::kVcpu ? vm.vmm.vcpu : vm.vmm.vm;
  const std::uint64_t page = vm.page(kept.head);
  TEEIO_TRY(vm.vmm.ioctl(fd, kept.get, page));
  return made(vm.vmm.ioctl(fd, kept.set, page));
}

template <class T>
Result<void> vm_call(VmState& vm, std::uint32_t command, T arg) {
  return made(vm.vmm.ioctl(vm.vmm.vm, command, arg));
}
template <class T>
Result<void> vcpu_call(VmState& vm, std::uint32_t command, T arg) {
  return made(vm.vmm.ioctl(vm.vmm.vcpu, command, arg));
}

/// One that gives a descriptor, and its close.
Result<void> open_and_close(VmState& vm, int fd, std::uint32_t command, std::uint64_t argument) {
  TEEIO_ASSIGN(const std::int64_t made_fd, vm.vmm.ioctl(fd, command, argument));
  return vm.vmm.close(static_cast<int>(made_fd));
}

// --- A vCPU ---

Result<void> msrs(VmState& vm) {
  struct {
    std::uint32_t count, pad;
    abi::kvm_msr_entry entry;
  } list{1, 0, {kTscMsr, 0, 0}};
  TEEIO_TRY(vcpu_call(vm, KVM_GET_MSRS, list));
  return vcpu_call(vm, KVM_SET_MSRS, list);
}

Result<void> tsc_offset(VmState& vm) {
  abi::kvm_device_attr attr{};
  attr.group = KVM_VCPU_TSC_CTRL;
  attr.attr = KVM_VCPU_TSC_OFFSET;
  attr.addr = vm.page();
  TEEIO_TRY(vcpu_call(vm, KVM_HAS_DEVICE_ATTR, attr));
  TEEIO_TRY(vcpu_call(vm, KVM_GET_DEVICE_ATTR, attr));
  return vcpu_call(vm, KVM_SET_DEVICE_ATTR, attr);
}

Result<void> tsc_khz(VmState& vm) {
  TEEIO_ASSIGN(const std::int64_t now,
               vm.vmm.ioctl(vm.vmm.vcpu, KVM_GET_TSC_KHZ, std::uint64_t{0}));
  return vcpu_call(vm, KVM_SET_TSC_KHZ, static_cast<std::uint64_t>(now));
}

/// Ten banks, and an error in one of them.
Result<void> machine_check(VmState& vm) {
  constexpr std::uint64_t kBanks = 1U << 8U | 10, kValid = std::uint64_t{1} << 63U;
  TEEIO_TRY(vcpu_call(vm, KVM_X86_SETUP_MCE, vm.page(kBanks)));
  abi::kvm_x86_mce check{};
  check.bank = 3;
  check.status = kValid;
  return vcpu_call(vm, KVM_X86_SET_MCE, check);
}

Result<void> report_tpr(VmState& vm) {
  abi::kvm_tpr_access_ctl control{};
  control.enabled = 1;
  return vcpu_call(vm, KVM_TPR_ACCESS_REPORTING, control);
}

std::vector<VmCall> calls_of_vcpu() {
  return {
      {"MSRS", msrs},
      {"TSC_OFFSET", tsc_offset},
      {"TSC_KHZ", tsc_khz},
      {"NMI", [](VmState& vm) { return vcpu_call(vm, KVM_NMI, std::uint64_t{0}); }},
      {"MCE", machine_check},
      {"TPR", report_tpr},
      {"VAPIC",
       [](VmState& vm) { return vcpu_call(vm, KVM_SET_VAPIC_ADDR, abi::kvm_vapic_addr{}); }},
      {"VCPU_STATS",
       [](VmState& vm) { return open_and_close(vm, vm.vmm.vcpu, KVM_GET_STATS_FD, 0); }},
      // A vCPU of these machines runs no code.
      {"RUN", [](VmState& vm) { return vcpu_call(vm, KVM_RUN, std::uint64_t{0}); }, "ENXIO"},
      {"CLOSE_VCPU", [](VmState& vm) { return vm.vmm.close(vm.vmm.vcpu); }},
  };
}

// --- A VM ---

Result<void> raise_and_lower(VmState& vm) {
  abi::kvm_irq_level level{};
  level.irq = kGsi;
  level.level = 1;
  TEEIO_TRY(vm_call(vm, KVM_IRQ_LINE, level));
  level.level = 0;
  return vm_call(vm, KVM_IRQ_LINE_STATUS, level);
}

Result<void> signal_msi(VmState& vm) {
  abi::kvm_msi msi{};
  msi.address_lo = 0xfee0'0000;
  msi.data = 0x41;
  return vm_call(vm, KVM_SIGNAL_MSI, msi);
}

Result<void> set_routing(VmState& vm) {
  struct {
    std::uint32_t count, flags;
    abi::kvm_irq_routing_entry entry;
  } routes{1, 0, {}};
  routes.entry.gsi = kGsi;
  routes.entry.type = KVM_IRQ_ROUTING_IRQCHIP;
  routes.entry.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
  routes.entry.u.irqchip.pin = kGsi;
  return vm_call(vm, KVM_SET_GSI_ROUTING, routes);
}

/// It comes, signals and goes.
Result<void> wire_interrupt(VmState& vm) {
  abi::kvm_irqfd arg{};
  arg.fd = static_cast<std::uint32_t>(vm.eventfd);
  arg.gsi = kGsi;
  TEEIO_TRY(vm_call(vm, KVM_IRQFD, arg));
  arg.flags = KVM_IRQFD_FLAG_DEASSIGN;
  return vm_call(vm, KVM_IRQFD, arg);
}

Result<void> wire_doorbell(VmState& vm) {
  abi::kvm_ioeventfd arg{};
  arg.addr = kDoorbellGpa;
  arg.len = 4;
  arg.fd = vm.eventfd;
  TEEIO_TRY(vm_call(vm, KVM_IOEVENTFD, arg));
  arg.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
  return vm_call(vm, KVM_IOEVENTFD, arg);
}

Result<void> logged_slot(VmState& vm, std::uint64_t size) {
  abi::kvm_userspace_memory_region region{};
  region.slot = kLoggedSlot;
  region.flags = KVM_MEM_LOG_DIRTY_PAGES;
  region.guest_phys_addr = kLoggedGpa;
  region.memory_size = size;
  region.userspace_addr = vm.memory;
  return vm_call(vm, KVM_SET_USER_MEMORY_REGION, region);
}

Result<void> look_at_log(VmState& vm) {
  abi::kvm_dirty_log log{};
  log.slot = kLoggedSlot;
  log.dirty_bitmap = vm.page();
  TEEIO_TRY(vm_call(vm, KVM_GET_DIRTY_LOG, log));
  abi::kvm_clear_dirty_log clear{};
  clear.slot = kLoggedSlot;
  clear.num_pages = 1;
  clear.dirty_bitmap = log.dirty_bitmap;
  return vm_call(vm, KVM_CLEAR_DIRTY_LOG, clear);
}

Result<void> enable(VmState& vm, std::uint32_t capability, std::uint64_t value) {
  abi::kvm_enable_cap arg{};
  arg.cap = capability;
  arg.args[0] = value;
  return vm_call(vm, KVM_ENABLE_CAP, arg);
}

Result<void> make_kvm_device(VmState& vm) {
  abi::kvm_create_device create{};
  create.type = abi::KVM_DEV_TYPE_VFIO;
  TEEIO_TRY(vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_DEVICE, create));
  return vm.vmm.close(static_cast<int>(create.fd));
}

std::vector<VmCall> calls_of_vm() {
  constexpr std::uint64_t kManyPages = 1024, kTss = 0xfffb'd000;
  return {
      {"IRQ_LINE", raise_and_lower},
      {"SIGNAL_MSI", signal_msi},
      {"GSI_ROUTING", set_routing},
      {"IRQFD", wire_interrupt},
      {"IOEVENTFD", wire_doorbell},
      {"DIRTY_LOG", look_at_log},
      {"REINJECT",
       [](VmState& vm) { return vm_call(vm, KVM_REINJECT_CONTROL, abi::kvm_reinject_control{}); }},
      {"ENABLE_CAP", [](VmState& vm) { return enable(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1); }},
      {"MMU_PAGES", [](VmState& vm) { return vm_call(vm, KVM_SET_NR_MMU_PAGES, kManyPages); }},
      {"TSS_ADDR", [](VmState& vm) { return vm_call(vm, KVM_SET_TSS_ADDR, kTss); }},
      {"STATS", [](VmState& vm) { return open_and_close(vm, vm.vmm.vm, KVM_GET_STATS_FD, 0); }},
      {"DELETE_SLOT", [](VmState& vm) { return logged_slot(vm, 0); }},
      {"CREATE_VCPU",
       [](VmState& vm) { return open_and_close(vm, vm.vmm.vm, KVM_CREATE_VCPU, 1); }},
      {"CREATE_DEVICE", make_kvm_device},
      {"CLOSE_VM",
       [](VmState& vm) {
         vm.vmm.close_vm_files();
         return Result<void>();
       }},
  };
}

}  // namespace

VmState::VmState(Stage& on) : stage(on), vmm(on.vmm()) {
  constexpr std::uint32_t kManualProtect = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
  must(vmm.make_vm(kOrdinaryVm));
  must(made(vmm.ioctl(vmm.vm, KVM_CREATE_IRQCHIP, std::uint64_t{0})));
  must(made(vmm.ioctl(vmm.vm, KVM_CREATE_PIT2, page())));
  must(enable(*this, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, kManualProtect));
  must(vmm.make_vcpu());
  const std::uint64_t cpuid = page(kMostCpuids);
  must(made(vmm.ioctl(vmm.kvm, KVM_GET_SUPPORTED_CPUID, cpuid)));
  must(made(vmm.ioctl(vmm.vcpu, KVM_SET_CPUID2, cpuid)));
  memory = vmm.memory().map(kPageSize);
  must(logged_slot(*this, kPageSize));
  const auto event = vmm.install(
      object::Ref<object::File>(object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd)));
  TEEIO_CHECK(event.has_value(), "a program can have an eventfd");
  eventfd = *event;
}

std::uint64_t VmState::page(std::uint64_t head) {
  const std::uint64_t at = vmm.memory().map(kPageSize);
  TEEIO_CHECK(vmm.memory().write(at, bytes_of(head)).has_value(),
              "a program cannot write its own memory");
  return at;
}

const std::vector<VmCall>& vm_calls() {
  static const std::vector<VmCall> kCalls = [] {
    std::vector<VmCall> all;
    for (const Kept& kept : kKept)
      all.push_back(
          {kept.name, [&kept](VmState& vm) { return there_and_back(vm, kept); }, kept.never});
    for (const auto& some : {calls_of_vcpu(), calls_of_vm()})
      all.insert(all.end(), some.begin(), some.end());
    return all;
  }();
  return kCalls;
}

}  // namespace teeio::explore
