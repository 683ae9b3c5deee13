#include "run/event_watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "schedule/try_spawn.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kStop = 0;  // no watch has this number

bool put_in(const Fd& epoll, const Fd& fd, std::uint32_t events, std::uint64_t number) {
  epoll_event event{.events = events, .data = {.u64 = number}};
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0;
}

}  // namespace

class EventWatcher::Watch final : public mm::EventWatch {
 public:
  Watch(object::Ref<mm::EventFd> event, const Fd& fd, std::function<void()> signalled)
      : event_(std::move(event)),
        signals_(::epoll_create1(EPOLL_CLOEXEC)),
        signalled_(std::move(signalled)) {
    if (!put_in(signals_, fd, EPOLLIN | EPOLLET, kStop)) return;
    watcher_ = EventWatcher::get();
    if (!watcher_) return;
    const bool waits_already = take_signal();
    if (!watcher_->add(*this)) watcher_.reset();
    if (watcher_ && waits_already) signalled_();
  }
  ~Watch() override {
    if (watcher_) watcher_->remove(*this);
  }
  [[nodiscard]] bool ok() const { return watcher_ != nullptr; }

  std::uint64_t number = 0;  ///< the watcher's
  [[nodiscard]] const Fd& signals() const { return signals_; }
  void tell() {
    if (!take_signal()) return;
    (void)event_->take();
    signalled_();
  }

 private:
  /// Whether it was signalled since the last time.
  [[nodiscard]] bool take_signal() const {
    epoll_event one{};
    return ::epoll_wait(signals_.get(), &one, 1, 0) == 1;
  }

  const object::Ref<mm::EventFd> event_;
  const Fd signals_;
  const std::function<void()> signalled_;
  std::shared_ptr<EventWatcher> watcher_;
};

EventWatcher::EventWatcher()
    : stop_(::eventfd(0, EFD_CLOEXEC)), events_(::epoll_create1(EPOLL_CLOEXEC)) {}

std::shared_ptr<EventWatcher> EventWatcher::get() {
  static schedule::Mutex lock{schedule::Rank::kWaitQueue};
  static std::weak_ptr<EventWatcher> known;
  const schedule::Lock held(lock);
  if (auto watcher = known.lock()) return watcher;
  std::shared_ptr<EventWatcher> watcher(new EventWatcher);
  if (!watcher->start()) return nullptr;
  known = watcher;
  return watcher;
}

bool EventWatcher::start() {
  if (!put_in(events_, stop_, EPOLLIN, kStop)) return false;
  task_ = schedule::try_spawn("eventfd watch", [this] { run(); });
  return task_.has_value();
}

EventWatcher::~EventWatcher() {
  if (!task_) return;
  const std::uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof(one));
  task_->join();
}

std::unique_ptr<mm::EventWatch> EventWatcher::watch(object::Ref<mm::EventFd> owner, const Fd& fd,
                                                    std::function<void()> signalled) {
  auto watch = std::make_unique<Watch>(std::move(owner), fd, std::move(signalled));
  if (!watch->ok()) return nullptr;
  return watch;
}

bool EventWatcher::add(Watch& watch) {
  const schedule::Lock lock(mutex_);
  watch.number = ++last_number_;
  watches_.emplace(watch.number, &watch);
  if (put_in(events_, watch.signals(), EPOLLIN, watch.number)) return true;
  watches_.erase(watch.number);
  return false;
}

void EventWatcher::remove(Watch& watch) {
  const schedule::Lock lock(mutex_);
  (void)::epoll_ctl(events_.get(), EPOLL_CTL_DEL, watch.signals().get(), nullptr);
  watches_.erase(watch.number);
  while (in_hand_ == watch.number) told_.wait(mutex_);
}

void EventWatcher::run() {
  for (;;) {
    std::array<epoll_event, 16> ready;
    const int count = ::epoll_wait(events_.get(), ready.data(), ready.size(), -1);
    if (count < 0 && errno != EINTR) return;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t number = ready.at(static_cast<std::size_t>(i)).data.u64;
      if (number == kStop) return;
      tell(number);
    }
  }
}

void EventWatcher::tell(std::uint64_t number) {
  Watch* watch = nullptr;
  {
    const schedule::Lock lock(mutex_);
    const auto at = watches_.find(number);
    if (at == watches_.end()) return;
    watch = at->second;
    in_hand_ = number;
  }
  watch->tell();
  const schedule::Lock lock(mutex_);
  in_hand_ = 0;
  told_.notify_all();
}

}  // namespace teeio::run
