#include "run/program_stack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

#include "run/fd.h"
#include "run/injector.h"
#include "schedule/sanitized.h"

namespace teeio::run {
namespace {

// What follows a call keeps it from being a jump.
[[gnu::noinline]] void innermost_of_the_stack(int from) {
  char byte = 0;
  (void)!::read(from, &byte, 1);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void middle_of_the_stack(int from) {
  innermost_of_the_stack(from);
  asm volatile("" ::: "memory");
}
/// Calls what only it knows, with much on the stack, where old addresses may lie.
[[gnu::noinline]] void outermost_of_the_stack(int from, void (*function)(int)) {
  std::array<volatile char, 4000> room;
  room[0] = 1;
  function(from);
  asm volatile("" ::"r"(room.data()) : "memory");
}

/// The frame of `function`, or -1.
std::ptrdiff_t place_of(const std::vector<std::string>& stack, std::string_view function) {
  const auto at = std::ranges::find_if(
      stack, [&](const std::string& frame) { return frame.find(function) != std::string::npos; });
  return at == stack.end() ? -1 : at - stack.begin();
}

TEST(ProgramStack, HasTheFunctionsOfAThreadThatWaitsInACall) {
#ifndef __x86_64__
  GTEST_SKIP() << "only x86-64";
#endif
  // The frames of its read() hide this program's.
  if (schedule::kSanitized) GTEST_SKIP() << "a sanitizer stands between program and C library";
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    to.reset();
    outermost_of_the_stack(from.get(), middle_of_the_stack);
    ::_exit(0);
  }
  std::vector<std::string> stack;
  for (int i = 0; i < 10'000 && place_of(stack, "innermost_of_the_stack") < 0; ++i) {
    (void)::sched_yield();
    stack = program_stack(pid);
  }
  const auto inner = place_of(stack, "innermost_of_the_stack");
  EXPECT_GT(inner, 0);  // behind read(2)
  EXPECT_EQ(place_of(stack, "middle_of_the_stack"), inner + 1) << testing::PrintToString(stack);
  EXPECT_EQ(place_of(stack, "outermost_of_the_stack"), inner + 2) << testing::PrintToString(stack);
  EXPECT_NE(stack_top(stack).find("innermost_of_the_stack+0x"), std::string::npos);
  EXPECT_NE(stack_top(stack).find(" (run_test+0x"), std::string::npos) << stack_top(stack);
  EXPECT_EQ(stack, program_stack(pid));
  // Only who shows a stack has it taken.
  Injector silent({parse_injection("fail:read#1=EIO").value()});
  (void)silent.call("read", pid);
  EXPECT_TRUE(silent.stack().empty());
  Injector shown({parse_injection("fail:read#1=EIO").value()});
  shown.keep_stack();
  (void)shown.call("read", pid);
  EXPECT_EQ(shown.stack(), stack);
  (void)::kill(pid, SIGKILL);
  (void)::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(program_stack(pid).empty());
}

TEST(ProgramStack, TopIsBehindTheLibrary) {
  const std::vector<std::string> stack = {"ioctl+0xb (libc.so.6+0x1)", "open+0x3 (libc.so.6+0x2)",
                                          "attach+0x9 (vmm+0x3)", "main+0x1 (vmm+0x4)"};
  EXPECT_EQ(stack_top(stack), "attach+0x9 (vmm+0x3)");
  // A static program has the wrapper itself.
  const std::vector<std::string> fixed = {"ioctl+0xb (vmm+0x1)", "vmm+0x2"};
  EXPECT_EQ(stack_top(fixed), "vmm+0x2");
  EXPECT_EQ(stack_top({}), "");
}

// A file's name is its author's choice, as a symbol is.
TEST(ProgramStack, NamesAFileOnOneLine) {
#ifndef __x86_64__
  GTEST_SKIP() << "only x86-64";
#endif
  const std::string folder = testing::TempDir() + "/program-stack-" + std::to_string(::getpid());
  const std::string path = folder + "/sl\n\x1b[1meep";
  ASSERT_TRUE(std::filesystem::create_directories(folder));
  ASSERT_TRUE(std::filesystem::copy_file("/bin/sleep", path));
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(path.c_str(), "sleep", "100", nullptr);
    ::_exit(1);
  }
  std::vector<std::string> stack;
  for (int i = 0; i < 100'000 && place_of(stack, "[1meep+0x") < 0; ++i) {
    (void)::sched_yield();
    stack = program_stack(pid);
  }
  EXPECT_GE(place_of(stack, "?[1meep+0x"), 0) << testing::PrintToString(stack);
  EXPECT_LT(place_of(stack, "\n"), 0);
  EXPECT_LT(place_of(stack, "\x1b"), 0);
  (void)::kill(pid, SIGKILL);
  (void)::waitpid(pid, nullptr, 0);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace teeio::run
