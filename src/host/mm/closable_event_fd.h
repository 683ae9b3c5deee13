#pragma once

#include "host/mm/caller.h"

namespace teeio::mm {

/// An eventfd that VFIO can wait for as for the kernel's own (Linux: drivers/vfio/virqfd.c),
/// although we hold it open.
class ClosableEventFd : public EventFd {
 public:
  /// Whether its last descriptor is closed (Linux: EPOLLHUP of eventfd_release(), fs/eventfd.c).
  [[nodiscard]] virtual bool closed() = 0;
  /// As EventFd has it, but for one that waits already: it is told once by watch() itself, with
  /// the caller's locks held, and the count stays (vfio_virqfd_enable()). Null: no descriptor
  /// is left for it.
  [[nodiscard]] std::unique_ptr<EventWatch> watch(std::function<void()> signalled) override = 0;
};

}  // namespace teeio::mm
