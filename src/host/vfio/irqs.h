#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "host/mm/caller.h"
#include "host/vfio/eventfd_argument.h"
#include "host/vfio/intx.h"
#include "hw/interrupts.h"
#include "hw/pci_function.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

// VFIO_PCI_*_IRQ_INDEX
enum class IrqIndex : std::uint32_t { kIntx = 0, kMsi, kMsix, kError, kRequest, kCount };

/// A device's interrupts as VFIO hands them out: INTx, MSI or MSI-X, one of the three at a
/// time, and errors and requests, to eventfds.
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
    std::vector<EventFdArgument> eventfds;  ///< of kEventfd, one an entry
    std::vector<bool> bools;                ///< of kBool, likewise

    /// What the entry at `offset` from `start` asks for by kNone or kBool.
    [[nodiscard]] bool wants(std::uint32_t offset) const {
      return data == Data::kNone || (data == Data::kBool && bools[offset]);
    }
  };

  /// `changed`: allocated() is another now; called with vdev->igate held, not by the
  /// destructor.
  Irqs(hw::PciFunction& function, hw::InterruptRemapping& remapping, schedule::RwMutex& memory_lock,
       std::function<void()> changed)
      : function_(function),
        remapping_(remapping),
        memory_lock_(memory_lock),
        intx_(function, remapping),
        changed_(std::move(changed)) {}
  ~Irqs();

  /// VFIO_DEVICE_GET_IRQ_INFO's count; 0: the device has none of that kind.
  [[nodiscard]] std::uint32_t count(IrqIndex index) const;
  /// How many MSI or MSI-X vectors the driver has: from 0 to the last that ever had an eventfd
  /// since they were turned on.
  [[nodiscard]] std::uint32_t allocated() const { return allocated_.load(); }
  /// Those are MSI's.
  [[nodiscard]] bool allocated_are_msi() const { return allocated_are_msi_.load(); }
  /// VFIO_DEVICE_SET_IRQS. Errors: EINVAL, also for an index while another is on; ENOTTY for
  /// an action that the index does not have; EBADF no such descriptor; EBUSY a second eventfd
  /// that unmasks; ERANGE no vectors at all; ENOSPC.
  Result<void> set(const Request& request) TEEIO_EXCLUDES(igate_);
  /// The program's INTx Disable bit is another now.
  void set_intx_disabled(bool disabled) TEEIO_EXCLUDES(igate_);
  /// For a function that goes to sleep or is woken, with vdev->memory_lock held and, in a bind,
  /// the TSM's locks: without igate, which Linux takes here and PM's core makes exclude nobody.
  /// INTx goes on or off by who keeps the function Awake, so not now. mask_intx() says whether
  /// it was on and not masked.
  [[nodiscard]] bool mask_intx();
  void unmask_intx();
  /// What the program's MSI Message Control may say (vdev->msi_qmax), as a power of two, and
  /// whether it may say that MSI is on. The caller has memory_lock.
  struct MsiLimits {
    std::uint32_t most = 0;
    bool on = false;
  };
  [[nodiscard]] MsiLimits msi_limits() const {
    memory_lock_.assert_held();
    return {.most = msi_most_, .on = msi_.has_value()};
  }
  /// vfio_pci_core_request(): the program is asked to close the device, if it gave an eventfd.
  void request_release() TEEIO_EXCLUDES(igate_);
  /// Everything off, as on the last close.
  void disable_all() TEEIO_EXCLUDES(igate_);
  /// Puts MSI or MSI-X back after a reset, as SET_IRQS left it. The caller has memory_lock.
  /// Source: Linux drivers/pci/msi/msi.c, __pci_restore_msi_state(), __pci_restore_msix_state().
  void restore();

 private:
  /// One vector's way to its eventfd.
  class Vector final : public hw::InterruptHandler {
   public:
    explicit Vector(object::Ref<mm::EventFd> target) : target_(std::move(target)) {}
    void interrupt() override { target_->signal(); }
    hw::InterruptMessage message;  ///< of MSI-X

   private:
    const object::Ref<mm::EventFd> target_;
  };
  /// MSI while it is on: entries of the remapping table that follow each other.
  struct Msi {
    hw::InterruptMessage first;
    std::uint32_t vectors;   ///< reserved: a power of two
    std::uint32_t unmasked;  ///< a bit each
  };

  Result<void> set_intx(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> set_messages(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> set_single(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> set_block(const Request& request) TEEIO_REQUIRES(igate_);
  Result<void> enable_messages(IrqIndex index, std::uint32_t vectors) TEEIO_REQUIRES(igate_);
  void disable_messages() TEEIO_REQUIRES(igate_);
  Result<void> connect_vector(std::uint32_t vector, object::Ref<mm::EventFd> target)
      TEEIO_REQUIRES(igate_);
  void disconnect_vector(std::uint32_t vector) TEEIO_REQUIRES(igate_);
  void set_allocated(std::uint32_t vectors) TEEIO_REQUIRES(igate_);
  void program(std::uint32_t vector, const hw::InterruptMessage& message);
  void unprogram(std::uint32_t vector);
  void write_entry(std::uint32_t vector, const hw::InterruptMessage& message, bool masked);
  void enable_msix(bool enabled);
  void set_control(std::uint32_t bits);
  void unmask_msi(std::uint32_t vector, bool unmasked);
  void write_msi(const Msi& msi);
  void end_msi();

  hw::PciFunction& function_;
  hw::InterruptRemapping& remapping_;
  schedule::RwMutex& memory_lock_;
  bool msix_on_ TEEIO_GUARDED_BY(memory_lock_) = false;
  /// The entries of the device's table that are not masked.
  std::map<std::uint32_t, hw::InterruptMessage> programmed_ TEEIO_GUARDED_BY(memory_lock_);
  std::optional<Msi> msi_ TEEIO_GUARDED_BY(memory_lock_);
  std::uint32_t msi_most_ TEEIO_GUARDED_BY(memory_lock_) = 0;  ///< stays when MSI goes off
  schedule::Mutex igate_{schedule::Rank::kVfioIgate};
  Intx intx_;
  /// kMsi or kMsix; INTx is intx_'s (Linux: vdev->irq_type).
  std::optional<IrqIndex> messages_ TEEIO_GUARDED_BY(igate_);
  std::uint32_t enabled_vectors_ TEEIO_GUARDED_BY(igate_) = 0;
  schedule::Atomic<std::uint32_t> allocated_{0};  ///< as enabled_vectors_
  schedule::Atomic<bool> allocated_are_msi_{false};
  std::function<void()> changed_;  ///< empty in the destructor
  std::map<std::uint32_t, std::unique_ptr<Vector>> vectors_ TEEIO_GUARDED_BY(igate_);
  std::map<IrqIndex, object::Ref<mm::EventFd>> single_ TEEIO_GUARDED_BY(igate_);
};

}  // namespace teeio::vfio
