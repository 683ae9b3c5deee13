#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "base/result.h"
#include "host/kvm/x86/interrupts.h"
#include "host/mm/caller.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm {

/// struct kvm_irqfd, as values.
struct IrqFdRequest {
  std::int32_t fd = -1;
  std::uint32_t gsi = 0;
  bool resample = false;  ///< KVM_IRQFD_FLAG_RESAMPLE: `resample_fd` counts
  std::int32_t resample_fd = -1;
};

/// Eventfds that have a line: one each, whichever VM's of the machine, for KVM is the first and
/// only waiter that takes what is signalled (kvm_irqfd_register()).
/// Lifetime: one a machine, outlives its VMs. Locking: its own, no scheduling point.
class TakenEventFds {
 public:
  /// False: it has one.
  [[nodiscard]] bool take(const mm::EventFd& event);
  void give_back(const mm::EventFd& event);

 private:
  const schedule::Turn turn_{"eventfds with a line"};
  schedule::RawLock lock_;
  std::set<std::uint64_t> taken_ TEEIO_GUARDED_BY(lock_);
};

/// Eventfds that raise interrupts of one VM (KVM_IRQFD). Source: Linux virt/kvm/eventfd.c.
///
/// Linux is told when the program signals one. Here they are looked at in poll(): before each
/// ioctl of the VM and its vCPUs, and before each entry of the guest. What a program can see
/// of it is an interrupt, so it makes no difference, but for its own read of an eventfd that
/// it signalled.
/// Locking: its own two. Who reads eventfds and who gives one back exclude each other (Linux:
/// irqfd_shutdown() has flushed what is under way), or the reader would take what is signalled
/// for the eventfd's next VM.
class IrqFds {
 public:
  IrqFds(x86::Interrupts& interrupts, TakenEventFds& taken)
      : interrupts_(interrupts), taken_(taken) {}
  IrqFds(const IrqFds&) = delete;
  IrqFds& operator=(const IrqFds&) = delete;
  ~IrqFds();

  /// Errors: EINVAL without the irqchip that it needs (the full one to resample), or no
  /// eventfd; EBADF; EBUSY when the eventfd has a line already, of this VM or another.
  Result<void> assign(mm::Caller& caller, const IrqFdRequest& request);
  /// Of a line and eventfd that are not assigned, nothing. Errors: EBADF, EINVAL.
  Result<void> deassign(mm::Caller& caller, const IrqFdRequest& request);
  void poll() TEEIO_EXCLUDES(polling_);
  /// The guest has ended the interrupt of a resampled line (irqfd_resampler_notify()).
  void acknowledged(std::uint32_t gsi);
  /// The VM's file is closed: none is left, though vCPUs and guest_memfds keep the VM
  /// (kvm_vm_release(), kvm_irqfd_release()).
  void release();

 private:
  struct Entry {
    object::Ref<mm::EventFd> event;
    std::uint32_t gsi;
    object::Ref<mm::EventFd> resample;  ///< signalled at the guest's EOI; null: an edge each
  };
  void look() TEEIO_REQUIRES(polling_);
  void shut_down(const std::vector<Entry>& gone) TEEIO_REQUIRES(polling_);

  x86::Interrupts& interrupts_;
  TakenEventFds& taken_;
  schedule::Mutex polling_{schedule::Rank::kLeaf};
  const schedule::Turn turn_{"irqfds"};
  schedule::RawLock lock_;
  std::vector<Entry> entries_ TEEIO_GUARDED_BY(lock_);
};

/// struct kvm_ioeventfd, as values.
struct IoEventFdRequest {
  enum class Bus : std::uint8_t { kMmio, kPort, kCcw } bus = Bus::kMmio;
  std::uint64_t address = 0;
  std::uint32_t length = 0;  ///< bytes; 0: any
  std::int32_t fd = -1;
  bool match = false;  ///< `value` must be what is written
  std::uint64_t value = 0;
};

/// Eventfds that a guest's store signals instead of an exit (KVM_IOEVENTFD), until the VM goes:
/// kvm_destroy_vm(), kvm_io_bus_destroy().
/// Source: Linux virt/kvm/eventfd.c.
/// Locking: as IrqFds.
class IoEventFds {
 public:
  /// Errors: EINVAL for a length or range that cannot be; EBADF; EEXIST; ENOSPC.
  Result<void> assign(mm::Caller& caller, const IoEventFdRequest& request);
  /// Errors: ENOENT, EBADF, EINVAL.
  Result<void> deassign(mm::Caller& caller, const IoEventFdRequest& request);
  /// A guest's store: whether an eventfd took it.
  bool written(IoEventFdRequest::Bus bus, std::uint64_t address, std::uint32_t length,
               std::uint64_t value);

 private:
  struct Entry {
    IoEventFdRequest what;
    object::Ref<mm::EventFd> event;
  };
  const schedule::Turn turn_{"ioeventfds"};
  schedule::RawLock lock_;
  std::vector<Entry> entries_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::kvm
