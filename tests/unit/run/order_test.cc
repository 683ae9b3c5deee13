#include "run/order.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "schedule/task.h"

namespace teeio::run {
namespace {

/// In which order three threads' calls went, four a thread: "aaaabbbbcccc".
std::string order_of(std::uint64_t seed, std::uint32_t changes) {
  constexpr std::uint64_t kAMinute = 60'000'000'000;  // on a busy machine too
  Order order({.seed = seed, .changes = changes, .calls = 12, .patience_ns = kAMinute});
  std::string went;
  std::atomic<int> here = 0;
  const auto call = [&](char name) {
    ++here;
    while (here < 3) {
    }
    for (int i = 0; i < 4; ++i) {
      order.enter(::getpid(), ::gettid(), [] { return true; });
      went += name;  // one call at a time
      order.leave(::gettid());
    }
  };
  std::vector<schedule::Task> threads;
  for (const char name : {'a', 'b', 'c'})
    threads.push_back(schedule::Task::spawn("caller", [&call, name] { call(name); }));
  for (schedule::Task& thread : threads) thread.join();
  EXPECT_TRUE(order.had_a_choice());
  EXPECT_EQ(order.overtakings(), 0U);
  return went;
}

std::size_t threads_in(std::string_view calls) {
  return std::set<char>(calls.begin(), calls.end()).size();
}

TEST(Order, IsThatOfTheSeed) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const std::string order = order_of(seed, 0);
    ASSERT_EQ(order.size(), 12U);
    EXPECT_EQ(order_of(seed, 0), order) << seed;
    // Whoever goes first makes all its calls: nothing changes its place.
    EXPECT_EQ(threads_in(order.substr(0, 4)), 1U) << order;
    orders.insert(order);
  }
  EXPECT_GE(orders.size(), 3U);
}

TEST(Order, ChangesInTheMiddle) {
  bool interrupted = false;
  for (std::uint64_t seed = 1; seed <= 12; ++seed)
    interrupted = interrupted || threads_in(order_of(seed, 1).substr(0, 4)) > 1;
  EXPECT_TRUE(interrupted) << "a thread is interrupted between its calls";
}

TEST(Order, NobodyWaitsForWhoSleeps) {
  Order order({.seed = 1, .changes = 0, .calls = 10});
  // The other threads of this process sleep, if there are any; and an ended caller is no reason
  // to wait.
  order.enter(::getpid(), ::gettid(), [] { return false; });
  order.leave(::gettid());
  EXPECT_FALSE(order.had_a_choice());
}

}  // namespace
}  // namespace teeio::run
