#include "run/mapped_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/types.h"

namespace teeio::run {
namespace {

/// A shared mapping of a file in memory, in this process.
class MappedFilesTest : public testing::Test {
 protected:
  MappedFilesTest() : memfd_(::memfd_create("mapped files", MFD_CLOEXEC)) {
    (void)::ftruncate(memfd_.get(), kPageSize);
    address_ = ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_.get(), 0);
  }
  ~MappedFilesTest() override { (void)::munmap(address_, kPageSize); }
  [[nodiscard]] MapsLine line() const {
    const auto at = reinterpret_cast<std::uint64_t>(address_);
    return read_maps(::getpid(), at, at + kPageSize).at(0);
  }
  [[nodiscard]] std::shared_ptr<const Fd> file(mm::Access access) const {
    return mapped_file(::getpid(), line(), access);
  }
  Fd memfd_;
  void* address_ = nullptr;
};

TEST_F(MappedFilesTest, IsTheMappedOneWithThatAccess) {
  const auto readable = file(mm::Access::kRead);
  const auto writable = file(mm::Access::kReadWrite);
  ASSERT_NE(readable, nullptr);
  ASSERT_NE(writable, nullptr);
  struct stat one{}, other{};
  ASSERT_EQ(::fstat(memfd_.get(), &one), 0);
  ASSERT_EQ(::fstat(readable->get(), &other), 0);
  EXPECT_EQ(one.st_ino, other.st_ino);
  EXPECT_EQ(::write(readable->get(), "a", 1), -1);
  EXPECT_EQ(::write(writable->get(), "a", 1), 1);
}

// A program that pins a million pages of its memory has it opened once.
TEST_F(MappedFilesTest, IsTheSameForAllWhoHoldIt) {
  auto first = file(mm::Access::kReadWrite);
  ASSERT_NE(first, nullptr);
  const int number = first->get();
  EXPECT_EQ(file(mm::Access::kReadWrite), first);
  first.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1) << "nobody holds it, and it is open";
}

TEST_F(MappedFilesTest, NoneIsFoundOfWhatNobodyMaps) {
  MapsLine nowhere = line();
  nowhere.inode = 1;
  nowhere.start = nowhere.end = 0;
  EXPECT_EQ(mapped_file(-1, nowhere, mm::Access::kRead), nullptr);
}

}  // namespace
}  // namespace teeio::run
