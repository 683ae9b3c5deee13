#include "run/fault_watch.h"

#include <gtest/gtest.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/types.h"

namespace teeio::run {
namespace {

/// Whether this kernel lets us count page faults of our own.
bool may_ask() {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.size = sizeof(attr);
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.exclude_kernel = 1;
  return Fd(static_cast<int>(::syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0))).ok();
}

struct FaultWatchTest : testing::Test {
  FaultWatchTest() {
    (void)::ftruncate(file.get(), 4 * kPageSize);
    (void)::ftruncate(other.get(), kPageSize);
    at = map(file);
    elsewhere = map(other);
    (void)::fstat(file.get(), &info);
  }
  static volatile char* map(const Fd& fd) {
    return static_cast<volatile char*>(
        ::mmap(nullptr, 4 * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  }
  void SetUp() override {
    if (!may_ask()) GTEST_SKIP() << "perf_event_open() is refused here";
    before = std::signal(SIGBUS, SIG_DFL);  // a sanitizer makes an exit of it
  }
  void TearDown() override {
    if (before != nullptr) (void)std::signal(SIGBUS, before);
  }
  void before_revoke() { watch.before_revoke(info.st_dev, info.st_ino, "bar"); }
  /// A child that does `what` when the file has been taken away.
  pid_t child(const std::function<void()>& what) {
    int go[2];
    EXPECT_EQ(::pipe(go), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      char byte = 0;
      (void)!::read(go[0], &byte, 1);
      what();
      ::_exit(0);
    }
    (void)::ftruncate(file.get(), 4 * kPageSize);
    before_revoke();
    (void)::ftruncate(file.get(), 0);
    EXPECT_EQ(::write(go[1], "x", 1), 1);
    ::close(go[0]);
    ::close(go[1]);
    return pid;
  }
  std::optional<FaultWatch::LastFault> fault_of(const std::function<void()>& what) {
    const pid_t pid = child(what);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    return watch.last_of(pid);
  }

  Fd file{::memfd_create("bar", MFD_CLOEXEC)};
  Fd other{::memfd_create("other", MFD_CLOEXEC)};
  struct stat info{};
  volatile char* at = nullptr;
  volatile char* elsewhere = nullptr;
  FaultWatch watch;
  void (*before)(int) = nullptr;
};

TEST_F(FaultWatchTest, KnowsTheMappingThatWasTouched) {
  const auto fault = fault_of([&] { at[3 * kPageSize + 8] = 1; });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 3 * kPageSize + 8}));
}

// Its release takes more away before it is reaped.
TEST_F(FaultWatchTest, KnowsItOfWhoWaitsToBeReaped) {
  const pid_t pid = child([&] { at[0] = 1; });
  siginfo_t end{};
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED | WNOWAIT), 0);
  before_revoke();
  const auto fault = watch.last_of(pid);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 0}));
}

TEST_F(FaultWatchTest, KnowsItOfAThreadThatWasBornLater) {
  const auto fault = fault_of([&] { std::thread([&] { at[0] = 1; }).join(); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 0}));
}

TEST_F(FaultWatchTest, KnowsItOfAProcessOfManyThreads) {
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  const int threads = static_cast<int>(600 / (2 * processors)) + 1;  // above 256 descriptors
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) all.emplace_back([] { ::pause(); });
    char byte = 0;
    (void)!::write(ready[1], "x", 1);
    (void)!::read(go[0], &byte, 1);
    at[0] = 1;
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit all{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  (void)::setrlimit(RLIMIT_NOFILE, &all);
  before_revoke();
  (void)::ftruncate(file.get(), 0);
  EXPECT_EQ(::write(go[1], "x", 1), 1);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  const auto fault = watch.last_of(pid);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < 4096 || ::geteuid() != 0) GTEST_SKIP() << "too little may be had here";
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 0}));
}

TEST_F(FaultWatchTest, KnowsThatItWasElsewhere) {
  const auto fault = fault_of([&] { elsewhere[3 * kPageSize] = 1; });
  ASSERT_TRUE(fault);
  EXPECT_FALSE(fault->place);
}

TEST_F(FaultWatchTest, KnowsAMappingThatIsMadeLater) {
  const auto fault = fault_of([&] { map(file)[kPageSize] = 1; });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", kPageSize}));
}

TEST_F(FaultWatchTest, KnowsThatAnotherFileIsThereNow) {
  const auto fault = fault_of([&] {
    void* const there = const_cast<char*>(at);
    ::munmap(there, 4 * kPageSize);
    (void)::mmap(there, 4 * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, other.get(),
                 0);
    at[kPageSize] = 1;
  });
  ASSERT_TRUE(fault);
  EXPECT_FALSE(fault->place);
}

TEST_F(FaultWatchTest, IsNotSureOfWhatWasMoved) {
  const auto fault = fault_of([&] {
    void* const moved = ::mremap(const_cast<char*>(at), 4 * kPageSize, 4 * kPageSize,
                                 MREMAP_MAYMOVE | MREMAP_FIXED, at + (std::size_t{1} << 30U));
    static_cast<volatile char*>(moved)[0] = 1;
  });
  ASSERT_TRUE(fault);
  EXPECT_FALSE(fault->place);
}

std::jmp_buf caught;

TEST_F(FaultWatchTest, IsNotSureOfWhoIsAnotherProgramNow) {
  const auto fault = fault_of([&] {
    std::signal(SIGBUS, [](int) { std::longjmp(caught, 1); });
    if (setjmp(caught) == 0) at[0] = 1;
    sigset_t none;
    ::sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
    (void)::execlp("sh", "sh", "-c", "kill -BUS $$", nullptr);
  });
  EXPECT_FALSE(fault && fault->place);
}

/// What the test below begins.
TEST(FaultWatchProgram, DISABLED_MapsAndTouches) {
  const char* const number = std::getenv("TEEIO_FAULT_WATCH_FD");
  ASSERT_NE(number, nullptr);
  auto* const bar = static_cast<volatile char*>(
      ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(number), 0));
  (void)std::signal(SIGBUS, SIG_DFL);  // as in the fixture
  char byte = 0;
  ASSERT_TRUE(::write(STDOUT_FILENO, "\1", 1) == 1 && ::read(STDIN_FILENO, &byte, 1) == 1);
  bar[8] = 1;
}

TEST_F(FaultWatchTest, WatchesAProcessThatIsAnotherProgramNowAnew) {
  int go[2], told[2];
  ASSERT_TRUE(::pipe(go) == 0 && ::pipe(told) == 0);
  const pid_t pid = child([&] {
    (void)::dup2(go[0], STDIN_FILENO);
    (void)::dup2(told[1], STDOUT_FILENO);
    ::close(told[1]);
    (void)::setenv("TEEIO_FAULT_WATCH_FD", std::to_string(::dup(file.get())).c_str(), 1);
    (void)::execl("/proc/self/exe", "program", "--gtest_also_run_disabled_tests",
                  "--gtest_filter=FaultWatchProgram.*", "--gtest_brief=1", nullptr);
  });
  ::close(told[1]);
  for (char byte = 0; byte != 1;) ASSERT_EQ(::read(told[0], &byte, 1), 1);
  (void)::ftruncate(file.get(), 4 * kPageSize);
  before_revoke();
  (void)::ftruncate(file.get(), 0);
  EXPECT_EQ(::write(go[1], "x", 1), 1);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
  const auto fault = watch.last_of(pid);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 8}));
}

TEST_F(FaultWatchTest, KnowsTheLastOfMoreFaultsThanAreKept) {
  constexpr std::size_t kMany = 1000;
  const auto fault = fault_of([&] {
    auto* const fresh = static_cast<volatile char*>(::mmap(
        nullptr, kMany * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (std::size_t i = 0; i < kMany; ++i) fresh[i * kPageSize] = 1;
    at[0] = 1;
  });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 0}));
}

TEST_F(FaultWatchTest, KnowsAForkedProcessByItsParent) {
  auto* const forked = static_cast<volatile pid_t*>(
      ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t parent = child([&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      at[0] = 1;
      ::_exit(0);
    }
    *forked = pid;
    (void)::waitpid(pid, nullptr, 0);
  });
  EXPECT_EQ(::waitpid(parent, nullptr, 0), parent);
  const auto fault = watch.last_of(*forked);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->place, (FaultWatch::Place{"bar", 0}));
}

TEST_F(FaultWatchTest, LooksAtNobodyWhoIsNoDescendant) {
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 0);
  int go[2], told[2];
  ASSERT_TRUE(::pipe(go) == 0 && ::pipe(told) == 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const pid_t pid = ::fork();
    char byte = 0;
    if (pid == 0) {
      (void)!::read(go[0], &byte, 1);
      at[0] = 1;
    }
    (void)!::write(told[1], &pid, sizeof(pid));
    ::_exit(0);
  }
  ::close(told[1]);
  pid_t orphan = 0;
  ASSERT_EQ(::read(told[0], &orphan, sizeof(orphan)), ssize_t{sizeof(orphan)});
  EXPECT_EQ(::waitpid(parent, nullptr, 0), parent);
  before_revoke();
  (void)::ftruncate(file.get(), 0);
  EXPECT_EQ(::write(go[1], "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(told[0], &byte, 1), 0) << "it has ended";
  EXPECT_FALSE(watch.last_of(orphan));
}

TEST_F(FaultWatchTest, KnowsNothingOfWhoHasNoMapping) {
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    ::munmap(const_cast<char*>(at), 4 * kPageSize);
    elsewhere[3 * kPageSize] = 1;
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(stranger, &status, 0), stranger);
  before_revoke();
  EXPECT_FALSE(watch.last_of(stranger));
}

}  // namespace
}  // namespace teeio::run
