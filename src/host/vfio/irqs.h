#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "host/mm/caller.h"
#include "hw/interrupts.h"
#include "hw/pci_function.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

// VFIO_PCI_*_IRQ_INDEX
enum class IrqIndex : std::uint32_t { kIntx = 0, kMsi, kMsix, kError, kRequest, kCount };

/// A device's interrupts as VFIO hands them out: MSI-X vectors to eventfds.
/// Source: Linux drivers/vfio/pci/vfio_pci_intrs.c.
///
/// Lifetime: within its Device. Locking: vdev->igate; vdev->memory_lock while the
/// device's registers are written.
class Irqs {
 public:
  enum class Data : std::uint8_t { kNone, kBool, kEventfd };
  enum class Action : std::uint8_t { kMask, kUnmask, kTrigger };
  struct Request {
    IrqIndex index;
    std::uint32_t start, count;
    Data data;
    Action action;
    /// kEventfd: one an entry, null for -1; kBool: bools.
    std::vector<object::Ref<mm::EventFd>> eventfds;
    std::vector<bool> bools;
  };

  /// `changed`: allocated() is another now; called with vdev->igate held, not by the
  /// destructor.
  Irqs(hw::PciFunction& function, hw::InterruptRemapping& remapping, schedule::RwMutex& memory_lock,
       std::function<void()> changed)
      : function_(function),
        remapping_(remapping),
        memory_lock_(memory_lock),
        changed_(std::move(changed)) {}
  ~Irqs();

  /// VFIO_DEVICE_GET_IRQ_INFO's count; 0: the device has none of that kind.
  [[nodiscard]] std::uint32_t count(IrqIndex index) const;
  /// How many MSI-X vectors the driver has: from 0 to the last that ever had an eventfd since
  /// MSI-X was turned on.
  [[nodiscard]] std::uint32_t allocated() const { return allocated_.load(); }
  /// VFIO_DEVICE_SET_IRQS. Errors: EINVAL; ENOTTY for an action that the index
  /// does not have; ENOSPC.
  Result<void> set(const Request& request) TEEIO_EXCLUDES(igate_);
  /// What a SET_IRQS leaves of the vectors [start, start + count) when one of its
  /// eventfds is none: nothing, or all as it was if MSI-X is not enabled yet
  /// (vfio_msi_set_block(), vfio_pci_set_msi_trigger()).
  void drop_block(std::uint32_t start, std::uint32_t count) TEEIO_EXCLUDES(igate_);
  /// Everything off, as on the last close.
  void disable_all() TEEIO_EXCLUDES(igate_);
  /// Puts MSI-X back after a reset, as SET_IRQS left it. The caller has memory_lock.
  /// Source: Linux drivers/pci/msi/msi.c, __pci_restore_msix_state().
  void restore();

 private:
  /// One vector's way to its eventfd.
  class Vector final : public hw::InterruptHandler {
   public:
    explicit Vector(object::Ref<mm::EventFd> target) : target_(std::move(target)) {}
    void interrupt() override { target_->signal(); }
    hw::InterruptMessage message;

   private:
    const object::Ref<mm::EventFd> target_;
  };

  Result<void> set_msix(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> set_single(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> enable_vectors(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> connect_vector(std::uint32_t vector, object::Ref<mm::EventFd> target)
      TEEIO_REQUIRES(igate_);
  void disconnect_vector(std::uint32_t vector) TEEIO_REQUIRES(igate_);
  void disable_msix() TEEIO_REQUIRES(igate_);
  void set_allocated(std::uint32_t vectors) TEEIO_REQUIRES(igate_);
  void program(std::uint32_t vector, const hw::InterruptMessage& message);
  void unprogram(std::uint32_t vector);
  void write_entry(std::uint32_t vector, const hw::InterruptMessage& message, bool masked);
  void enable_msix(bool enabled);
  void set_control(std::uint32_t bits);

  hw::PciFunction& function_;
  hw::InterruptRemapping& remapping_;
  schedule::RwMutex& memory_lock_;
  bool msix_on_ TEEIO_GUARDED_BY(memory_lock_) = false;
  /// The entries of the device's table that are not masked.
  std::map<std::uint32_t, hw::InterruptMessage> programmed_ TEEIO_GUARDED_BY(memory_lock_);
  schedule::Mutex igate_{schedule::Rank::kVfioIgate};
  std::uint32_t enabled_vectors_ TEEIO_GUARDED_BY(igate_) = 0;
  schedule::Atomic<std::uint32_t> allocated_{0};  ///< as enabled_vectors_
  std::function<void()> changed_;                 ///< empty in the destructor
  std::map<std::uint32_t, std::unique_ptr<Vector>> vectors_ TEEIO_GUARDED_BY(igate_);
  std::map<IrqIndex, object::Ref<mm::EventFd>> single_ TEEIO_GUARDED_BY(igate_);
};

}  // namespace teeio::vfio
