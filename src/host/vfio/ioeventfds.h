#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/result.h"
#include "host/vfio/eventfd_argument.h"
#include "host/vfio/virqfd.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

/// A device's eventfds that write to its BARs when they are signalled (VFIO_DEVICE_IOEVENTFD).
/// Source: Linux drivers/vfio/pci/vfio_pci_rdwr.c, vfio_pci_ioeventfd().
///
/// Lifetime: within its Device. Locking: vdev->ioeventfds_lock; not held while one writes, but
/// for the signal that an eventfd has when it is watched.
class IoEventFds {
 public:
  static constexpr std::size_t kMost = 1000;  // VFIO_PCI_IOEVENTFD_MAX

  struct Write {
    std::uint32_t bar;
    std::uint64_t at;
    std::uint64_t data;
    std::uint32_t size;  ///< 1, 2, 4 or 8
    auto operator<=>(const Write&) const = default;
  };
  /// `carry_out`: as Virqfd's handler.
  explicit IoEventFds(std::function<void(const Write&)> carry_out)
      : carry_out_(std::move(carry_out)) {}

  /// From now on a signal of `given` writes; a descriptor of -1 ends that. What a program has
  /// closed stays in its place, and writes no more. Precondition: the place can be written.
  /// Errors: EEXIST; ENODEV -1 and there is none; ENOSPC; EBADF, EINVAL as the descriptor is;
  /// EMFILE where nobody can wait for it.
  Result<void> set(const Write& write, const EventFdArgument& given) TEEIO_EXCLUDES(lock_);
  /// As on the last close. Returns when none writes any more.
  void clear() TEEIO_EXCLUDES(lock_);

 private:
  const std::function<void(const Write&)> carry_out_;
  schedule::Mutex lock_{schedule::Rank::kVfioIgate};  // with which it is never held
  std::map<Write, std::unique_ptr<Virqfd>> all_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::vfio
