#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"

// Linux virt/kvm/eventfd.c, kvm_irqfd() and kvm_ioeventfd().

namespace teeio::entry {
namespace {}  // namespace

Result<std::int64_t> ioctl_irqfd(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_irqfd>(call.memory(), call.argument));
  constexpr std::uint32_t kKnown = KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE;
  if ((arg.flags & ~kKnown) != 0) return fail(Errno::kInval, "an unknown flag of KVM_IRQFD is set");
  const kvm::IrqFdRequest request{.fd = static_cast<std::int32_t>(arg.fd),
                                  .gsi = arg.gsi,
                                  .resample = (arg.flags & KVM_IRQFD_FLAG_RESAMPLE) != 0,
                                  .resample_fd = static_cast<std::int32_t>(arg.resamplefd)};
  const bool deassigns = (arg.flags & KVM_IRQFD_FLAG_DEASSIGN) != 0;
  kvm::IrqFds& fds = vm_of(call).irq_fds();
  TEEIO_TRY(deassigns ? fds.deassign(call.caller, request) : fds.assign(call.caller, request));
  return 0;
}

Result<std::int64_t> ioctl_ioeventfd(Call& call) {
  using Bus = kvm::IoEventFdRequest::Bus;
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_ioeventfd>(call.memory(), call.argument));
  // kvm_ioeventfd_flag_nr_fast_mmio: KVM's own, but nothing refuses it of a program.
  constexpr std::uint32_t kFastMmio = 1U << 4U;
  constexpr std::uint32_t kKnown = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO |
                                   KVM_IOEVENTFD_FLAG_DEASSIGN |
                                   KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY | kFastMmio;
  const bool deassign = (arg.flags & KVM_IOEVENTFD_FLAG_DEASSIGN) != 0;
  if (!deassign && (arg.flags & ~kKnown) != 0)
    return fail(Errno::kInval, "an unknown flag of KVM_IOEVENTFD is set");
  kvm::IoEventFdRequest request{.address = arg.addr,
                                .length = arg.len,
                                .fd = arg.fd,
                                .match = (arg.flags & KVM_IOEVENTFD_FLAG_DATAMATCH) != 0,
                                .value = arg.datamatch};
  if ((arg.flags & KVM_IOEVENTFD_FLAG_PIO) != 0)
    request.bus = Bus::kPort;
  else if ((arg.flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY) != 0)
    request.bus = Bus::kCcw;
  kvm::IoEventFds& fds = vm_of(call).io_event_fds();
  TEEIO_TRY(deassign ? fds.deassign(call.caller, request) : fds.assign(call.caller, request));
  return 0;
}

}  // namespace teeio::entry
