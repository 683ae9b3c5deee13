#include <gtest/gtest.h>
#include <malloc.h>

#include <array>

#include "base/types.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "host/mm/plain_memory.h"

namespace teeio::mm {
namespace {

constexpr std::array kWord = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

TEST(PlainMemory, AccessOutsideOfAMappingFaults) {
  PlainMemory memory;
  const std::uint64_t at = memory.map(kPageSize);
  std::array<std::byte, 4> out{};
  EXPECT_TRUE(memory.write(at + kPageSize - 4, kWord).has_value());
  EXPECT_TRUE(memory.read(at + kPageSize - 4, out).has_value());
  EXPECT_EQ(out, kWord);
  EXPECT_EQ(memory.write(at + kPageSize - 3, kWord).error().code, Errno::kFault);
  EXPECT_EQ(memory.read(0, out).error().code, Errno::kFault);
  EXPECT_EQ(memory.read(~std::uint64_t{0} - 1, out).error().code, Errno::kFault);
}

TEST(PlainMemory, ReadOnlyMappingsRefuseWritesAndWritePins) {
  PlainMemory memory;
  const std::uint64_t at = memory.map(kPageSize, Access::kRead);
  EXPECT_EQ(memory.write(at, kWord).error().code, Errno::kFault);
  EXPECT_EQ(memory.pin(at, kPageSize, Access::kReadWrite).error().code, Errno::kFault);
  EXPECT_TRUE(memory.pin(at, kPageSize, Access::kRead).has_value());
}

TEST(PlainMemory, PinsShareTheBytesAndOutliveUnmap) {
  PlainMemory memory;
  const std::uint64_t at = memory.map(4 * kPageSize);
  const object::Ref<Pages> pin = *memory.pin(at + kPageSize, kPageSize, Access::kReadWrite);
  ASSERT_TRUE(memory.write(at + kPageSize + 8, kWord).has_value());
  memory.unmap(at);
  std::array<std::byte, 4> out{};
  ASSERT_TRUE(pin->read(8, out).has_value());
  EXPECT_EQ(out, kWord);
  EXPECT_EQ(pin->direct().size(), kPageSize);
}

TEST(PlainMemory, GivesBackWhatNobodyHasAnyMore) {
  constexpr std::size_t kBytes = std::size_t{1} << 20U;
  const auto in_use = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  PlainMemory memory;
  memory.unmap(memory.map(kBytes));
  const std::size_t before = in_use();
  for (int i = 0; i < 8; ++i) memory.unmap(memory.map(kBytes));
  EXPECT_LT(in_use(), before + kBytes);
}

TEST(PlainFiles, OnlyEventfdsSignalAndOnlyMemfdsHavePages) {
  auto event = object::make_ref<PlainEventFd>();
  auto memfd = object::make_ref<PlainMemfd>(2 * kPageSize, Access::kRead);
  auto pipe = object::make_ref<PlainOtherFile>();
  EXPECT_EQ(memfd->eventfd().error().code, Errno::kInval);
  EXPECT_EQ(pipe->eventfd().error().code, Errno::kInval);
  EXPECT_EQ(pipe->memfd_pages(0, kPageSize, Access::kRead).error().code, Errno::kInval);
  EXPECT_EQ(memfd->memfd_pages(kPageSize, 2 * kPageSize, Access::kRead).error().code,
            Errno::kInval);
  EXPECT_EQ(memfd->memfd_pages(0, kPageSize, Access::kReadWrite).error().code, Errno::kAcces);
  const object::Ref<EventFd> kept = *event->eventfd();
  kept->signal();
  kept->signal();
  EXPECT_EQ(event->take(), 2U);
  EXPECT_EQ(event->take(), 0U);
}

TEST(PlainMappedFile, RevokeTakesEveryWindowAndExposeGivesItBack) {
  PlainMappedFile file;
  ASSERT_TRUE(file.expose(0x10000, kPageSize).has_value());
  EXPECT_EQ(file.touch(0x10010)->size(), kPageSize - 0x10);
  EXPECT_FALSE(file.touch(0x11000).has_value());
  EXPECT_FALSE(file.touch(0).has_value());
  file.revoke();
  EXPECT_FALSE(file.touch(0x10010).has_value());
  ASSERT_TRUE(file.expose(0x10000, kPageSize).has_value());
  EXPECT_TRUE(file.touch(0x10010).has_value());
}

TEST(PlainCaller, ThreadsShareDescriptorsAndSignals) {
  PlainProcess process(7);
  PlainCaller main(process);
  PlainCaller worker(process, 8);
  const auto fd = main.install(object::make_ref<PlainOtherFile>(), 0);
  ASSERT_TRUE(fd.has_value());
  EXPECT_TRUE(worker.file(*fd).has_value());
  EXPECT_EQ(worker.file(*fd + 1).error().code, Errno::kBadF);
  EXPECT_EQ(main.mm_id(), worker.mm_id());
  process.signal();
  EXPECT_TRUE(worker.signal_pending());
}

}  // namespace
}  // namespace teeio::mm
