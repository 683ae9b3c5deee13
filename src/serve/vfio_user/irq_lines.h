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
/// message says whom to tell.
///
/// Lifetime: the function's. Locking: set(), rearm() and drop_all(): the session's task;
/// message() from any, with a device's lock held: a leaf lock for the descriptors.
class IrqLines {
 public:
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

 private:
  Result<void> set_msix(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  Result<void> set_single(const IrqSet& request, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  void give(std::uint32_t first, std::uint32_t count, std::vector<Fd> fds) TEEIO_EXCLUDES(lock_);
  void disable_msix() TEEIO_EXCLUDES(lock_);
  void program(std::uint32_t vector, bool masked);
  void switch_msix(bool on);
  template <class Step>
  void with_memory(Step step);

  hw::PciFunction& function_;
  const std::optional<Msix> msix_;
  bool msix_on_ = false;  ///< the session's task alone
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::vector<Fd> vectors_ TEEIO_GUARDED_BY(lock_);
  Fd error_ TEEIO_GUARDED_BY(lock_);
  Fd request_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::vfio_user
