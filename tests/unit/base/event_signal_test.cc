#include "base/event_signal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
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
