#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"
#include "entry/kvm_registers.h"
#include "entry/vendor_vms.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vcpu_file.h"

// Linux virt/kvm/kvm_main.c, kvm_vcpu_ioctl(); exits as struct kvm_run has them.

namespace teeio::entry {
namespace {

kvm::VcpuFile& file_of(Call& call) { return static_cast<kvm::VcpuFile&>(call.file); }
/// The vCPU's shared page, which the program maps; it may change under us, so
/// each field is read once.
struct RunPage {
  std::span<std::byte> bytes;
  [[nodiscard]] abi::kvm_run& run() const { return *reinterpret_cast<abi::kvm_run*>(bytes.data()); }
  [[nodiscard]] std::byte* port_data() const { return bytes.data() + kPortDataOffset; }
};

Result<RunPage> run_page(kvm::VcpuFile& file) {
  if (file.mapped_file() == nullptr) return fail(Errno::kFault, "the vCPU has no kvm_run page");
  TEEIO_ASSIGN(const std::span<std::byte> bytes, file.mapped_file()->expose(0, kVcpuMmapSize));
  return RunPage{bytes};
}

std::uint64_t load(const void* from, std::size_t size) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, std::min(size, sizeof(value)));
  return value;
}

/// vcpu->arch.complete_userspace_io: of what is due, whatever kvm_run says of its reason and size.
kvm::VcpuCompletion completion_of(const kvm::VcpuExit& due, const RunPage& page,
                                  const VendorVm* vendor) {
  using Reason = kvm::VcpuExit::Reason;
  const abi::kvm_run& run = page.run();
  kvm::VcpuCompletion done;
  if (due.reason == Reason::kMmio)
    done.data = load(run.mmio.data, sizeof(run.mmio.data));
  else if (due.reason == Reason::kIo) {
    done.data = load(page.port_data(), due.size);
    done.elements = ByteView(page.port_data(), std::size_t{due.size} * due.count);
  } else if (due.reason == Reason::kHypercall || run.exit_reason == KVM_EXIT_HYPERCALL)
    done.ret = run.hypercall.ret;
  else if (vendor != nullptr)
    vendor->decode(run, done);
  return done;
}

/// Writes the exit; the value is what KVM_RUN returns.
Result<std::int64_t> encode(const kvm::VcpuExit& exit, const RunPage& page,
                            const VendorVm* vendor) {
  using Reason = kvm::VcpuExit::Reason;
  abi::kvm_run& run = page.run();
  switch (exit.reason) {
    case Reason::kInterrupted:
      return fail(Errno::kIntr, "a signal is pending");
    case Reason::kMemoryFault:
      run.exit_reason = KVM_EXIT_MEMORY_FAULT;
      run.memory_fault.flags = exit.is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
      run.memory_fault.gpa = raw(exit.gpa);
      run.memory_fault.size = exit.length;
      return fail(Errno::kFault, "the guest's access and the memory's attribute differ");
    case Reason::kIo:
      run.exit_reason = KVM_EXIT_IO;
      run.io.direction = exit.write ? 1 : 0;
      run.io.size = exit.size;
      run.io.port = exit.port;
      run.io.count = std::max<std::uint32_t>(1, exit.count);
      run.io.data_offset = kPortDataOffset;
      std::memset(page.port_data(), 0, std::size_t{exit.size} * exit.count);
      std::memcpy(page.port_data(), &exit.data, exit.size);
      return 0;
    case Reason::kMmio:
      run.exit_reason = KVM_EXIT_MMIO;
      run.mmio.phys_addr = raw(exit.gpa);
      std::memcpy(run.mmio.data, &exit.data, sizeof(run.mmio.data));
      run.mmio.len = exit.size;
      run.mmio.is_write = exit.write ? 1 : 0;
      return 0;
    case Reason::kHypercall:
      run.exit_reason = KVM_EXIT_HYPERCALL;
      run.hypercall.nr = exit.number;
      for (std::size_t i = 0; i < 6; ++i) run.hypercall.args[i] = exit.args[i];
      run.hypercall.flags = 1;  // KVM_EXIT_HYPERCALL_LONG_MODE
      return 0;
    case Reason::kVendor:
      TEEIO_CHECK(vendor != nullptr, "a VM type without a row exits in its own terms");
      vendor->encode(exit, run);
      return 0;
    case Reason::kInterruptWindow:
      run.exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
      return 0;
    case Reason::kDeliveryFailed:
      run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
      run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
      run.internal.ndata = 0;
      return 0;
    case Reason::kIoapicEoi:
      run.exit_reason = KVM_EXIT_IOAPIC_EOI;
      run.eoi.vector = static_cast<std::uint8_t>(exit.number);
      return 0;
    case Reason::kDebug:
      run.exit_reason = KVM_EXIT_DEBUG;
      run.debug.arch.exception = static_cast<std::uint32_t>(exit.number);
      run.debug.arch.pc = exit.args[0];
      if (exit.number == hw::kBreakpointVector) return 0;
      run.debug.arch.dr6 = exit.args[1];
      if (!exit.emulated) run.debug.arch.dr7 = exit.args[2];
      return 0;
    case Reason::kFailEntry:
      run.exit_reason = KVM_EXIT_FAIL_ENTRY;
      run.fail_entry.hardware_entry_failure_reason = exit.number;
      run.fail_entry.cpu = 0;
      return 0;
    case Reason::kHalt:
      run.exit_reason = KVM_EXIT_HLT;
      return 0;
    case Reason::kShutdown:
      run.exit_reason = KVM_EXIT_SHUTDOWN;
      return 0;
    case Reason::kInternalError:
      run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
      run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
      run.internal.ndata = 0;
      return 0;
    case Reason::kUnknown:
      run.exit_reason = KVM_EXIT_UNKNOWN;
      return 0;
  }
  return 0;
}

/// post_kvm_run_save().
void show(const kvm::VcpuShown& shown, abi::kvm_run& run) {
  run.if_flag = shown.interrupt_flag ? 1 : 0;
  run.ready_for_interrupt_injection = shown.ready_for_interrupt ? 1 : 0;
  run.cr8 = shown.cr8;
  run.apic_base = shown.apic_base;
  run.flags = 0;
}

}  // namespace

Result<std::int64_t> ioctl_run(Call& call) {
  if (call.argument != 0) return fail(Errno::kInval, "KVM_RUN takes no argument");
  kvm::Vcpu& vcpu = vcpu_of(call);
  const schedule::Lock lock(vcpu.mutex());
  TEEIO_ASSIGN(const RunPage page, run_page(file_of(call)));
  const kvm::VcpuRequest request{.immediate_exit = page.run().immediate_exit != 0,
                                 .interrupt_window = page.run().request_interrupt_window != 0,
                                 .cr8 = page.run().cr8};
  const VendorVm* vendor = vendor_vm(vcpu.vm().type());
  const auto taken = take_synced_registers(vcpu, call.memory(), page.run());
  const auto ran =
      taken ? vcpu.run(call.caller, completion_of(vcpu.exit_due(), page, vendor), request)
            : Result<kvm::VcpuExit>(std::unexpected(taken.error()));
  store_synced_registers(vcpu, page.run());
  if (vcpu.cpu() != nullptr) show(vcpu.shown(), page.run());
  TEEIO_ASSIGN(const kvm::VcpuExit exit, ran);
  if (exit.reason == kvm::VcpuExit::Reason::kInterrupted && !request.immediate_exit)
    page.run().exit_reason = KVM_EXIT_INTR;
  return encode(exit, page, vendor);
}

Result<std::int64_t> ioctl_set_guest_debug(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_guest_debug>(call.memory(), call.argument));
  kvm::GuestDebug debug{.control = arg.control, .registers = {}};
  std::ranges::copy(arg.arch.debugreg, debug.registers);
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).set_guest_debug(debug));
  return 0;
}

/// kvm_vcpu_ioctl(): no argument takes the mask away.
Result<std::int64_t> ioctl_set_signal_mask(Call& call) {
  mm::SignalMask mask;
  if (call.argument != 0) {
    std::uint32_t length = 0;  // no copy_in(): the flexible array keeps it out of a Result
    TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(length)));
    if (length != sizeof(*mask)) return fail(Errno::kInval, "a signal mask is 8 bytes");
    TEEIO_ASSIGN(
        mask, copy_in<std::uint64_t>(call.memory(), call.argument + sizeof(abi::kvm_signal_mask)));
  }
  const schedule::Lock lock(vcpu_of(call).mutex());
  vcpu_of(call).set_signal_mask(mask);
  return 0;
}

/// kvm_vcpu_pre_fault_memory(): progress is success, and the rest is reported.
Result<std::int64_t> ioctl_pre_fault_memory(Call& call) {
  using Arg = abi::kvm_pre_fault_memory;
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if (arg.flags != 0 || !is_page_aligned(arg.gpa) || !is_page_aligned(arg.size) || arg.size == 0 ||
      arg.gpa + arg.size <= arg.gpa)
    return fail(Errno::kInval, "the range of KVM_PRE_FAULT_MEMORY is wrong");
  const schedule::Lock lock(vcpu_of(call).mutex());
  Result<void> failure;
  bool progress = false;
  while (arg.size != 0) {
    if (call.caller.signal_pending()) {
      failure = fail(Errno::kIntr, "a signal is pending");
      break;
    }
    failure = vcpu_of(call).pre_fault(call.caller, Gpa{arg.gpa});
    if (!failure) break;
    progress = true;
    arg.gpa += kPageSize;
    arg.size -= kPageSize;
  }
  if (!progress) return std::unexpected(failure.error());
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

}  // namespace teeio::entry
