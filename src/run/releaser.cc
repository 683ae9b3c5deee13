#include "run/releaser.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>

#include "object/trace.h"

namespace teeio::run {
namespace {

// Tags of what the epoll set watches.
constexpr std::uint64_t kNews = 1;    // inotify
constexpr std::uint64_t kDeaths = 2;  // the pidfds of Tasks, an epoll set of their own
constexpr std::uint64_t kWake = 3;

void watch(const Fd& epoll, int fd, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  (void)::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

Releaser::Releaser(DeviceFiles& files, Tasks& tasks, CallsInProgress& calls,
                   std::function<void(const std::string&)> after)
    : files_(files),
      tasks_(tasks),
      calls_(calls),
      after_(std::move(after)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  watch(epoll_, files_.inotify_fd(), kNews);
  watch(epoll_, tasks_.epoll_fd(), kDeaths);
  watch(epoll_, wake_.get(), kWake);
}

Releaser::Ticket Releaser::drain() {
  const schedule::Lock lock(mutex_);
  std::array<epoll_event, 3> ready;
  const int count = ::epoll_wait(epoll_.get(), ready.data(), ready.size(), 0);
  const Ticket before = queued_;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = ready.at(static_cast<std::size_t>(i)).data.u64;
    if (tag == kNews)
      for (DeviceFileRef& file : files_.drain()) {
        queue_.push_back(std::move(file));
        ++queued_;
      }
    std::array<epoll_event, 16> dead;
    if (tag != kDeaths) continue;
    const int deaths = ::epoll_wait(tasks_.epoll_fd(), dead.data(), dead.size(), 0);
    for (int d = 0; d < deaths; ++d)
      tasks_.reap(static_cast<pid_t>(dead.at(static_cast<std::size_t>(d)).data.u64));
  }
  if (queued_ != before) wake();
  return queued_;
}

void Releaser::wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

void Releaser::wait(Ticket ticket) {
  const schedule::Lock lock(mutex_);
  while (done_ < ticket) progress_.wait(mutex_);
}

DeviceFileRef Releaser::next() {
  const schedule::Lock lock(mutex_);
  if (queue_.empty()) return nullptr;
  DeviceFileRef file = std::move(queue_.front());
  queue_.pop_front();
  return file;
}

void Releaser::release(DeviceFileRef file) {
  calls_.wait_for_dead_callers();
  const std::string name = file->name;
  {
    const object::OriginScope origin(
        {.pid = file->opener, .tid = 0, .fd = -1, .call = "the last close"});
    const object::DelayedPuts scope;
    file.reset();
  }
  after_(name);
  const schedule::Lock lock(mutex_);
  ++done_;
  progress_.notify_all();
}

void Releaser::run() {
  for (;;) {
    (void)drain();
    while (DeviceFileRef file = next()) release(std::move(file));
    {
      const schedule::Lock lock(mutex_);
      if (stopping_ && queue_.empty()) return;
    }
    epoll_event ready;
    (void)::epoll_wait(epoll_.get(), &ready, 1, -1);
    std::uint64_t wakeups = 0;
    (void)!::read(wake_.get(), &wakeups, sizeof(wakeups));
  }
}

void Releaser::stop() {
  const schedule::Lock lock(mutex_);
  stopping_ = true;
  wake();
}

void Releaser::take_rest() {
  (void)drain();  // what was closed goes before what is open, in the order of its closes
  const schedule::Lock lock(mutex_);
  for (DeviceFileRef& file : files_.take_all()) {
    queue_.push_back(std::move(file));
    ++queued_;
  }
  wake();
}

void Releaser::release_all() {
  for (DeviceFileRef& file : files_.take_all()) {
    {
      const schedule::Lock lock(mutex_);
      ++queued_;
    }
    release(std::move(file));
  }
}

}  // namespace teeio::run
