#pragma once

#include "host/mm/caller.h"

namespace teeio::mm {

/// An eventfd of which we see that the program has closed it, although we hold it open.
class ClosableEventFd : public EventFd {
 public:
  /// Whether its last descriptor is closed (Linux: EPOLLHUP of eventfd_release(), fs/eventfd.c).
  [[nodiscard]] virtual bool closed() = 0;
};

}  // namespace teeio::mm
