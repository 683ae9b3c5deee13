#include "host/mm/plain_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "host/mm/closable_event_fd.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"
#include "schedule/task.h"

namespace teeio::mm {
namespace {

std::unexpected<Error> no_eventfd() { return fail(Errno::kInval, "the file is no eventfd"); }
std::unexpected<Error> no_memfd() { return fail(Errno::kInval, "the file is no memfd"); }

}  // namespace

class PlainEventFd::Counter final : public ClosableEventFd {
 public:
  void signal() override {
    turn_.take(0, schedule::Touch::How::kUpdate);
    if (add_one()) schedule::after_section(&Counter::tell_it, this);
  }
  std::uint64_t take() override {
    turn_.take(0, schedule::Touch::How::kWrite);
    const schedule::RawLockGuard guard(raw_);
    return std::exchange(count_, 0);
  }
  [[nodiscard]] std::unique_ptr<EventWatch> watch(std::function<void()> signalled) override;
  [[nodiscard]] std::uint64_t identity() const override {
    return reinterpret_cast<std::uintptr_t>(this);
  }
  [[nodiscard]] bool closed() override {
    turn_.take(0, schedule::Touch::How::kRead);
    const schedule::RawLockGuard guard(raw_);
    return closed_;
  }
  /// The program's last descriptor. Nobody asks who has not watched.
  void close() {
    if (is_watched()) turn_.take(0, schedule::Touch::How::kWrite);
    const schedule::RawLockGuard guard(raw_);
    closed_ = true;
  }

 private:
  class Watch;
  /// Gives whether somebody watches.
  [[nodiscard]] bool add_one() {
    const schedule::RawLockGuard guard(raw_);
    ++count_;
    ++signals_;
    return watched_;
  }
  [[nodiscard]] bool is_watched() const {
    const schedule::RawLockGuard guard(raw_);
    return watched_;
  }
  struct Seen {
    std::uint64_t signals = 0;
    bool waits = false;  ///< somebody may read
  };
  Seen begin_watch() {
    turn_.take(0, schedule::Touch::How::kRead);
    const schedule::RawLockGuard guard(raw_);
    watched_ = true;
    return {signals_, count_ != 0};
  }
  [[nodiscard]] std::uint64_t signals() const {
    turn_.take(0, schedule::Touch::How::kRead);
    const schedule::RawLockGuard guard(raw_);
    return signals_;
  }
  static void tell_it(void* counter) { static_cast<Counter*>(counter)->tell(); }
  void tell() TEEIO_EXCLUDES(mutex_) {
    const schedule::Lock lock(mutex_);
    told_.notify_all();
  }

  // A device signals in the middle of a section of its own: no schedule::Atomic.
  const schedule::Turn turn_{"eventfd"};
  mutable schedule::RawLock raw_;  // so that nobody's eventfd is no meeting of tasks
  std::uint64_t count_ TEEIO_GUARDED_BY(raw_) = 0;
  std::uint64_t signals_ TEEIO_GUARDED_BY(raw_) = 0;
  bool watched_ TEEIO_GUARDED_BY(raw_) = false;
  bool closed_ TEEIO_GUARDED_BY(raw_) = false;
  schedule::Mutex mutex_{schedule::Rank::kWaitQueue};
  schedule::Condition told_;
};

class PlainEventFd::Counter::Watch final : public EventWatch {
 public:
  Watch(object::Ref<Counter> counter, std::function<void()> signalled)
      : counter_(std::move(counter)), signalled_(std::move(signalled)) {
    const Seen seen = counter_->begin_watch();
    seen_ = seen.signals;
    if (seen.waits) signalled_();
    task_.emplace(schedule::Task::spawn("eventfd watch", [this] { run(); }));
  }
  ~Watch() override {
    stopped_.store(true);
    counter_->tell();
    task_->join();
  }

 private:
  void run() {
    for (;;) {
      {
        const schedule::Lock lock(counter_->mutex_);
        counter_->told_.wait(counter_->mutex_,
                             [this] { return stopped_.load() || counter_->signals() != seen_; });
      }
      if (stopped_.load()) return;
      seen_ = counter_->signals();
      (void)counter_->take();
      signalled_();
    }
  }

  const object::Ref<Counter> counter_;
  const std::function<void()> signalled_;
  std::uint64_t seen_ = 0;  ///< the task's, once it runs
  schedule::Atomic<bool> stopped_{false};
  std::optional<schedule::Task> task_;
};

std::unique_ptr<EventWatch> PlainEventFd::Counter::watch(std::function<void()> signalled) {
  return std::make_unique<Watch>(object::Ref<Counter>::share(*this), std::move(signalled));
}

PlainEventFd::PlainEventFd() : counter_(object::make_ref<Counter>()) {}
PlainEventFd::~PlainEventFd() { counter_->close(); }

std::uint64_t PlainEventFd::take() { return counter_->take(); }
Result<object::Ref<EventFd>> PlainEventFd::eventfd() { return counter_; }
Result<object::Ref<Pages>> PlainEventFd::memfd_pages(std::uint64_t, std::uint64_t, Access) {
  return no_memfd();
}

PlainMemfd::PlainMemfd(std::uint64_t size_bytes, Access access)
    : pages_(PlainPages::create(size_bytes)), access_(access) {}

Result<object::Ref<EventFd>> PlainMemfd::eventfd() { return no_eventfd(); }

Result<object::Ref<Pages>> PlainMemfd::memfd_pages(std::uint64_t start, std::uint64_t length,
                                                   Access access) {
  const std::uint64_t size = pages_->size_bytes();
  if (start > size || length > size - start)
    return fail(Errno::kInval, "range lies outside the memfd");
  if (access == Access::kReadWrite && access_ == Access::kRead)
    return fail(Errno::kAcces, "the memfd is not open for writing");
  return PlainPages::part_of(*pages_, start, length);
}

Result<object::Ref<EventFd>> PlainOtherFile::eventfd() { return no_eventfd(); }
Result<object::Ref<Pages>> PlainOtherFile::memfd_pages(std::uint64_t, std::uint64_t, Access) {
  return no_memfd();
}

Result<std::span<std::byte>> PlainMappedFile::expose(std::uint64_t offset, std::uint64_t size) {
  auto [at, is_new] = windows_.try_emplace(offset, Window{{}, true});
  if (is_new) at->second.pages = PlainPages::create(size);
  TEEIO_CHECK(at->second.pages->size_bytes() == size, "a window changes its size");
  at->second.exposed = true;
  return at->second.pages->direct();
}

void PlainMappedFile::revoke() {
  for (auto& [offset, window] : windows_) window.exposed = false;
}

void PlainMappedFile::punch_hole(std::uint64_t offset, std::uint64_t size) {
  const auto bytes = touch(offset);
  TEEIO_CHECK(bytes && size <= bytes->size(), "a hole lies outside of its window");
  std::ranges::fill(bytes->first(size), std::byte{});
}

std::optional<std::span<std::byte>> PlainMappedFile::touch(std::uint64_t offset) {
  auto at = windows_.upper_bound(offset);
  if (at == windows_.begin()) return std::nullopt;
  --at;
  const std::span<std::byte> bytes = at->second.pages->direct();
  const std::uint64_t inside = offset - at->first;
  if (!at->second.exposed || inside >= bytes.size()) return std::nullopt;
  return bytes.subspan(inside);
}

}  // namespace teeio::mm
