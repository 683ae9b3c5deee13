#include "run/process_maps.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/fd.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kPage = 4096;

void expect_equal(const MapsLine& one, const MapsLine& other) {
  EXPECT_EQ(one.start, other.start);
  EXPECT_EQ(one.end, other.end);
  EXPECT_EQ(one.readable, other.readable);
  EXPECT_EQ(one.writable, other.writable);
  EXPECT_EQ(one.shared, other.shared);
  EXPECT_EQ(one.offset, other.offset);
  EXPECT_EQ(one.device, other.device);
  EXPECT_EQ(one.inode, other.inode);
  EXPECT_EQ(one.path, other.path);
}

/// Five pages of this process: two of a memfd from its page 3, a hole, a read-only one, one
/// that nobody may read.
class ProcessMapsTest : public testing::Test {
 protected:
  ProcessMapsTest() : file_(::memfd_create("process maps", MFD_CLOEXEC)) {
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, 5 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    (void)::ftruncate(file_.get(), 8 * kPage);
    (void)::mmap(base_, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(),
                 3 * kPage);
    (void)::munmap(base_ + 2 * kPage, kPage);
    (void)::mprotect(base_ + 3 * kPage, kPage, PROT_READ);
  }
  ~ProcessMapsTest() override { (void)::munmap(base_, 5 * kPage); }

  [[nodiscard]] std::uint64_t at(std::uint64_t page) const {
    return reinterpret_cast<std::uint64_t>(base_) + page * kPage;
  }

  Fd file_;
  std::byte* base_ = nullptr;
};

TEST_F(ProcessMapsTest, ARangeHasItsMappingsOnly) {
  const auto lines = read_maps(::getpid(), at(1), at(4));
  ASSERT_EQ(lines.size(), 2U);
  struct stat info{};
  ASSERT_EQ(::fstat(file_.get(), &info), 0);
  expect_equal(lines[0], {.start = at(0),
                          .end = at(2),
                          .readable = true,
                          .writable = true,
                          .shared = true,
                          .offset = 3 * kPage,
                          .device = info.st_dev,
                          .inode = info.st_ino,
                          .path = "/memfd:process maps (deleted)"});
  EXPECT_EQ(lines[1].start, at(3));
  EXPECT_TRUE(lines[1].readable);
  EXPECT_FALSE(lines[1].writable);
  EXPECT_FALSE(lines[1].shared);
  EXPECT_EQ(lines[1].inode, 0U);
}

TEST_F(ProcessMapsTest, AHoleHasNone) {
  EXPECT_TRUE(read_maps(::getpid(), at(2), at(3)).empty());
  EXPECT_TRUE(read_maps(::getpid(), at(1), at(1)).empty());
}

// Whichever way a range is asked for, it is what the text of all mappings says.
TEST_F(ProcessMapsTest, ARangeIsThatPartOfTheWhole) {
  std::size_t seen = 0;
  for (const MapsLine& line : read_maps(::getpid())) {
    if (line.path == "[heap]" || line.path == "[stack]") continue;  // grow as we speak
    if (line.path == "[vsyscall]") continue;                        // no mapping of the process
    const auto one = read_maps(::getpid(), line.start, line.start + 1);
    if (one.empty() || one[0].end != line.end) continue;  // the heap's, changed meanwhile
    expect_equal(one[0], line);
    ++seen;
  }
  EXPECT_GT(seen, 5U);
}

TEST_F(ProcessMapsTest, NobodyHasNone) {
  EXPECT_TRUE(read_maps(-1).empty());
  EXPECT_TRUE(read_maps(-1, 0, at(5)).empty());
}

}  // namespace
}  // namespace teeio::run
