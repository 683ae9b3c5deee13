#include "run/foreign_file.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <memory>
#include <vector>

#include "schedule/sanitized.h"

namespace teeio::run {
namespace {

TEST(StolenFile, WatchesOnlyWithAllDescriptorsThatItTakes) {
  // UndefinedBehaviorSanitizer looks at an object's type through a pipe.
  if (schedule::kSanitized) GTEST_SKIP() << "a sanitizer takes descriptors too";
  constexpr rlim_t kTaken = 3;  // its own epoll, the thread's, the end of the thread
  const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(1, EFD_CLOEXEC)));
  const auto event = stolen->eventfd();
  ASSERT_TRUE(event);
  const Fd next(::eventfd(0, EFD_CLOEXEC));
  // What whoever began this program has left open above would count too.
  ASSERT_EQ(::close_range(static_cast<unsigned>(next.get()) + 1, ~0U, 0), 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  for (rlim_t left = 0; left <= kTaken; ++left) {
    const rlimit few{.rlim_cur = static_cast<rlim_t>(next.get()) + 1 + left,
                     .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    std::atomic<int> told = 0;
    const auto watch = (*event)->watch([&told] { ++told; });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(watch != nullptr, left == kTaken) << left;
    EXPECT_EQ(told.load(), left == kTaken ? 1 : 0) << "one that is refused is told of nothing";
  }
}

std::ptrdiff_t threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

/// Eventfds of "the program", watched, and how often each was told.
class Watched {
 public:
  /// As many as descriptors allow, which are three each, up to `most`.
  explicit Watched(std::size_t most) {
    (void)::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit all{.rlim_cur = before_.rlim_max, .rlim_max = before_.rlim_max};
    (void)::setrlimit(RLIMIT_NOFILE, &all);
    const std::size_t count = std::min<std::size_t>(most, (all.rlim_cur - 100) / 3);
    told_ = std::vector<std::atomic<int>>(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(0, EFD_CLOEXEC)));
      events_.push_back(*stolen->eventfd());
      watches_.push_back(events_.back()->watch([this, i] { ++told_[i]; }));
    }
  }
  ~Watched() {
    watches_.clear();
    events_.clear();
    (void)::setrlimit(RLIMIT_NOFILE, &before_);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  [[nodiscard]] std::size_t count() const { return told_.size(); }
  void signal(std::size_t number) { events_[number]->signal(); }
  void forget(std::size_t number) { watches_[number].reset(); }
  [[nodiscard]] int told(std::size_t number) const { return told_[number].load(); }
  [[nodiscard]] bool all_watch() const {
    return std::ranges::all_of(watches_, [](const auto& watch) { return watch != nullptr; });
  }
  /// Returns when so many have been told in all.
  void wait_for(int all) const {
    for (int sum = 0; sum < all; ::sched_yield()) {
      sum = 0;
      for (const std::atomic<int>& told : told_) sum += told.load();
    }
  }

 private:
  rlimit before_{};
  std::vector<std::atomic<int>> told_;
  std::vector<object::Ref<mm::EventFd>> events_;
  std::vector<std::unique_ptr<mm::EventWatch>> watches_;
};

TEST(StolenFile, ThousandsOfEventfdsAreWatchedByOneThread) {
  const std::ptrdiff_t before = threads();
  Watched watched(4096);
  ASSERT_TRUE(watched.all_watch());
  EXPECT_LE(threads(), before + 1);
  for (std::size_t i = 0; i < watched.count(); ++i) watched.signal(i);
  watched.wait_for(static_cast<int>(watched.count()));
  for (std::size_t i = 0; i < watched.count(); ++i) ASSERT_EQ(watched.told(i), 1) << i;
}

TEST(StolenFile, WhoIsNotWatchedAnyMoreIsNotTold) {
  Watched watched(2);
  watched.signal(0);
  watched.wait_for(1);
  watched.forget(0);
  watched.signal(0);
  watched.signal(1);
  watched.wait_for(2);
  EXPECT_EQ(watched.told(0), 1);
  EXPECT_EQ(watched.told(1), 1);
}

TEST(StolenFile, ASignalThatWaitsIsToldOfAtOnceAndOnce) {
  const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(1, EFD_CLOEXEC)));
  const auto event = *stolen->eventfd();
  std::atomic<int> told = 0;
  const auto watch = event->watch([&told] { ++told; });
  EXPECT_EQ(told.load(), 1);
  EXPECT_EQ(event->take(), 1U);  // which stays for the program
  Watched other(1);              // told by the same thread, behind what it had before
  other.signal(0);
  other.wait_for(1);
  EXPECT_EQ(told.load(), 1);
}

/// Not being told is over when a watch ends, whoever else is told meanwhile.
TEST(StolenFile, OneThatIsToldKeepsOnlyItsOwnWatchFromEnding) {
  const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(0, EFD_CLOEXEC)));
  const auto event = *stolen->eventfd();
  std::atomic<bool> is_in = false, may_go = false;
  const auto watch = event->watch([&] {
    is_in = true;
    is_in.notify_all();
    may_go.wait(false);
  });
  Watched other(1);
  event->signal();
  is_in.wait(false);
  other.forget(0);  // does not wait for it
  may_go = true;
  may_go.notify_all();
}

}  // namespace
}  // namespace teeio::run
