#include "run/foreign_file.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

namespace teeio::run {
namespace {

TEST(StolenFile, WatchesOnlyWithAllDescriptorsThatItTakes) {
  constexpr rlim_t kTaken = 3;  // the copy, the end, the epoll
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

}  // namespace
}  // namespace teeio::run
