#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_handlers.h"
#include "entry/vendor_vms.h"
#include "host/kvm/tdx/tdx_vm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"

// Linux arch/x86/kvm/vmx/tdx.c, tdx_vm_ioctl(), tdx_vcpu_ioctl() and
// tdx_vcpu_unlocked_ioctl().

namespace teeio::entry {
namespace {

using Command = abi::kvm_tdx_cmd;

constexpr std::uint32_t kMaxCpuidEntries = 256;  // KVM_MAX_CPUID_ENTRIES

/// Precondition: the VM's type is TDX's.
kvm::TdxVm& td_of(kvm::Vm& vm) { return static_cast<kvm::TdxVm&>(vm.ops()); }
/// The command, whose hw_error the program must leave zero.
Result<Command> command_of(Call& call) {
  TEEIO_ASSIGN(const Command command, copy_in<Command>(call.memory(), call.argument));
  if (command.hw_error != 0) return fail(Errno::kInval, "hw_error is for KVM to set");
  kvm::TdxVm::begin_build_call();
  return command;
}

constexpr std::uint64_t kSeptVeDisable = 1ULL << 28U;  // KVM_SUPPORTED_TD_ATTRS
constexpr std::uint16_t kMaxVcpusOfTd = 1024;

/// tdx_get_capabilities(): this model lets no CPUID bit be configured.
Result<void> capabilities(Call& call, const Command& command) {
  using Arg = abi::kvm_tdx_capabilities;
  if (command.flags != 0) return fail(Errno::kInval, "KVM_TDX_CAPABILITIES has no flags");
  TEEIO_TRY(copy_in<std::uint32_t>(call.memory(), command.data + offsetof(Arg, cpuid)));
  Bytes zeros(sizeof(Arg));
  TEEIO_TRY(call.memory().write(command.data, zeros));
  constexpr std::uint64_t kXfamX87Sse = 3;
  constexpr std::uint64_t kSetupEventNotify = 1U << 1U;
  TEEIO_TRY(copy_out(call.memory(), command.data + offsetof(Arg, supported_attrs), kSeptVeDisable));
  TEEIO_TRY(copy_out(call.memory(), command.data + offsetof(Arg, user_tdvmcallinfo_1_r11),
                     kSetupEventNotify));
  return copy_out(call.memory(), command.data + offsetof(Arg, supported_xfam), kXfamX87Sse);
}

Result<void> init_vm(Call& call, kvm::TdxVm& td, const Command& command) {
  using Arg = abi::kvm_tdx_init_vm;
  if (command.flags != 0) return fail(Errno::kInval, "KVM_TDX_INIT_VM has no flags");
  TEEIO_ASSIGN(const std::uint32_t entries,
               copy_in<std::uint32_t>(call.memory(), command.data + offsetof(Arg, cpuid)));
  if (entries > kMaxCpuidEntries) return fail(Errno::kTooBig, "too many CPUID entries");
  Arg arg;
  TEEIO_TRY(call.memory().read(command.data, writable_bytes_of(arg)));
  for (const std::uint64_t word : arg.reserved)
    if (word != 0) return fail(Errno::kInval, "a reserved field is set");
  if (arg.cpuid.nent != entries || arg.cpuid.padding != 0)
    return fail(Errno::kInval, "the CPUID list changed or its padding is set");
  // setup_tdparams(): attributes and XFAM outside of what CAPABILITIES says.
  if ((arg.attributes & ~kSeptVeDisable) != 0)
    return fail(Errno::kInval, "the TD attribute is not supported");
  if ((arg.xfam & ~3ULL) != 0) return fail(Errno::kInval, "the XFAM bit is not supported");
  kvm::Vm& vm = static_cast<kvm::VmFile&>(call.file).vm();
  TEEIO_TRY(vm.before_vcpus([](kvm::x86::VmState&, std::size_t created) -> Result<void> {
    if (created != 0) return fail(Errno::kBusy, "the TD is initialised before its vCPUs");
    return {};
  }));
  return td.init_vm({.attributes = arg.attributes, .max_vcpus = kMaxVcpusOfTd});
}

/// tdx_vcpu_init_mem_region(): page by page; what is left is written back.
Result<void> init_mem_region(Call& call, kvm::TdxVm& td, kvm::Vcpu& vcpu, const Command& command) {
  using Arg = abi::kvm_tdx_init_mem_region;
  if ((command.flags & ~static_cast<std::uint32_t>(KVM_TDX_MEASURE_MEMORY_REGION)) != 0)
    return fail(Errno::kInval, "an unknown flag is set");
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), command.data));
  const std::uint64_t shared = tdx::kSharedGpaBit;
  const std::uint64_t size = arg.nr_pages << kPageShift;
  if (!is_page_aligned(arg.source_addr) || arg.source_addr == 0 || !is_page_aligned(arg.gpa) ||
      arg.nr_pages == 0 || arg.gpa + size <= arg.gpa || (arg.gpa & shared) != 0 ||
      ((arg.gpa + size - 1) & shared) != 0)
    return fail(Errno::kInval, "the region is empty, unaligned or not private");
  Result<void> result;
  Bytes page(kPageSize);
  while (arg.nr_pages != 0 && result) {
    if (call.caller.signal_pending()) {
      result = fail(Errno::kIntr, "a signal is pending");
      break;
    }
    result = call.memory().read(arg.source_addr, page);
    if (result)
      result = td.init_mem_page(vcpu, Gpa{arg.gpa}, page,
                                (command.flags & KVM_TDX_MEASURE_MEMORY_REGION) != 0);
    if (!result) break;
    arg.source_addr += kPageSize;
    arg.gpa += kPageSize;
    --arg.nr_pages;
  }
  TEEIO_TRY(copy_out(call.memory(), command.data, arg));
  return result;
}

/// tdx_vcpu_ioctl() and tdx_vcpu_get_cpuid(): of a TD that is being built, whether or not this
/// vCPU is initialised (QEMU asks before); flags are not looked at, and the number of leaves goes
/// back also when there is no room for them.
Result<void> get_cpuid(Call& call, const kvm::TdxVm& td, const Command& command) {
  using Arg = abi::kvm_cpuid2;
  if (!td.is_being_built())
    return fail(Errno::kInval, "KVM_TDX_GET_CPUID comes between INIT_VM and FINALIZE_VM");
  TEEIO_ASSIGN(ListHeader header, copy_in<ListHeader>(call.memory(), command.data));
  const std::span<const kvm::x86::CpuidEntry> entries = kvm::td_cpuid();
  const bool fits = header.count >= entries.size();
  header.count = static_cast<std::uint32_t>(entries.size());
  TEEIO_TRY(copy_out(call.memory(), command.data, header));
  if (!fits) return fail(Errno::kTooBig, "the program's list has too few CPUID entries");
  return call.memory().write(command.data + offsetof(Arg, entries), std::as_bytes(entries));
}

/// The firmware's status goes back whether or not the command worked.
Result<std::int64_t> finish(Call& call, Command command, const Result<void>& result) {
  command.hw_error = kvm::TdxVm::hw_error();
  TEEIO_TRY(copy_out(call.memory(), call.argument, command));
  if (!result) return std::unexpected(result.error());
  return 0;
}

Result<std::int64_t> vm_op(Call& call) {
  kvm::Vm& vm = static_cast<kvm::VmFile&>(call.file).vm();
  kvm::TdxVm& td = td_of(vm);
  TEEIO_ASSIGN(const Command command, command_of(call));
  switch (command.id) {
    case abi::KVM_TDX_CAPABILITIES:
      return finish(call, command, capabilities(call, command));
    case abi::KVM_TDX_INIT_VM:
      return finish(call, command, init_vm(call, td, command));
    case abi::KVM_TDX_FINALIZE_VM:
      return finish(call, command, td.finalize());
    default:
      return fail(Errno::kInval, "the VM has no such TDX command");
  }
}

Result<std::int64_t> vcpu_op(Call& call) {
  kvm::Vcpu& vcpu = static_cast<kvm::VcpuFile&>(call.file).vcpu();
  kvm::TdxVm& td = td_of(vcpu.vm());
  TEEIO_ASSIGN(const Command command, command_of(call));
  switch (command.id) {
    case abi::KVM_TDX_INIT_VCPU:
      if (command.flags != 0) return fail(Errno::kInval, "KVM_TDX_INIT_VCPU has no flags");
      return finish(call, command, td.init_vcpu(vcpu, command.data));
    case abi::KVM_TDX_GET_CPUID:
      TEEIO_TRY(get_cpuid(call, td, command));
      return 0;
    case abi::KVM_TDX_INIT_MEM_REGION:
      return finish(call, command, init_mem_region(call, td, vcpu, command));
    default:
      return fail(Errno::kInval, "the vCPU has no such TDX command");
  }
}

/// TDG.VP.VMCALL<ReportFatalError>. Source: Intel GHCI for TDX 1.5, 3.4.
constexpr std::uint64_t kReportFatalError = 0x10003;

void encode_exit(const kvm::VcpuExit& exit, abi::kvm_run& run) {
  if (exit.number == kReportFatalError) {
    run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run.system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
    run.system_event.ndata = 16;  // tdx_report_fatal_error()
    for (std::size_t i = 0; i < 16; ++i) run.system_event.data[i] = exit.registers[i];
    return;
  }
  run.exit_reason = KVM_EXIT_TDX;
  run.tdx.flags = 0;
  run.tdx.nr = exit.number;
  constexpr std::uint64_t kSubfunctionUnsupported = 0x8000000000000003ULL;
  run.tdx.unknown.ret = kSubfunctionUnsupported;
  for (std::size_t i = 0; i < 5; ++i) run.tdx.unknown.data[i] = exit.args[i];
}

void decode_exit(const abi::kvm_run& run, kvm::VcpuCompletion& done) {
  if (run.exit_reason != KVM_EXIT_TDX) return;
  done.ret = run.tdx.unknown.ret;
  for (std::size_t i = 0; i < 5; ++i) done.values[i] = run.tdx.unknown.data[i];
}

}  // namespace

const VendorVm& tdx_vendor_vm() {
  static constexpr VendorVm kRow{.type = kvm::kVmTypeTdx,
                                 .vm_op = vm_op,
                                 .vcpu_op = vcpu_op,
                                 .encode = encode_exit,
                                 .decode = decode_exit};
  return kRow;
}

}  // namespace teeio::entry
