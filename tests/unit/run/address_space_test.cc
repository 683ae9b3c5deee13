#include "run/address_space.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/types.h"
#include "run/process_maps.h"

namespace teeio::run {
namespace {

/// A page of this process, private, which a child has too.
class AddressSpaceTest : public testing::Test {
 protected:
  AddressSpaceTest()
      : page_(static_cast<char*>(::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~AddressSpaceTest() override { (void)::munmap(page_, kPageSize); }
  [[nodiscard]] std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(page_); }

  char* page_;
};

TEST_F(AddressSpaceTest, IsReadAndWritten) {
  const AddressSpace space(::getpid());
  EXPECT_EQ(space.memory(), AddressSpace::Memory::kWritable);
  std::array<std::byte, 2> bytes{std::byte{7}, std::byte{9}};
  EXPECT_TRUE(space.write(address() + 1, bytes));
  EXPECT_EQ(page_[1], 7);
  EXPECT_EQ(page_[2], 9);
  bytes = {};
  EXPECT_TRUE(space.read(address() + 1, bytes));
  EXPECT_EQ(bytes[1], std::byte{9});
  EXPECT_FALSE(space.read(0, bytes));
}

TEST_F(AddressSpaceTest, NobodysHasNothing) {
  const AddressSpace space(-1);
  EXPECT_EQ(space.memory(), AddressSpace::Memory::kNone);
  std::array<std::byte, 1> byte{};
  EXPECT_FALSE(space.read(address(), byte));
  EXPECT_FALSE(ask_maps(space.maps(), address(), address() + kPageSize));
}

TEST_F(AddressSpaceTest, SaysWhatIsMappedNow) {
  const AddressSpace space(::getpid());
  const auto before = ask_maps(space.maps(), address(), address() + kPageSize);
  if (!before && before.error() == NoMaps::kCannotAsk)
    GTEST_SKIP() << "Linux 6.11 can be asked for one mapping";
  ASSERT_TRUE(before);
  ASSERT_EQ(before->size(), 1U);
  EXPECT_TRUE(before->front().writable);
  (void)::mprotect(page_, kPageSize, PROT_READ);
  EXPECT_FALSE(ask_maps(space.maps(), address(), address() + kPageSize)->front().writable);
}

/// A child that waits, and then executes a program that waits too.
class Child {
 public:
  Child() {
    (void)::pipe2(go_.data(), O_CLOEXEC);
    (void)::pipe2(done_.data(), O_CLOEXEC);
    pid_ = ::fork();
    if (pid_ != 0) return;
    char none = 0;
    (void)!::read(go_[0], &none, 1);
    ::execlp("sleep", "sleep", "1000", nullptr);
    ::_exit(1);
  }
  ~Child() {
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
    for (const int fd : {go_[0], go_[1], done_[0], done_[1]}) (void)::close(fd);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Returns when the other program is there: it has closed our pipe.
  void execute() {
    (void)::close(std::exchange(done_[1], -1));
    (void)!::write(go_[1], "", 1);
    char none = 0;
    (void)!::read(done_[0], &none, 1);
  }

 private:
  std::array<int, 2> go_{}, done_{};
  pid_t pid_ = -1;
};

TEST_F(AddressSpaceTest, StaysWhereItWasWhenTheProcessExecutesAnotherProgram) {
  Child child;
  page_[0] = 5;
  const AddressSpace space(child.pid());
  std::array<std::byte, 1> byte{};
  EXPECT_TRUE(space.read(address(), byte));
  EXPECT_EQ(byte[0], std::byte{0});  // its own copy
  child.execute();
  EXPECT_FALSE(space.read(address(), byte));
  const auto maps = ask_maps(space.maps(), 0, address() + kPageSize);
  if (!maps && maps.error() == NoMaps::kCannotAsk) return;
  ASSERT_FALSE(maps);
  EXPECT_EQ(maps.error(), NoMaps::kGone);
  EXPECT_TRUE(ask_maps(AddressSpace(child.pid()).maps(), 0, UINT64_MAX));
}

}  // namespace
}  // namespace teeio::run
