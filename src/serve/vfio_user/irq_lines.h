#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "hw/pci_function.h"
#include "schedule/mutex.h"
#include "serve/vfio_user/protocol.h"

namespace teeio::vfio_user {

/// A function's interrupts as VFIO numbers them, each an eventfd of the client.
///
/// As Linux's vfio-pci does (drivers/vfio/pci/vfio_pci_intrs.c), MSI-X's table and control
/// are ours: a vector that gets an eventfd is unmasked, one that loses it is masked, and
/// MSI-X is on from the first SET_IRQS with eventfd data, even if it brings no descriptor, to the
/// one that turns the index off. What the device sends is the vector's number, so that its
/// message says whom to tell. MSI likewise, with as many vectors as that SET_IRQS had. INTx
/// masks itself when it is signalled, here: the function's Interrupt Disable is the client's.
/// One of the three is on at a time.
///
/// Lifetime: the function's. Locking: set(), rearm() and drop_all(): the session's task;
/// message() from any, with a device's lock held: a leaf lock for the descriptors.
class IrqLines {
 public:
  static constexpr std::uint32_t kIntx = 0;
  static constexpr std::uint32_t kMsi = 1;
  static constexpr std::uint32_t kMsix = 2;
  static constexpr std::uint32_t kError = 3;
  static constexpr std::uint32_t kRequest = 4;

  explicit IrqLines(hw::PciFunction& function);

  struct Info {
    std::uint32_t flags = 0;
    std::uint32_t count = 0;
  };
  /// Precondition: index < kIrqIndices.
  [[nodiscard]] Info info(std::uint32_t index) const;

  /// SET_IRQS. Errors: EINVAL, ENOTTY as Linux's VFIO_DEVICE_SET_IRQS.
  Result<void> set(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);

  /// The function sent a message.
  void message(std::uint64_t address, std::uint32_t data) TEEIO_EXCLUDES(lock_);
  /// The function's pin is another now.
  void intx(bool asserted) TEEIO_EXCLUDES(lock_);
  /// The function was reset: its table is as the descriptors are again.
  void rearm() TEEIO_EXCLUDES(lock_);
  /// The client is asked to let go of the device.
  void request_release() TEEIO_EXCLUDES(lock_);
  /// The client is gone.
  void drop_all() TEEIO_EXCLUDES(lock_);

  /// Where MSI-X is; nullopt: the function has none.
  struct Msix {
    std::uint16_t capability = 0;
    std::uint16_t vectors = 0;
    std::size_t bar = 0;
    std::uint64_t table = 0;  ///< in its BAR
    [[nodiscard]] std::uint64_t table_bytes() const { return std::uint64_t{vectors} * 16; }
  };
  [[nodiscard]] const std::optional<Msix>& msix() const { return msix_; }
  /// Likewise MSI; its registers up to the masks are SET_IRQS's.
  struct Msi {
    std::uint16_t capability = 0;
    std::uint32_t vectors = 0;
    std::uint16_t bytes = 0;  ///< of the registers that are virtual, header included
  };
  [[nodiscard]] const std::optional<Msi>& msi() const { return msi_; }

 private:
  Result<void> set_messages(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  Result<void> set_intx(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  Result<void> mask_intx(const IrqSet& request, bool masked) TEEIO_EXCLUDES(lock_);
  Result<void> set_single(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  Result<void> give(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  void disable() TEEIO_EXCLUDES(lock_);
  void switch_on(std::uint32_t index, std::uint32_t vectors);
  void program_msi(std::uint32_t vectors) TEEIO_EXCLUDES(lock_);
  void program(std::uint32_t vector, bool masked);
  void switch_msix(bool on);
  template <class Step>
  void with_memory(Step step);

  hw::PciFunction& function_;
  const std::optional<Msix> msix_;
  const std::optional<Msi> msi_;
  const bool pin_;
  std::optional<std::uint32_t> on_;  ///< kIntx, kMsi or kMsix; the session's task alone
  std::uint32_t msi_on_ = 0;         ///< vectors of MSI while it is on; likewise
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  bool level_ TEEIO_GUARDED_BY(lock_) = false;   ///< of the pin
  bool masked_ TEEIO_GUARDED_BY(lock_) = false;  ///< INTx
  std::vector<Fd> vectors_ TEEIO_GUARDED_BY(lock_);
  Fd error_ TEEIO_GUARDED_BY(lock_);
  Fd request_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::vfio_user
