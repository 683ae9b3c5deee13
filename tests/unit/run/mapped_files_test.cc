#include "run/mapped_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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
    return mapped_file(::getpid(), line(), access).file;
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
  EXPECT_EQ(mapped_file(-1, nowhere, mm::Access::kRead).file, nullptr);
}

// Each tmpfs has a file with this number.
TEST_F(MappedFilesTest, AFileOfAnotherFileSystemIsNotTakenForIt) {
  MapsLine elsewhere = line();
  elsewhere.start = elsewhere.end = 0;
  ASSERT_NE(mapped_file(::getpid(), elsewhere, mm::Access::kRead).file, nullptr);
  elsewhere.device += 1;
  EXPECT_EQ(mapped_file(::getpid(), elsewhere, mm::Access::kRead).file, nullptr);
}

TEST_F(MappedFilesTest, OneOnADiskIsNotKept) {
  EXPECT_TRUE(mapped_file(::getpid(), line(), mm::Access::kRead).is_kept);
  const Fd disk(::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  struct statfs info{};
  if (!disk.ok() || ::fstatfs(disk.get(), &info) != 0 || info.f_type == TMPFS_MAGIC)
    GTEST_SKIP() << "this folder is in memory";
  ASSERT_EQ(::ftruncate(disk.get(), kPageSize), 0);
  void* const page = ::mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, disk.get(), 0);
  const auto at = reinterpret_cast<std::uint64_t>(page);
  const MapsLine mapping = read_maps(::getpid(), at, at + kPageSize).at(0);
  const auto [file, is_kept] = mapped_file(::getpid(), mapping, mm::Access::kRead);
  EXPECT_NE(file, nullptr);
  EXPECT_FALSE(is_kept);
  (void)::munmap(page, kPageSize);
}

}  // namespace
}  // namespace teeio::run
