#include "run/listener.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <optional>

namespace teeio::run {
namespace {

/// Traps getppid(2) and nothing else. Returns the listener.
int trap_getppid() {
  std::array<sock_filter, 4> code{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{code.size(), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

/// A process that waits in a trapped call; its descriptors are ours, and so is its listener.
class ListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> words{};
    ASSERT_EQ(::pipe(words.data()), 0);
    const Fd from(words[0]), to(words[1]);
    child_ = static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      const int listener = trap_getppid();
      const rlimit none{0, 0};
      (void)::setrlimit(RLIMIT_NOFILE, &none);
      (void)!::write(to.get(), &listener, sizeof(listener));
      (void)::syscall(SYS_getppid);
      ::_exit(0);
    }
    int listener = -1;
    ASSERT_EQ(::read(from.get(), &listener, sizeof(listener)), 4);
    if (listener < 0) GTEST_SKIP() << "no filter can be installed here";
    listener_.emplace(Fd(listener));
    const auto call = listener_->receive();
    ASSERT_TRUE(call) << call.error().why;
    id_ = call->id;
  }
  void TearDown() override { kill_child(); }

  void kill_child() {
    if (child_ <= 0) return;
    (void)::kill(child_, SIGKILL);
    (void)::waitpid(child_, nullptr, 0);
    child_ = 0;
  }

  pid_t child_ = 0;
  std::optional<Listener> listener_;
  std::uint64_t id_ = 0;
};

TEST_F(ListenerTest, TellsOfACallerThatIsGone) {
  kill_child();
  for (const auto how : {Listener::Number::kLowest, Listener::Number::kExact}) {
    const auto given = listener_->add_fd(id_, STDIN_FILENO, 0, how, 700);
    ASSERT_FALSE(given);
    EXPECT_EQ(given.error().code, Errno::kIntr) << errno_name(given.error().code);
    EXPECT_NE(given.error().why.find("was killed"), std::string_view::npos) << given.error().why;
  }
}

TEST_F(ListenerTest, TellsThatNoNumberIsLeft) {
  for (const auto how : {Listener::Number::kLowest, Listener::Number::kExact}) {
    const auto given = listener_->add_fd(id_, STDIN_FILENO, 0, how, 700);
    ASSERT_FALSE(given);
    EXPECT_EQ(given.error().code, Errno::kMFile) << errno_name(given.error().code);
    EXPECT_EQ(given.error().why, "the program has no number left");
  }
}

}  // namespace
}  // namespace teeio::run
