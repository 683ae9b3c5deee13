#include <cstring>

#include "abi/kvm.h"
#include "abi/proposed.h"
#include "entry/copy.h"
#include "entry/vendor_vms.h"
#include "firmware/sev/launch.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/vm_file.h"

// Linux arch/x86/kvm/svm/sev.c, sev_mem_enc_ioctl(), as an SNP VM meets it.

namespace teeio::entry {
namespace {

using Command = abi::kvm_sev_cmd;

/// Precondition: the VM's type is SNP's.
kvm::SevVm& guest_of(kvm::Vm& vm) { return static_cast<kvm::SevVm&>(vm.ops()); }

/// The firmware's answer goes back with a call that asked it, whether or not that worked.
template <class Ask>
auto told(Command& command, Ask ask) {
  kvm::FirmwareAnswer answer;
  auto result = ask(answer);
  command.error = answer.value_or(command.error);
  return result;
}

Result<void> init2(Call& call, kvm::SevVm& guest, Command& command) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_sev_init>(call.memory(), command.data));
  return told(command, [&](kvm::FirmwareAnswer& answer) {
    return guest.init2(arg.vmsa_features, arg.flags, arg.ghcb_version, answer);
  });
}

Result<void> launch_start(Call& call, kvm::SevVm& guest, Command& command) {
  if (!guest.initialised()) return fail(Errno::kNoTty, "KVM_SEV_INIT2 comes first");
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_sev_snp_launch_start>(call.memory(), command.data));
  return told(command, [&](kvm::FirmwareAnswer& answer) {
    return guest.launch_start(arg.policy, bytes_of(arg.gosvw), arg.flags, answer);
  });
}

bool is_page_type(std::uint8_t type) {
  return type == KVM_SEV_SNP_PAGE_TYPE_NORMAL || type == KVM_SEV_SNP_PAGE_TYPE_ZERO ||
         type == KVM_SEV_SNP_PAGE_TYPE_UNMEASURED || type == KVM_SEV_SNP_PAGE_TYPE_SECRETS ||
         type == KVM_SEV_SNP_PAGE_TYPE_CPUID;
}

/// snp_launch_update(): what is left is written back, also after nothing went wrong.
Result<void> launch_update(Call& call, kvm::SevVm& guest, Command& command) {
  using Arg = abi::kvm_sev_snp_launch_update;
  if (raw(guest.firmware_handle()) == 0)
    return fail(Errno::kInval, "KVM_SEV_SNP_LAUNCH_START comes first");
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), command.data));
  if (!is_page_aligned(arg.len) || arg.flags != 0 || !is_page_type(arg.type))
    return fail(Errno::kInval, "the length, a flag or the page type is wrong");
  const std::uint64_t source = arg.uaddr;
  const auto read = [&](std::uint64_t page, std::span<std::byte> out) {
    return call.memory().read(source + page * kPageSize, out);
  };
  TEEIO_ASSIGN(const std::uint64_t done, told(command, [&](kvm::FirmwareAnswer& answer) {
                 return guest.launch_update(Gpa{arg.gfn_start << kPageShift}, arg.len >> kPageShift,
                                            static_cast<sev::LaunchPage>(arg.type), read, answer);
               }));
  arg.gfn_start += done;
  arg.len -= done * kPageSize;
  if (arg.type != KVM_SEV_SNP_PAGE_TYPE_ZERO) arg.uaddr += done * kPageSize;
  return copy_out(call.memory(), command.data, arg);
}

Result<void> launch_finish(Call& call, kvm::SevVm& guest, Command& command) {
  using Arg = abi::kvm_sev_snp_launch_finish;
  if (!guest.initialised()) return fail(Errno::kNoTty, "KVM_SEV_INIT2 comes first");
  if (raw(guest.firmware_handle()) == 0)
    return fail(Errno::kInval, "KVM_SEV_SNP_LAUNCH_START comes first");
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), command.data));
  if (arg.flags != 0) return fail(Errno::kInval, "KVM_SEV_SNP_LAUNCH_FINISH has no flags");
  // psp_copy_user_blob(): no address is an error of its own.
  const auto blob = [&call](std::uint64_t address, std::size_t size) {
    return [&call, address, size]() -> Result<Bytes> {
      if (address == 0) return fail(Errno::kInval, "the ID block or its authentication is missing");
      Bytes bytes(size);
      TEEIO_TRY(call.memory().read(address, bytes));
      return bytes;
    };
  };
  const ByteView host_data = bytes_of(arg.host_data);
  const kvm::SevVm::Finish finish{
      .id_block = arg.id_block_en != 0,
      .author_key = arg.auth_key_en != 0,
      .vcek_disabled = (arg.vcek_disabled & 1U) != 0,  // a bit-field takes it
      .host_data = Bytes(host_data.begin(), host_data.end()),
      .read_block = blob(arg.id_block_uaddr, KVM_SEV_SNP_ID_BLOCK_SIZE),
      .read_authentication = blob(arg.id_auth_uaddr, KVM_SEV_SNP_ID_AUTH_SIZE)};
  return told(command,
              [&](kvm::FirmwareAnswer& answer) { return guest.launch_finish(finish, answer); });
}

Result<void> run(Call& call, kvm::SevVm& guest, Command& command) {
  switch (command.id) {
    case abi::KVM_SEV_INIT2:
      return init2(call, guest, command);
    case abi::KVM_SEV_SNP_LAUNCH_START:
      return launch_start(call, guest, command);
    case abi::KVM_SEV_SNP_LAUNCH_UPDATE:
      return launch_update(call, guest, command);
    case abi::KVM_SEV_SNP_LAUNCH_FINISH:
      return launch_finish(call, guest, command);
    case abi::KVM_SEV_INIT:
    case abi::KVM_SEV_ES_INIT:
      return fail(Errno::kInval, "a VM of type SNP begins with KVM_SEV_INIT2");
    default:
      return fail(Errno::kNoTty, "the VM is no SEV guest yet");
  }
}

Result<std::int64_t> vm_op(Call& call) {
  if (call.argument == 0) return 0;  // a program asks whether there is SEV
  kvm::SevVm& guest = guest_of(static_cast<kvm::VmFile&>(call.file).vm());
  TEEIO_ASSIGN(Command command, copy_in<Command>(call.memory(), call.argument));
  if (guest.initialised() && command.id < abi::KVM_SEV_SNP_LAUNCH_START)
    return fail(Errno::kPerm, "an SNP guest takes SNP commands only");
  const bool known =
      command.id <= abi::KVM_SEV_INIT2 ||
      (command.id >= abi::KVM_SEV_SNP_LAUNCH_START && command.id <= abi::KVM_SEV_SNP_LAUNCH_FINISH);
  if (!known) return fail(Errno::kInval, "there is no such SEV command");
  const Result<void> result = run(call, guest, command);
  TEEIO_TRY(copy_out(call.memory(), call.argument, command));
  if (!result) return std::unexpected(result.error());
  return 0;
}

Result<std::int64_t> vcpu_op(Call&) {
  return fail(Errno::kNoTty, "an SNP vCPU has no commands of its own");
}

/// The posted struct stands at the start of the exit's union.
static_assert(sizeof(abi::kvm_user_vmgexit) <= sizeof(abi::kvm_run::padding));

constexpr std::uint64_t kPageMask = ~(kPageSize - 1);

void encode_exit(const kvm::VcpuExit& exit, abi::kvm_run& run) {
  if (exit.number == std::to_underlying(kvm::SevExit::kTerminate)) {
    run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run.system_event.type = KVM_SYSTEM_EVENT_SEV_TERM;
    run.system_event.ndata = 1;
    run.system_event.data[0] = exit.args[0];
    return;
  }
  run.exit_reason = KVM_EXIT_VMGEXIT;
  abi::kvm_user_vmgexit out{};
  if (exit.number == std::to_underlying(kvm::SevExit::kTioOp)) {
    out.type = KVM_USER_VMGEXIT_TIO_OP;
    out.tio_op.guest_rid = static_cast<std::uint32_t>(exit.args[0]);
    out.tio_op.action = static_cast<std::uint32_t>(exit.args[1]);
    std::memcpy(run.padding, &out, sizeof out);
    return;
  }
  out.type = KVM_USER_VMGEXIT_TIO_REQ;
  out.tio_req.guest_rid = static_cast<std::uint32_t>(exit.args[0]);
  out.tio_req.flags = static_cast<std::uint8_t>(exit.args[1]);
  out.tio_req.data_gpa = exit.args[2];
  out.tio_req.data_npages = exit.args[3];
  out.tio_req.req_spa = exit.args[4];
  out.tio_req.rsp_spa = exit.args[5];
  out.tio_req.mmio_gpa = exit.registers[2] & kPageMask;
  std::memcpy(run.padding, &out, sizeof out);
}

void decode_exit(const abi::kvm_run& run, kvm::VcpuCompletion& done) {
  if (run.exit_reason != KVM_EXIT_VMGEXIT) return;
  abi::kvm_user_vmgexit in{};
  std::memcpy(&in, run.padding, sizeof in);
  if (in.type == KVM_USER_VMGEXIT_TIO_OP) {
    done.ret = in.tio_op.ret;
    done.values[0] = in.tio_op.tdi_id;
    return;
  }
  done.ret = in.tio_req.ret;
  done.values[0] = in.tio_req.tdi_status;
  done.values[1] = in.tio_req.data_npages;
  done.values[2] = static_cast<std::uint32_t>(in.tio_req.fw_err);
}

}  // namespace

const VendorVm& snp_vendor_vm() {
  static constexpr VendorVm kRow{.type = kvm::kVmTypeSnp,
                                 .vm_op = vm_op,
                                 .vcpu_op = vcpu_op,
                                 .encode = encode_exit,
                                 .decode = decode_exit};
  return kRow;
}

}  // namespace teeio::entry
