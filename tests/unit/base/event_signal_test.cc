#include "base/event_signal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <thread>

namespace teeio {
namespace {

constexpr std::uint64_t kFull = ~std::uint64_t{0} - 1;

TEST(EventSignal, AddsOneEachTime) {
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  for (int i = 0; i < 3000; ++i) signal_event(event);  // more than there is room for completions
  eventfd_t count = 0;
  EXPECT_EQ(::eventfd_read(event.get(), &count), 0);
  EXPECT_EQ(count, 3000U);
}

TEST(EventSignal, AFullCounterOverflowsAsTheKernelsDoes) {
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  ASSERT_EQ(::eventfd_write(event.get(), kFull), 0);
  signal_event(event);
  signal_event(event);
  pollfd state{.fd = event.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&state, 1, 0), 1);
  EXPECT_NE(state.revents & POLLERR, 0);
  eventfd_t count = 0;
  EXPECT_EQ(::eventfd_read(event.get(), &count), 0);
  EXPECT_EQ(count, ~std::uint64_t{0});
}

void refuse(std::uint32_t first, std::uint32_t last) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = static_cast<unsigned short>(std::size(code)), .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    ::_exit(3);
}

/// In a process of its own: whether all counts are as they must be.
bool counts_without_aio() {
  refuse(SYS_io_setup, SYS_io_cancel);
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  for (int i = 0; i < 3; ++i) signal_event(event);
  eventfd_t count = 0;
  if (::eventfd_read(event.get(), &count) != 0 || count != 3) return false;
  if (::eventfd_write(event.get(), kFull) != 0) return false;
  signal_event(event);  // a write would wait for ever
  return ::eventfd_read(event.get(), &count) == 0 && count == kFull;
}

TEST(EventSignal, AKernelWithoutAioCountsAsFarAsThereIsRoom) {
  EXPECT_EXIT(
      {
        ::alarm(20);
        ::_exit(counts_without_aio() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

/// Whoever fills the counter between a look at it and a write would hold up the writer.
TEST(EventSignal, NeverWaitsWhoeverFillsTheCounter) {
  const Fd event(::eventfd(0, EFD_CLOEXEC));
  std::atomic<int> left = 2;
  const auto signal = [&] {
    for (int i = 0; i < 50000; ++i) signal_event(event);
    --left;
  };
  std::jthread one(signal), two(signal);
  while (left != 0) {
    eventfd_t count = 0;
    ::fcntl(event.get(), F_SETFL, O_NONBLOCK);
    (void)::eventfd_read(event.get(), &count);
    (void)::eventfd_write(event.get(), kFull);
    ::fcntl(event.get(), F_SETFL, 0);
  }
}

}  // namespace
}  // namespace teeio
