#include "run/foreign_file.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <semaphore>
#include <vector>

namespace teeio::run {
namespace {

TEST(StolenFile, WatchesOnlyWithAllDescriptorsThatItTakes) {
  constexpr rlim_t kTaken = 4;  // the copy and its epoll, the thread's end and its epoll
  const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(0, EFD_CLOEXEC)));
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
    const auto watch = (*event)->watch([] {});
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(watch != nullptr, left == kTaken) << left;
  }
}

std::size_t threads() {
  return static_cast<std::size_t>(
      std::ranges::distance(std::filesystem::directory_iterator("/proc/self/task")));
}

// A device may have a thousand (VFIO_PCI_IOEVENTFD_MAX).
TEST(StolenFile, OneThreadWatchesHoweverManyThereAre) {
  constexpr std::uint64_t kMany = 100;
  const std::size_t before = threads();
  std::counting_semaphore<> calls{0};
  std::array<std::atomic<std::uint64_t>, kMany> seen{};
  std::vector<object::Ref<mm::EventFd>> events;
  std::vector<std::unique_ptr<mm::EventWatch>> watches;
  for (auto& count : seen) {
    const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(0, EFD_CLOEXEC)));
    events.push_back(*stolen->eventfd());
    watches.push_back(events.back()->watch([&] {
      ++count;
      calls.release();
    }));
    ASSERT_NE(watches.back(), nullptr);
  }
  EXPECT_EQ(threads(), before + 1);
  for (int round = 0; round < 2; ++round)
    for (const auto& event : events) {
      event->signal();
      ASSERT_TRUE(calls.try_acquire_for(std::chrono::seconds(60)));
      EXPECT_EQ(event->take(), 0U) << "the count stays";
    }
  EXPECT_TRUE(std::ranges::all_of(seen, [](const auto& count) { return count == 2; }));
  watches.erase(watches.begin());
  events.front()->signal();
  EXPECT_EQ(events.front()->take(), 1U) << "who is gone takes the count";
  watches.clear();
  EXPECT_EQ(threads(), before);
}

// vfio_virqfd_enable(): called at once, and the count is the program's.
TEST(StolenFile, WhatWaitsAlreadyIsToldOnce) {
  const auto stolen = object::make_ref<StolenFile>(Fd(::eventfd(3, EFD_CLOEXEC)));
  const auto event = *stolen->eventfd();
  std::counting_semaphore<> calls{0};
  const auto watch = event->watch([&] { calls.release(); });
  ASSERT_NE(watch, nullptr);
  EXPECT_TRUE(calls.try_acquire());
  EXPECT_EQ(event->take(), 3U);
  event->signal();
  ASSERT_TRUE(calls.try_acquire_for(std::chrono::seconds(60)));
  EXPECT_FALSE(calls.try_acquire());
}

}  // namespace
}  // namespace teeio::run
