#include "run/device_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "base/types.h"
#include "run/address_space.h"
#include "run/open_scan.h"
#include "run/pinned_pages.h"
#include "unit/run/with_device_files.h"

namespace teeio::run {
namespace {

class CountedFile final : public object::File {
 public:
  CountedFile(object::FileKind kind, int& releases) : File(kind), releases_(releases) {}

 private:
  void release() override { ++releases_; }
  int& releases_;
};

class DeviceFilesTest : public test::WithDeviceFiles {
 protected:
  DeviceFileRef add(object::FileKind kind = object::FileKind::kVfioDevice) {
    return *files->add(object::make_ref<CountedFile>(kind, releases), "/dev/test", O_RDWR,
                       ::getpid());
  }
  dev_t device_of(const DeviceFile& file) {
    struct stat info{};
    EXPECT_EQ(::fstat(file.backing->fd.get(), &info), 0);
    return info.st_dev;
  }
  int releases = 0;
};

TEST_F(DeviceFilesTest, OnlyTheLastCloseIsReportedAndOnce) {
  const DeviceFileRef device = add();
  Fd opened = *files->open_for_program(*device);
  Fd copy(::dup(opened.get()));
  opened.reset();
  EXPECT_TRUE(files->drain().empty());
  copy.reset();
  const auto closed = files->drain();
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0], device);
  EXPECT_TRUE(files->drain().empty());
}

TEST_F(DeviceFilesTest, NoMappingReachesTheLastAddress) {
  const pid_t self = ::getpid();
  const Thread thread{
      .tid = self, .process = self, .space = std::make_shared<const AddressSpace>(self)};
  constexpr std::uint64_t kLastPage = ~std::uint64_t{0} - kPageSize + 1;
  const auto found = find_device_mapping(*files, thread, kLastPage, kPageSize, mm::Access::kRead);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, Errno::kFault);
}

TEST_F(DeviceFilesTest, AMappingCountsAsOpen) {
  const DeviceFileRef device = add();
  ASSERT_TRUE(map_backing(device->backing)->expose(0, 4096));
  Fd opened = *files->open_for_program(*device);
  void* const at = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, opened.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  opened.reset();
  EXPECT_TRUE(files->drain().empty());
  ::munmap(at, 4096);
  EXPECT_EQ(files->drain().size(), 1U);
}

TEST_F(DeviceFilesTest, ClosesAreReportedInTheirOrder) {
  const DeviceFileRef a = add();
  const DeviceFileRef b = add();
  Fd first = *files->open_for_program(*a);
  Fd second = *files->open_for_program(*b);
  second.reset();
  first.reset();
  const auto closed = files->drain();
  ASSERT_EQ(closed.size(), 2U);
  EXPECT_EQ(closed[0], b);
  EXPECT_EQ(closed[1], a);
}

TEST_F(DeviceFilesTest, WhatNeverReachedTheProgramIsNotReported) {
  DeviceFileRef device = add();
  Fd opened = *files->open_for_program(*device);
  files->forget(device);
  opened.reset();
  EXPECT_TRUE(files->drain().empty());
  device.reset();
  EXPECT_EQ(releases, 1);
}

TEST_F(DeviceFilesTest, ReadsAndWritesPastUsAreReportedButNotOurOwnChanges) {
  std::vector<std::string> slips;
  files->on_slip([&](const DeviceFile&, std::string_view what) { slips.emplace_back(what); });
  const DeviceFileRef device = add();
  const auto mapped = map_backing(device->backing);
  ASSERT_TRUE(mapped->expose(0, 4096));
  mapped->revoke();
  ASSERT_TRUE(mapped->expose(0, 4096));
  const Fd opened = *files->open_for_program(*device);
  (void)files->drain();
  EXPECT_TRUE(slips.empty());
  char byte = 0;
  ASSERT_EQ(::read(opened.get(), &byte, 1), 1);
  (void)files->drain();
  EXPECT_EQ(slips, std::vector<std::string>{"read"});
}

TEST_F(DeviceFilesTest, AnInodeFindsItsFileUntilItIsClosed) {
  const DeviceFileRef device = add();
  const dev_t tmpfs = device_of(*device);
  EXPECT_EQ(files->find(tmpfs, device->backing->inode), device);
  EXPECT_EQ(files->find(tmpfs + 1, device->backing->inode), nullptr);
  files->forget(device);
  EXPECT_EQ(files->find(tmpfs, device->backing->inode), nullptr);
}

// What is left to ask after the kernel's queue overflowed.
TEST_F(DeviceFilesTest, AScanSeesDescriptorsAndMappingsOfOtherProcesses) {
  const DeviceFileRef by_fd = add();
  const DeviceFileRef by_map = add();
  const DeviceFileRef by_nobody = add();
  const dev_t tmpfs = device_of(*by_fd);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    (void)::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, by_map->backing->fd.get(), 0);
    ::close(by_map->backing->fd.get());
    ::close(by_nobody->backing->fd.get());
    (void)!::write(ready[1], &byte, 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const OpenScan scan(tmpfs);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(scan.contains(by_fd->backing->inode));
  EXPECT_TRUE(scan.contains(by_map->backing->inode));
  EXPECT_FALSE(scan.contains(by_nobody->backing->inode));
  EXPECT_FALSE(OpenScan(tmpfs).contains(by_fd->backing->inode));
}

// The kernel drops events beyond fs.inotify.max_queued_events, a close among them.
TEST_F(DeviceFilesTest, AfterAnOverflowOnlyWhatIsStillOpenSurvives) {
  const DeviceFileRef held = add();
  const DeviceFileRef closed_file = add();
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  Fd held_open = *files->open_for_program(*held);
  held->handed_out.store(true);
  closed_file->handed_out.store(true);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    ::close(go[1]);
    ::close(closed_file->backing->fd.get());
    ::_exit(static_cast<int>(::read(go[0], &byte, 1)));
  }
  int slips = 0;
  files->on_slip([&](const DeviceFile&, std::string_view) { ++slips; });
  constexpr int kReads = 100'000;
  {
    const Fd closing = *files->open_for_program(*closed_file);
    char byte = 0;
    ASSERT_EQ(::pwrite(closing.get(), "x", 1, 0), 1);
    ASSERT_EQ(::pwrite(held_open.get(), "x", 1, 0), 1);
    for (int i = 0; i < kReads; ++i)  // alternating: equal neighbours would merge
      ASSERT_EQ(::pread(i % 2 == 0 ? closing.get() : held_open.get(), &byte, 1, 0), 1);
  }
  held_open.reset();
  const auto closed = files->drain();
  ::close(go[1]);
  ::waitpid(child, nullptr, 0);
  EXPECT_LT(slips, kReads) << "fs.inotify.max_queued_events is larger than this test expects";
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0], closed_file);
}

/// Whether a byte can be read, asked of the kernel so that a fault is an answer.
bool is_reachable(void* at) {
  char byte = 0;
  const iovec here{&byte, 1};
  const iovec there{at, 1};
  return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == 1;
}

TEST_F(DeviceFilesTest, RevokeTakesTheBytesFromTheProgramAndNotFromUs) {
  const DeviceFileRef device = add();
  const auto mapped = map_backing(device->backing);
  constexpr std::uint64_t kOffset = 2ULL << 40U;
  const std::span<std::byte> window = *mapped->expose(kOffset, 4096);
  const Fd opened = *files->open_for_program(*device);
  void* const program =
      ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, opened.get(), static_cast<off_t>(kOffset));
  window[0] = std::byte{1};
  EXPECT_EQ(*static_cast<char*>(program), 1);
  mapped->revoke();
  EXPECT_FALSE(is_reachable(program));
  window[0] = std::byte{2};
  EXPECT_EQ(window[0], std::byte{2});
  const std::span<std::byte> again = *mapped->expose(kOffset, 4096);
  EXPECT_EQ(again.data(), window.data());
  again[0] = std::byte{3};
  EXPECT_EQ(*static_cast<char*>(program), 3);
  ::munmap(program, 4096);
}

}  // namespace
}  // namespace teeio::run
