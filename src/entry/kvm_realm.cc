#include <algorithm>
#include <cstring>
#include <utility>

#include "abi/kvm.h"
#include "abi/proposed.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"
#include "entry/vendor_vms.h"
#include "host/kvm/rmm/realm_vm.h"

// Linux arch/arm64/kvm/{arm,guest,hypercalls,rmi}.c as posted, as a realm meets them.

namespace teeio::entry {
namespace {

/// Errors: ENOTTY the VM is no realm whose code runs.
Result<kvm::RealmVm*> realm_of(kvm::Vm& vm) {
  if (vm.type() != kvm::kVmTypeArmRealm) return fail(Errno::kNoTty, "the VM is no realm");
  auto& realm = static_cast<kvm::RealmVm&>(vm.ops());
  if (!realm.runs_code()) return fail(Errno::kNoTty, "no code of the realm runs here");
  return &realm;
}
/// The register's number, of an id of KVM_REG_ARM_CORE with 64 bits. Errors: ENOENT else.
Result<std::uint64_t> core_register(std::uint64_t id) {
  constexpr std::uint64_t kCore = KVM_REG_ARM64_CORE_U64(0);
  constexpr std::uint64_t kLast = 32;  // pc
  const std::uint64_t number = (id - kCore) / 2;
  if (id < kCore || id % 2 != 0 || number > kLast)
    return fail(Errno::kNoEnt, "the vCPU has no such register");
  return number;
}

bool has_attribute(const abi::kvm_device_attr& attr) {
  return attr.group == KVM_ARM_VM_SMCCC_CTRL && attr.attr == KVM_ARM_VM_SMCCC_FILTER;
}

Result<std::int64_t> no_command(Call&) {
  return fail(Errno::kNoTty, "a realm has no KVM_MEMORY_ENCRYPT_OP");
}

static_assert(KVM_SYSTEM_EVENT_SHUTDOWN == std::to_underlying(kvm::SystemEvent::kShutdown) &&
              KVM_SYSTEM_EVENT_RESET == std::to_underlying(kvm::SystemEvent::kReset));
static_assert(sizeof(abi::kvm_arm64_tio) <= sizeof(abi::kvm_run::padding));

void encode_exit(const kvm::VcpuExit& exit, abi::kvm_run& run) {
  if (exit.number == std::to_underlying(kvm::RealmExit::kHostCall)) {
    // kvm_prepare_hypercall_exit(): the arguments are the vCPU's registers.
    run.exit_reason = KVM_EXIT_HYPERCALL;
    run.hypercall.nr = exit.args[0];
    run.hypercall.flags = 0;
    return;
  }
  if (exit.number == std::to_underlying(kvm::RealmExit::kSystem)) {
    run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run.system_event.type = static_cast<std::uint32_t>(exit.args[0]);
    return;
  }
  run.exit_reason = KVM_EXIT_ARM64_TIO;
  const abi::kvm_arm64_tio tio{.flags = 0,
                               .nr = RMI_EXIT_VDEV_VALIDATE_MAPPING,
                               .vdev_id = exit.args[0],
                               .gpa_base = exit.args[1],
                               .gpa_top = exit.args[2],
                               .pa_base = exit.args[3],
                               .response = 0};
  std::memcpy(run.padding, &tio, sizeof tio);
}

void decode_exit(const abi::kvm_run& run, kvm::VcpuCompletion& done) {
  if (run.exit_reason != KVM_EXIT_ARM64_TIO) return;
  abi::kvm_arm64_tio tio{};
  std::memcpy(&tio, run.padding, sizeof tio);
  done.ret = tio.response;
  done.values[0] = tio.gpa_top;
}

}  // namespace

const VendorVm& realm_vendor_vm() {
  static constexpr VendorVm kRow{.type = kvm::kVmTypeArmRealm,
                                 .vm_op = no_command,
                                 .vcpu_op = no_command,
                                 .encode = encode_exit,
                                 .decode = decode_exit};
  return kRow;
}

Result<std::int64_t> ioctl_preferred_target(Call& call) {
  TEEIO_TRY(realm_of(vm_of(call)));
  const abi::kvm_vcpu_init preferred{.target = KVM_ARM_TARGET_GENERIC_V8, .features = {}};
  TEEIO_TRY(copy_out(call.memory(), call.argument, preferred));
  return 0;
}

/// kvm_arm_rmi_populate(): what is left is written back.
Result<std::int64_t> ioctl_populate(Call& call) {
  using Arg = abi::kvm_arm_rmi_populate;
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_of(vm_of(call)));
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if (arg.reserved != 0 || (arg.flags & ~__u32{KVM_ARM_RMI_POPULATE_FLAGS_MEASURE}) != 0 ||
      arg.base + arg.size < arg.base || !is_page_aligned(arg.base | arg.size) ||
      !is_page_aligned(arg.source_uaddr) || arg.source_uaddr == 0)
    return fail(Errno::kInval, "the range of KVM_ARM_RMI_POPULATE is wrong");
  const std::uint64_t source = arg.source_uaddr;
  TEEIO_ASSIGN(const std::uint64_t done,
               realm->populate(Gpa{arg.base}, arg.size >> kPageShift, arg.flags != 0,
                               [&](std::uint64_t page, std::span<std::byte> out) {
                                 return call.memory().read(source + page * kPageSize, out);
                               }));
  arg.base += done * kPageSize;
  arg.size -= done * kPageSize;
  arg.source_uaddr += done * kPageSize;
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

/// kvm_smccc_set_attr().
Result<std::int64_t> ioctl_vm_set_device_attr(Call& call) {
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_of(vm_of(call)));
  TEEIO_ASSIGN(const auto attr, copy_in<abi::kvm_device_attr>(call.memory(), call.argument));
  if (!has_attribute(attr)) return fail(Errno::kNxio, "the VM has no such attribute");
  TEEIO_ASSIGN(const auto filter, copy_in<abi::kvm_smccc_filter>(call.memory(), attr.addr));
  if (std::ranges::any_of(filter.pad, [](auto byte) { return byte != 0; }) ||
      filter.action > KVM_SMCCC_FILTER_FWD_TO_USER)
    return fail(Errno::kInval, "the filter has no such action");
  TEEIO_TRY(realm->filter_calls(filter.base, filter.nr_functions,
                                static_cast<kvm::RealmVm::SmcccAction>(filter.action)));
  return 0;
}

Result<std::int64_t> ioctl_vm_has_device_attr(Call& call) {
  TEEIO_TRY(realm_of(vm_of(call)));
  TEEIO_ASSIGN(const auto attr, copy_in<abi::kvm_device_attr>(call.memory(), call.argument));
  if (!has_attribute(attr)) return fail(Errno::kNxio, "the VM has no such attribute");
  return 0;
}

/// kvm_arch_vcpu_ioctl_vcpu_init().
Result<std::int64_t> ioctl_vcpu_init(Call& call) {
  kvm::Vcpu& vcpu = vcpu_of(call);
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_of(vcpu.vm()));
  TEEIO_ASSIGN(const auto init, copy_in<abi::kvm_vcpu_init>(call.memory(), call.argument));
  if (std::any_of(std::begin(init.features) + 1, std::end(init.features),
                  [](auto word) { return word != 0; }))
    return fail(Errno::kNoEnt, "the feature is not known");
  const schedule::Lock lock(vcpu.mutex());
  TEEIO_TRY(realm->init_vcpu(vcpu, init.target, init.features[0]));
  return 0;
}

Result<std::int64_t> ioctl_get_one_reg(Call& call) {
  kvm::Vcpu& vcpu = vcpu_of(call);
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_of(vcpu.vm()));
  TEEIO_ASSIGN(const auto reg, copy_in<abi::kvm_one_reg>(call.memory(), call.argument));
  TEEIO_ASSIGN(const std::uint64_t number, core_register(reg.id));
  const schedule::Lock lock(vcpu.mutex());
  TEEIO_ASSIGN(const std::uint64_t value, realm->get_register(vcpu, number));
  TEEIO_TRY(copy_out(call.memory(), reg.addr, value));
  return 0;
}

Result<std::int64_t> ioctl_set_one_reg(Call& call) {
  kvm::Vcpu& vcpu = vcpu_of(call);
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_of(vcpu.vm()));
  TEEIO_ASSIGN(const auto reg, copy_in<abi::kvm_one_reg>(call.memory(), call.argument));
  TEEIO_ASSIGN(const std::uint64_t number, core_register(reg.id));
  TEEIO_ASSIGN(const std::uint64_t value, copy_in<std::uint64_t>(call.memory(), reg.addr));
  const schedule::Lock lock(vcpu.mutex());
  TEEIO_TRY(realm->set_register(vcpu, number, value));
  return 0;
}

}  // namespace teeio::entry
