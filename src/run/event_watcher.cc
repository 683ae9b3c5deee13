#include "run/event_watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "schedule/try_spawn.h"

namespace teeio::run {
namespace {

bool wait_for(const Fd& events, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  return ::epoll_ctl(events.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

bool EventWatcher::start() {
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  events_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (wait_for(events_, stop_.get())) task_ = schedule::try_spawn("eventfds", [this] { run(); });
  if (!task_) end();
  return task_.has_value();
}

void EventWatcher::end() {
  if (task_) {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof(one));
    task_->join();
    task_.reset();
  }
  stop_.reset();
  events_.reset();
}

bool EventWatcher::add(int fd, std::function<void()> look) {
  const schedule::Lock alone(life_);
  if (!task_ && !start()) return false;
  {
    const schedule::Lock lock(mutex_);
    looks_.emplace(fd, std::move(look));
  }
  if (wait_for(events_, fd)) return true;
  bool last = false;
  {
    const schedule::Lock lock(mutex_);
    looks_.erase(fd);
    last = looks_.empty();
  }
  if (last) end();
  return false;
}

void EventWatcher::remove(int fd) {
  const schedule::Lock alone(life_);
  (void)::epoll_ctl(events_.get(), EPOLL_CTL_DEL, fd, nullptr);
  bool last = false;
  {
    const schedule::Lock lock(mutex_);
    while (running_ == fd) idle_.wait(mutex_);
    looks_.erase(fd);
    last = looks_.empty();
  }
  if (last) end();
}

/// nullptr: it was removed since it was seen readable.
const std::function<void()>* EventWatcher::begin_look(int fd) {
  const schedule::Lock lock(mutex_);
  const auto at = looks_.find(fd);
  if (at == looks_.end()) return nullptr;
  running_ = fd;
  return &at->second;
}

void EventWatcher::end_look() {
  const schedule::Lock lock(mutex_);
  running_ = -1;
  idle_.notify_all();
}

void EventWatcher::run() {
  for (;;) {
    epoll_event event{};
    const int ready = ::epoll_wait(events_.get(), &event, 1, -1);
    if (ready < 0 && errno != EINTR) return;
    if (ready != 1) continue;
    if (event.data.fd == stop_.get()) return;
    const auto* const look = begin_look(event.data.fd);
    if (look == nullptr) continue;
    (*look)();
    end_look();
  }
}

EventWatcher& event_watcher() {
  static auto* const watcher = new EventWatcher;  // a thread may need it to the very end
  return *watcher;
}

}  // namespace teeio::run
