#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/result.h"
#include "host/mm/caller.h"
#include "host/mm/closable_event_fd.h"
#include "host/vfio/eventfd_argument.h"

namespace teeio::vfio {

/// An eventfd whose signal does something (Linux: struct virqfd, drivers/vfio/virqfd.c).
///
/// Lifetime: destroying it returns when its handler runs no more.
/// Locking: the handler runs on a task of its own, without any lock; for a
/// signal that waits already, at once, on the caller's and with its locks.
class Virqfd final {
 public:
  /// vfio_virqfd_enable(). Errors: EBADF, EINVAL as the descriptor is; EMFILE where nobody can
  /// wait for it.
  static Result<std::unique_ptr<Virqfd>> enable(const EventFdArgument& given,
                                                std::function<void()> handler) {
    TEEIO_TRY(given.eventfd);
    std::unique_ptr<Virqfd> made(new Virqfd(*given.eventfd, std::move(handler)));
    if (made->watch_ == nullptr)
      return fail(Errno::kMFile, "no descriptor is left to wait for the eventfd");
    return made;
  }
  /// The program has none of its descriptors any more (virqfd_wakeup(), EPOLLHUP).
  [[nodiscard]] bool closed() const {
    auto* const closable = dynamic_cast<mm::ClosableEventFd*>(event_.get());
    return closable != nullptr && closable->closed();
  }

 private:
  Virqfd(object::Ref<mm::EventFd> event, std::function<void()> handler)
      : event_(std::move(event)), watch_(event_->watch(std::move(handler))) {}
  const object::Ref<mm::EventFd> event_;
  const std::unique_ptr<mm::EventWatch> watch_;
};

}  // namespace teeio::vfio
