#include "run/abandon.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace teeio::run {
namespace {

TEST(AbandonTest, KillsOrphansTooAndRemovesTheDirectory) {
  std::string directory = testing::TempDir() + "abandonXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  std::ofstream(directory + "/file") << "x";
  std::array<int, 2> alive{};  // at its end when no process has it open
  ASSERT_EQ(::pipe(alive.data()), 0);
  const pid_t supervisor = ::fork();
  ASSERT_GE(supervisor, 0);
  if (supervisor == 0) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    std::array<int, 2> ready{};
    if (::pipe(ready.data()) != 0) ::_exit(1);
    if (::fork() == 0) {
      if (::fork() == 0) ::signal(SIGTERM, SIG_IGN);
      (void)!::write(ready[1], "x", 1);
      for (;;) ::pause();
    }
    std::array<char, 1> one{};
    for (int i = 0; i < 2; ++i) (void)!::read(ready[0], one.data(), 1);
    remove_when_abandoned(directory);
    abandon();
    ::_exit(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD ? 0 : 2);
  }
  ::close(alive[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(supervisor, &status, 0), supervisor);
  EXPECT_EQ(status, 0);
  std::array<char, 1> one{};
  EXPECT_EQ(::read(alive[0], one.data(), 1), 0) << "a descendant lives";
  ::close(alive[0]);
  EXPECT_FALSE(std::filesystem::exists(directory));
}

}  // namespace
}  // namespace teeio::run
