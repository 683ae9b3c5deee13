#include "run/process_limit.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/processes.h"
#include "schedule/sanitized.h"

namespace teeio::run {
namespace {

TEST(ProcessLimit, CountsTheLivingWhenSoManyWereMade) {
  if (schedule::kThreadSanitized) GTEST_SKIP() << "ThreadSanitizer has a thread of its own";
  ProcessLimit limit(2);
  EXPECT_TRUE(limit.admits());
  EXPECT_TRUE(limit.admits());
  EXPECT_TRUE(limit.admits()) << "none of the two lives";
  EXPECT_FALSE(limit.was_reached());
}

TEST(ProcessLimit, AdmitsNoneBeyondTheLiving) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  ProcessLimit limit(1);
  EXPECT_TRUE(limit.admits());
  EXPECT_FALSE(limit.admits());
  EXPECT_TRUE(limit.was_reached());
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  end_descendants();
  EXPECT_EQ(::waitpid(child, nullptr, 0), -1) << "it is reaped";
  EXPECT_TRUE(limit.admits());
}

TEST(ProcessLimit, AdmitsNoneOnceItIsClosed) {
  ProcessLimit limit(5);
  limit.close();
  EXPECT_FALSE(limit.admits());
  EXPECT_FALSE(limit.was_reached());
}

TEST(ProcessStat, KnowsParentAndThreads) {
  const auto self = process_stat(::getpid());
  ASSERT_TRUE(self);
  EXPECT_EQ(self->parent, ::getppid());
  if (!schedule::kThreadSanitized) {  // which has a thread of its own
    EXPECT_EQ(self->threads, 1U);
  }
  EXPECT_FALSE(process_stat(-5));
}

}  // namespace
}  // namespace teeio::run
