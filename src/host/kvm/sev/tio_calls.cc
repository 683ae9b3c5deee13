#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "firmware/sev/attestation.h"
#include "host/kvm/sev/msrs.h"
#include "host/kvm/sev/sev_vm.h"

// What an SNP guest asks of firmware through its host, and how an exit's answer comes back.

namespace teeio::kvm {
namespace {

using Field = Ghcb::Field;

constexpr std::uint64_t kInvalidInput = 5;
constexpr std::uint64_t kBadInput = 2;

constexpr std::size_t kMessageType = 0x34;  ///< in struct snp_guest_msg_hdr

VmOps::GuestCallAction invalid(Ghcb& ghcb) {
  ghcb.set(Field::kExitInfo1, kBadInput);
  ghcb.set(Field::kExitInfo2, kInvalidInput);
  return VmOps::GuestCallAction::kResume;
}

// Types of guest messages that KVM looks at. Source: AMDESE/linux-kvm, asm/sev.h.
constexpr std::uint64_t kFlagStatus = 1U << 0U;        // KVM_USER_VMGEXIT_TIO_REQ_FLAG_STATUS
constexpr std::uint64_t kFlagMmioValidate = 1U << 1U;  // …_MMIO_VALIDATE
constexpr std::uint64_t kFlagMmioConfig = 1U << 2U;    // …_MMIO_CONFIG

std::uint64_t flags_of(std::uint8_t message_type) {
  switch (message_type) {
    case 19:
      return kFlagStatus;
    case 21:
      return kFlagMmioValidate;
    case 23:
      return kFlagMmioConfig;
    default:
      return 0;
  }
}

/// The posted name of a message, as an event's.
std::string_view message_name(std::uint8_t message_type) {
  switch (message_type) {
    case 19:
      return "TIO_MSG_TDI_INFO_REQ";
    case 21:
      return "TIO_MSG_MMIO_VALIDATE_REQ";
    case 23:
      return "TIO_MSG_MMIO_CONFIG_REQ";
    case 25:
      return "TIO_MSG_SDTE_WRITE_REQ";
    default:
      return "VMGEXIT TIO_GUEST_REQUEST";
  }
}

/// enum of kvm_user_vmgexit's tio_op.action.
std::string action_name(std::uint64_t action) {
  static constexpr std::array<std::string_view, 4> kNames = {"bind", "unbind", "run", "stop"};
  return action < kNames.size() ? std::string(kNames.at(action)) : fmt::format("action={}", action);
}

}  // namespace

/// A page of the guest's that is not mapped: KVM faults it in, or it is no memory.
VmOps::GuestCallAction SevVm::missing(Vcpu& vcpu, Ghcb& ghcb, Gpa page, hw::GuestMemory::Miss miss,
                                      VcpuExit& exit) {
  if (miss == hw::GuestMemory::Miss::kFault) return retry_after_fault(vcpu, page, exit);
  return invalid(ghcb);
}

/// snp_handle_guest_req(): through pages of KVM's own, since guests' pages may change.
VmOps::GuestCallAction SevVm::guest_request(Vcpu& vcpu, Ghcb& ghcb, VcpuExit& exit) {
  const Gpa request{exit.args[4]};
  const Gpa response{exit.args[5]};
  if (!is_page_aligned(raw(request)) || !is_page_aligned(raw(response)) || request == response)
    return invalid(ghcb);
  hw::PhysicalMemory& memory = host_.psp().memory();
  const auto in = vm_.mmu().lookup(request, hw::GuestAccess::kRead);
  if (!in) return missing(vcpu, ghcb, request, in.error(), exit);
  const auto out = vm_.mmu().lookup(response, hw::GuestAccess::kWrite);
  if (!out) return missing(vcpu, ghcb, response, out.error(), exit);
  const schedule::Lock lock(request_lock_);
  Bytes page(kPageSize);
  if (!memory.read(in->address, page, in->key) || !memory.write(request_page_, page))
    return invalid(ghcb);
  PspHost::Answer answer;
  const Bytes buffer =
      Writer().le(gctx_.load()).le(raw(request_page_)).le(raw(response_page_)).take();
  (void)host_.psp().command(sev::kSnpGuestRequest, buffer, answer);
  if (!answer) return invalid(ghcb);
  if (memory.read(response_page_, page)) (void)memory.write(out->address, page, out->key);
  ghcb.set(Field::kExitInfo2, std::to_underlying(*answer));  // SNP_GUEST_ERR(0, status)
  return GuestCallAction::kResume;
}

/// snp_handle_ext_guest_req(): with a request for a report go certificates, into the guest's
/// pages (RAX, RBX of them). Linux 7.3 gives an empty table, or asks the VMM.
VmOps::GuestCallAction SevVm::extended_guest_request(Vcpu& vcpu, Ghcb& ghcb, VcpuExit& exit) {
  constexpr std::uint64_t kTooShort = 1;  // SNP_GUEST_VMM_ERR_INVALID_LEN
  const Gpa request{exit.args[4]};
  if (!is_page_aligned(raw(request))) return invalid(ghcb);
  const auto message = vm_.mmu().lookup(request, hw::GuestAccess::kRead);
  if (!message) return missing(vcpu, ghcb, request, message.error(), exit);
  hw::PhysicalMemory& memory = host_.psp().memory();
  std::byte type{};
  if (!memory.read(message->address + kMessageType, {&type, 1}, message->key)) return invalid(ghcb);
  if (type != std::byte{sev::kReportRequest}) return guest_request(vcpu, ghcb, exit);
  const auto data = ghcb.get(Field::kRax);
  const auto room = ghcb.get(Field::kRbx);
  if (!data || !room || !is_page_aligned(*data)) return invalid(ghcb);
  const Bytes table = host_.certificates();
  const std::uint64_t wanted = (table.size() + kPageSize - 1) / kPageSize;
  if (*room < wanted) {
    ghcb.set(Field::kRbx, wanted);
    ghcb.set(Field::kExitInfo2, kTooShort << 32U);
    return GuestCallAction::kResume;
  }
  for (std::uint64_t n = 0; n < wanted; ++n) {
    const Gpa page{*data + n * kPageSize};
    const auto out = vm_.mmu().lookup(page, hw::GuestAccess::kWrite);
    if (!out) return missing(vcpu, ghcb, page, out.error(), exit);
    const ByteView piece = ByteView(table).subspan(n * kPageSize);
    if (!memory.write(out->address, piece.first(std::min<std::size_t>(piece.size(), kPageSize)),
                      out->key))
      return invalid(ghcb);
  }
  return guest_request(vcpu, ghcb, exit);
}

/// The message stays where the guest has put it: a VMM reads shared memory as its own.
/// Source: "[RFC PATCH v2 11/22] KVM: SEV: Add TIO VMGEXIT", 2025-02-18, with the registers
/// of AMD's public tree.
VmOps::GuestCallAction SevVm::tio_guest_request(Vcpu& vcpu, Ghcb& ghcb, VcpuExit& exit) {
  const Gpa request{exit.args[4]};
  const Gpa response{exit.args[5]};
  const auto id = ghcb.get(Field::kRcx);
  if (!id || !is_page_aligned(raw(request)) || !is_page_aligned(raw(response)) ||
      request == response)
    return invalid(ghcb);
  std::byte type{};
  const auto page = vm_.mmu().lookup(request, hw::GuestAccess::kRead);
  if (!page) return missing(vcpu, ghcb, request, page.error(), exit);
  if (!host_.psp().memory().read(page->address + kMessageType, {&type, 1}, page->key))
    return invalid(ghcb);
  exit.reason = VcpuExit::Reason::kVendor;
  exit.number = std::to_underlying(SevExit::kTioGuestRequest);
  exit.args[0] = *id & 0xffff'ffffU;
  exit.args[1] = flags_of(std::to_integer<std::uint8_t>(type));
  exit.args[2] = ghcb.get(Field::kRax).value_or(0);
  exit.args[3] = ghcb.get(Field::kRbx).value_or(0);
  exit.registers[2] = ghcb.get(Field::kRdx).value_or(0);
  auto call = host_.psp().trace().call(object::Lane::kGuest, object::Lane::kVmm,
                                       message_name(std::to_integer<std::uint8_t>(type)),
                                       {.vm = vm_.number(), .a = exit.args[0]});
  return GuestCallAction::kExit;
}

VmOps::GuestCallAction SevVm::tio_op(Ghcb&, VcpuExit& exit) {
  exit.reason = VcpuExit::Reason::kVendor;
  exit.number = std::to_underlying(SevExit::kTioOp);
  auto call = host_.psp().trace().call(object::Lane::kGuest, object::Lane::kVmm, "VMGEXIT TIO_OP",
                                       {.detail = action_name(exit.args[1]),
                                        .vm = vm_.number(),
                                        .a = exit.args[0],
                                        .b = exit.args[1]});
  return GuestCallAction::kExit;
}

void SevVm::finish_tio(Ghcb& ghcb, const VcpuExit& exit, const VcpuCompletion& completion) {
  if (exit.number == std::to_underlying(SevExit::kTioOp)) {
    ghcb.set(Field::kExitInfo2, completion.ret);
    ghcb.set(Field::kRcx, completion.values[0]);
    return;
  }
  if (exit.number != std::to_underlying(SevExit::kTioGuestRequest)) return;
  // The upper half is the VMM's word, the lower the firmware's.
  ghcb.set(Field::kExitInfo2, completion.ret << 32U | (completion.values[2] & 0xffff'ffffU));
  ghcb.set(Field::kRbx, completion.values[1]);
  if ((exit.args[1] & kFlagStatus) != 0) ghcb.set(Field::kRdx, completion.values[0]);
}

std::optional<VcpuExit> SevVm::complete_exit(Vcpu& vcpu, const VcpuExit& exit,
                                             const VcpuCompletion& completion) {
  VcpuState& state = state_of(vcpu);
  if (raw(state.ghcb) == 0) {
    // snp_complete_psc_msr()
    constexpr std::uint64_t kPageStateResponse = 0x015;
    const std::uint64_t error = completion.ret != 0 ? std::uint64_t{1} << 32U : 0;
    vcpu.cpu()->set_msr(kMsrGhcb, error | kPageStateResponse);
    return std::nullopt;
  }
  // A guest that has taken its GHCB away gets no answer.
  const auto mapping = vm_.mmu().shared_page(state.ghcb);
  if (!mapping) return std::nullopt;
  auto ghcb = Ghcb::read(host_.psp().memory(), *mapping);
  if (!ghcb) return std::nullopt;
  std::optional<VcpuExit> next;
  switch (exit.reason) {
    case VcpuExit::Reason::kIo:
      if (!exit.write) ghcb->set(Field::kRax, completion.data);
      break;
    case VcpuExit::Reason::kMmio:
      if (!exit.write)
        std::ranges::copy(bytes_of(completion.data).first(exit.size),
                          ghcb->shared_writable(state.scratch, exit.size).begin());
      break;
    case VcpuExit::Reason::kHypercall:
      if (VcpuExit more;
          finish_psc(state, *ghcb, completion.ret == 0, more) == GuestCallAction::kExit)
        next = more;
      break;
    case VcpuExit::Reason::kVendor:
      finish_tio(*ghcb, exit, completion);
      break;
    case VcpuExit::Reason::kUnknown:
    case VcpuExit::Reason::kHalt:
    case VcpuExit::Reason::kShutdown:
    case VcpuExit::Reason::kInterrupted:
    case VcpuExit::Reason::kMemoryFault:
    case VcpuExit::Reason::kInternalError:
    case VcpuExit::Reason::kInterruptWindow:
    case VcpuExit::Reason::kDeliveryFailed:
    case VcpuExit::Reason::kIoapicEoi:
    case VcpuExit::Reason::kDebug:
    case VcpuExit::Reason::kFailEntry:
      return std::nullopt;
  }
  (void)ghcb->write(host_.psp().memory(), *mapping);
  return next;
}

}  // namespace teeio::kvm
