#include "run/order.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "run/numbered_entries.h"
#include "run/sys.h"
#include "schedule/sanitized.h"
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

// ---- Who has ended, and who got whose number

/// How often somebody was waited for in vain, by seed: "0110…".
template <class Calls>
std::string overtakings_of(const std::string& proc, const Calls& calls) {
  std::string all;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Order order({.seed = seed, .changes = 0, .patience_ns = 2'000'000, .proc = proc});
    calls(order);
    all += std::to_string(order.overtakings());
  }
  return all;
}

void call(Order& order, pid_t pid, pid_t tid) {
  order.enter(pid, tid, [] { return true; });
  order.leave(tid);
}

const std::string kNobody(12, '0');

TEST(Order, NobodyWaitsForAChildThatHasEnded) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(overtakings_of("/proc",
                           [&](Order& order) {
                             call(order, child, child);
                             call(order, ::getpid(), ::gettid());
                           }),
            kNobody);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(Order, NobodyWaitsForAFirstThreadThatHasEnded) {
  if (schedule::kThreadSanitized) GTEST_SKIP() << "ThreadSanitizer has a thread of its own";
  const pid_t child = ::fork();
  if (child == 0) {
    std::thread([] {
      for (;;) ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);  // of this thread alone
  }
  const std::string task = "/proc/" + std::to_string(child) + "/task";
  while (read_file("/proc/" + std::to_string(child) + "/stat").find(") Z ") == std::string::npos) {
  }
  const std::vector<int> threads = numbered_entries(task);
  ASSERT_EQ(threads.size(), 2U);
  EXPECT_EQ(
      overtakings_of("/proc", [&](Order& order) { call(order, child, std::ranges::max(threads)); }),
      kNobody);
  EXPECT_EQ(::kill(child, SIGKILL), 0);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

/// What proc(5) says of threads that there are not.
struct FakeProc {
  FakeProc() { std::filesystem::remove_all(path); }
  ~FakeProc() { std::filesystem::remove_all(path); }
  void thread(int pid, int tid, int born, char state = 'R') const {
    const std::filesystem::path at = task(pid, tid);
    std::filesystem::create_directories(at);
    std::ofstream(at / "stat") << tid << " (a) b) " << state
                               << " 1 1 1 0 -1 4194304 5 0 0 0 1 2 0 0 20 0 9 0 " << born
                               << " 1000 10\n";
    // 35: that of nanosleep, which is none of ours.
    std::ofstream(at / "syscall") << (state == 'R'   ? "running\n"
                                      : state == 'S' ? "35 0x0 0x0\n"
                                                     : "-1 0x0 0x0\n");
  }
  void gone(int pid, int tid) const { std::filesystem::remove_all(task(pid, tid)); }
  [[nodiscard]] std::filesystem::path task(int pid, int tid) const {
    return std::filesystem::path(path) / std::to_string(pid) / "task" / std::to_string(tid);
  }
  const std::string path = testing::TempDir() + "order_test." + std::to_string(::getpid());
};

TEST(Order, AProcessThatHasMadeNoCallYetHasItsPlace) {
  const FakeProc proc;
  proc.thread(1, 1, 100, 'S');
  proc.thread(2, 2, 200);
  const auto waited = [&] {
    return overtakings_of(proc.path, [&](Order& order) { call(order, 1, 1); });
  };
  EXPECT_EQ(waited(), kNobody) << "nobody says that it is of the program";
  std::ofstream(proc.task(1, 1) / "children") << "2 ";
  const std::string with_child = waited();
  EXPECT_GE(std::ranges::count(with_child, '1'), 3) << with_child;
  EXPECT_GE(std::ranges::count(with_child, '0'), 3) << with_child;
}

TEST(Order, TheOlderThreadComesFirstWhateverItsNumber) {
  const FakeProc proc;
  proc.thread(1, 10, 99'999);
  proc.thread(1, 11, 100'000);
  const std::string of_the_older =
      overtakings_of(proc.path, [](Order& order) { call(order, 1, 10); });
  EXPECT_NE(of_the_older, kNobody);
  proc.thread(1, 10, 100'001);
  EXPECT_EQ(overtakings_of(proc.path, [](Order& order) { call(order, 1, 11); }), of_the_older);
}

TEST(Order, AnotherThreadWithANumberIsAnotherThread) {
  const FakeProc proc;
  const auto again = [&](const auto& change) {
    return overtakings_of(proc.path, [&](Order& order) {
      proc.thread(1, 10, 100, 'S');
      proc.thread(1, 11, 101);
      call(order, 1, 10);
      change(order);
      std::filesystem::remove_all(proc.path);
    });
  };
  const std::string once = again([](Order&) {});
  EXPECT_EQ(again([](Order& order) { call(order, 1, 10); }), once) << "it is slow, and known to be";
  EXPECT_NE(again([&](Order& order) {
              proc.thread(1, 11, 300);
              call(order, 1, 10);
            }),
            once);
  EXPECT_NE(again([&](Order& order) {
              proc.gone(1, 11);
              proc.thread(2, 11, 101);
              proc.thread(2, 20, 102);
              call(order, 2, 20);
            }),
            once);
}

// It is found with each look, and meets nobody anew: the next thread's priority is the seed's.
TEST(Order, AFirstThreadThatHasEndedDrawsNoSecondPriority) {
  const FakeProc proc;
  const auto with_a_first_one = [&](char state) {
    return overtakings_of(proc.path, [&](Order& order) {
      proc.thread(1, 10, 100, state);
      proc.thread(1, 11, 101);
      proc.thread(1, 12, 102);
      call(order, 1, 11);
      proc.thread(1, 13, 103);
      call(order, 1, 11);
      proc.gone(1, 13);
    });
  };
  EXPECT_EQ(with_a_first_one('Z'), with_a_first_one('S'));
}

}  // namespace
}  // namespace teeio::run
