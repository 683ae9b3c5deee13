#include <fcntl.h>

#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_handlers.h"
#include "entry/kvm_registers.h"
#include "host/kvm/gmem.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vm_file.h"
#include "host/kvm/x86/msrs.h"

// Linux virt/kvm/kvm_main.c, kvm_dev_ioctl().

namespace teeio::entry {
namespace {

kvm::Kvm& kvm_of(Call& call) { return static_cast<kvm::KvmFile&>(call.file).kvm(); }

/// Whose answers they are: a VM's where there is one.
struct Asked {
  std::uint64_t vm_types;
  std::uint64_t attributes;
  kvm::Vm* vm;
};

/// KVM_CHECK_EXTENSION. What is not here is 0, "not there".
/// Source: kvm_vm_ioctl_check_extension() of virt/kvm/kvm_main.c and arch/x86/kvm/x86.c.
std::int64_t capability(std::uint64_t number, const Asked& asked) {
  switch (number) {
    case KVM_CAP_IRQCHIP:
    case KVM_CAP_HLT:
    case KVM_CAP_MMU_SHADOW_CACHE_CONTROL:
    case KVM_CAP_USER_MEMORY:
    case KVM_CAP_USER_MEMORY2:
    case KVM_CAP_SET_TSS_ADDR:
    case KVM_CAP_EXT_CPUID:
    case KVM_CAP_EXT_EMUL_CPUID:
    case KVM_CAP_NOP_IO_DELAY:
    case KVM_CAP_PIT:
    case KVM_CAP_PIT2:
    case KVM_CAP_PIT_STATE2:
    case KVM_CAP_REINJECT_CONTROL:
    case KVM_CAP_MP_STATE:
    case KVM_CAP_USER_NMI:
    case KVM_CAP_SYNC_MMU:
    case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
    case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
    case KVM_CAP_IRQ_INJECT_STATUS:
    case KVM_CAP_IRQFD:
    case KVM_CAP_IOEVENTFD:
    case KVM_CAP_IOEVENTFD_NO_LENGTH:
    case KVM_CAP_IOEVENTFD_ANY_LENGTH:
    case KVM_CAP_SET_BOOT_CPU_ID:
    case KVM_CAP_SET_IDENTITY_MAP_ADDR:
    case KVM_CAP_VCPU_EVENTS:
    case KVM_CAP_PCI_SEGMENT:
    case KVM_CAP_SYSTEM_EVENT_DATA:
    case KVM_CAP_IRQFD_RESAMPLE:
    case KVM_CAP_DEBUGREGS:
    case KVM_CAP_SET_GUEST_DEBUG:
    case KVM_CAP_X86_ROBUST_SINGLESTEP:
    case KVM_CAP_ENABLE_CAP:
    case KVM_CAP_ENABLE_CAP_VM:
    case KVM_CAP_XSAVE:
    case KVM_CAP_XCRS:
    case KVM_CAP_TSC_CONTROL:
    case KVM_CAP_VM_TSC_CONTROL:
    case KVM_CAP_GET_TSC_KHZ:
    case KVM_CAP_KVMCLOCK_CTRL:
    case KVM_CAP_TSC_DEADLINE_TIMER:
    case KVM_CAP_SIGNAL_MSI:
    case KVM_CAP_READONLY_MEM:
    case KVM_CAP_DEVICE_CTRL:
    case KVM_CAP_IOAPIC_POLARITY_IGNORED:
    case KVM_CAP_CHECK_EXTENSION_VM:
    case KVM_CAP_DISABLE_QUIRKS:
    case KVM_CAP_SPLIT_IRQCHIP:
    case KVM_CAP_VCPU_ATTRIBUTES:
    case KVM_CAP_IMMEDIATE_EXIT:
    case KVM_CAP_GET_MSR_FEATURES:
    case KVM_CAP_EXCEPTION_PAYLOAD:
    case KVM_CAP_LAST_CPU:
    case KVM_CAP_SREGS2:
    case KVM_CAP_SYS_ATTRIBUTES:
    case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
    case KVM_CAP_GUEST_MEMFD:
    case KVM_CAP_MEMORY_FAULT_INFO:
    case KVM_CAP_INTERNAL_ERROR_DATA:
    case KVM_CAP_PRE_FAULT_MEMORY:
    case KVM_CAP_BINARY_STATS_FD:
      return 1;
    case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
      return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
    case KVM_CAP_IRQ_ROUTING:
      return kvm::x86::kMaxIrqRoutes;
    case KVM_CAP_MCE:
      return kvm::x86::kMaxMceBanks;
    case KVM_CAP_ADJUST_CLOCK:
      return kvm::x86::kClockFlags;
    case KVM_CAP_X2APIC_API:
      return static_cast<std::int64_t>(asked.vm != nullptr && asked.vm->x86().interrupts().mode() !=
                                                                  kvm::x86::IrqchipMode::kSplit
                                           ? kvm::x86::kX2apicFlags & ~kvm::x86::kX2apicSuppressEoi
                                           : kvm::x86::kX2apicFlags);
    case KVM_CAP_XSAVE2:
      return sizeof(abi::kvm_xsave);
    case KVM_CAP_DISABLE_QUIRKS2:
      return kvm::x86::kSupportedQuirks;
    case KVM_CAP_EXIT_HYPERCALL:
      return kvm::x86::kHypercallExits;
    case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
      return asked.vm != nullptr ? static_cast<std::int64_t>(asked.vm->x86().bus_cycle_ns()) : 1;
    case KVM_CAP_SET_GUEST_DEBUG2:
      return KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP |
             KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_INJECT_DB |
             KVM_GUESTDBG_BLOCKIRQ;
    case KVM_CAP_GUEST_MEMFD_FLAGS:
      return static_cast<std::int64_t>(kvm::supported_gmem_flags(asked.vm));
    case KVM_CAP_SYNC_REGS:
      return static_cast<std::int64_t>(kvm_sync_fields(asked.vm));
    case KVM_CAP_NR_MEMSLOTS:
      return kvm::kUserMemSlots;
    case KVM_CAP_NR_VCPUS:
      return 1;
    case KVM_CAP_MAX_VCPUS:
      return kvm::x86::kMaxVcpus;
    case KVM_CAP_MAX_VCPU_ID:
      return kvm::x86::kMaxVcpuIds;
    case KVM_CAP_VM_TYPES:
      return static_cast<std::int64_t>(asked.vm_types);
    case KVM_CAP_MEMORY_ATTRIBUTES:
      return static_cast<std::int64_t>(asked.attributes);
    default:
      return 0;
  }
}

/// __kvm_x86_dev_get_attr(). Errors: ENXIO.
Result<std::uint64_t> system_attribute(const abi::kvm_device_attr& attr) {
  if (attr.group != KVM_X86_GRP_SYSTEM || attr.attr != KVM_X86_XCOMP_GUEST_SUPP)
    return fail(Errno::kNxio, "KVM has no such attribute");
  return kvm::x86::kSupportedXcr0;
}

}  // namespace

Result<std::int64_t> ioctl_get_api_version(Call& call) {
  if (call.argument != 0) return fail(Errno::kInval, "KVM_GET_API_VERSION takes no argument");
  return KVM_API_VERSION;
}

Result<std::int64_t> ioctl_create_vm(Call& call) {
  TEEIO_ASSIGN(object::Ref<object::File> file,
               kvm_of(call).create_vm(call.argument, call.caller.mm_id()));
  return call.caller.install(std::move(file), O_RDWR | O_CLOEXEC);
}

Result<std::int64_t> ioctl_check_extension(Call& call) {
  constexpr std::uint64_t kPrivateAttribute = 8;
  return capability(call.argument, {kvm_of(call).types(), kPrivateAttribute, nullptr});
}

Result<std::int64_t> ioctl_get_vcpu_mmap_size(Call& call) {
  if (call.argument != 0) return fail(Errno::kInval, "KVM_GET_VCPU_MMAP_SIZE takes no argument");
  return kVcpuMmapSize;
}

Result<std::int64_t> ioctl_get_mce_cap_supported(Call& call) {
  TEEIO_TRY(copy_out(call.memory(), call.argument, kvm::x86::kSupportedMceCap));
  return 0;
}

Result<std::int64_t> ioctl_system_get_device_attr(Call& call) {
  TEEIO_ASSIGN(const auto attr, copy_in<abi::kvm_device_attr>(call.memory(), call.argument));
  TEEIO_ASSIGN(const std::uint64_t value, system_attribute(attr));
  TEEIO_TRY(copy_out(call.memory(), attr.addr, value));
  return 0;
}

Result<std::int64_t> ioctl_system_has_device_attr(Call& call) {
  TEEIO_ASSIGN(const auto attr, copy_in<abi::kvm_device_attr>(call.memory(), call.argument));
  TEEIO_TRY(system_attribute(attr));
  return 0;
}

Result<std::int64_t> ioctl_vm_check_extension(Call& call) {
  kvm::Vm& vm = static_cast<kvm::VmFile&>(call.file).vm();
  return capability(call.argument, {vm.kvm().types(), vm.supported_attributes(), &vm});
}

}  // namespace teeio::entry
