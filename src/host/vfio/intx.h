#pragma once

#include <memory>

#include "base/result.h"
#include "host/mm/caller.h"
#include "host/vfio/eventfd_argument.h"
#include "host/vfio/virqfd.h"
#include "hw/interrupts.h"
#include "hw/pci_function.h"
#include "schedule/atomic.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

/// A device's INTx: a level that masks itself when it arrives, and is unmasked by the program,
/// which has then looked at the device (PCI 2.3: by the function's Interrupt Disable bit).
/// Source: Linux drivers/vfio/pci/vfio_pci_intrs.c; drivers/vfio/virqfd.c.
///
/// Linux's interrupt handler masks the function under vdev->irqlock. Here it is told with the
/// device's lock held, answers that it masks, and the function does it in the same step; so
/// irqlock is held over mask and unmask alone, and what all three share has a leaf lock. It has
/// the rank of df->kvm_ref_lock, with which it is never held.
///
/// Lifetime: within its Irqs. Locking: called with vdev->igate held; the interrupt comes with
/// a device's lock held, the unmasking eventfd on a task of its own with none.
class Intx final : private hw::IntxHandler {
 public:
  Intx(hw::PciFunction& function, hw::InterruptRemapping& remapping)
      : function_(function), remapping_(remapping) {}
  ~Intx() override = default;
  Intx(const Intx&) = delete;
  Intx& operator=(const Intx&) = delete;

  /// The device has INTx that a program may use: a pin, and it is no VF.
  [[nodiscard]] bool has_pin() const;
  /// vdev->irq_type is INTx.
  [[nodiscard]] bool on() const { return on_.load(); }
  /// vfio_intx_enable(), or vfio_intx_set_signal() if it is on: who is signalled, maybe nobody.
  Result<void> give(object::Ref<mm::EventFd> trigger) TEEIO_EXCLUDES(irqlock_);
  void disable() TEEIO_EXCLUDES(irqlock_);

  /// Whether it was not masked before.
  bool mask() TEEIO_EXCLUDES(irqlock_);
  void unmask() TEEIO_EXCLUDES(irqlock_);
  /// An eventfd whose signal unmasks; negative: none any more. Precondition: on().
  /// Errors: EBADF, EINVAL, EBUSY there is one, EMFILE.
  Result<void> unmask_by(const EventFdArgument& given);
  /// vfio_send_intx_eventfd(): as if the interrupt had come, without masking it.
  void send() TEEIO_EXCLUDES(state_);

  /// vdev->virq_disabled follows the program's INTx Disable bit, and so does the mask.
  void set_disabled(bool disabled) TEEIO_EXCLUDES(irqlock_);
  void forget_disabled() TEEIO_EXCLUDES(state_);

 private:
  bool asserted() override TEEIO_EXCLUDES(state_);
  void enable() TEEIO_EXCLUDES(irqlock_);
  [[nodiscard]] bool may_unmask() TEEIO_EXCLUDES(state_);

  hw::PciFunction& function_;
  hw::InterruptRemapping& remapping_;
  schedule::Atomic<bool> on_{false};  ///< changed with igate held
  std::unique_ptr<Virqfd> unmask_;
  schedule::Mutex irqlock_{schedule::Rank::kVfioKvmRef};
  schedule::Monitor state_{schedule::Rank::kLeaf};
  object::Ref<mm::EventFd> trigger_ TEEIO_GUARDED_BY(state_);
  bool masked_ TEEIO_GUARDED_BY(state_) = false;
  bool disabled_ TEEIO_GUARDED_BY(state_) = false;
};

}  // namespace teeio::vfio
