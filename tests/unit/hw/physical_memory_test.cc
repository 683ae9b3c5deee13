#include "hw/physical_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/check.h"
#include "schedule/atomic.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::hw {
namespace {

using testing::Each;
using testing::ElementsAreArray;

constexpr std::uint64_t kRam = 64 * kPageSize;
constexpr KeyId kTd{7};
constexpr KeyId kOtherTd{8};

Bytes pattern(std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}

/// A program's buffer, plain or reached only through read() and write().
class Buffer final : public WindowTarget {
 public:
  enum class Kind : std::uint8_t { kPlain, kCalls };
  explicit Buffer(std::size_t size_bytes, Kind kind = Kind::kPlain)
      : bytes(size_bytes), kind_(kind) {}
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    if (gone) return fail(Errno::kFault, "the program unmapped it");
    std::memcpy(out.data(), bytes.data() + offset, out.size());
    return {};
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    if (gone) return fail(Errno::kFault, "the program unmapped it");
    std::memcpy(bytes.data() + offset, in.data(), in.size());
    return {};
  }
  std::span<std::byte> direct() override {
    return kind_ == Kind::kPlain ? std::span(bytes) : std::span<std::byte>();
  }
  Bytes bytes;
  bool gone = false;

 private:
  const Kind kind_;
};

class Registers final : public MmioTarget {
 public:
  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(offset++);
    sizes.push_back(out.size());
  }
  void mmio_write(std::uint64_t offset, ByteView in) override {
    last_offset = offset;
    last.assign(in.begin(), in.end());
  }
  std::vector<std::size_t> sizes;
  std::uint64_t last_offset = 0;
  Bytes last;
};

TEST(PhysicalMemoryRam, LowestFreeFrameIsGivenFirst) {
  PhysicalMemory memory(kRam);
  const Hpa first = *memory.alloc_page();
  const Hpa second = *memory.alloc_page();
  const Hpa third = *memory.alloc_page();
  EXPECT_EQ(first, PhysicalMemory::kRamBase);
  EXPECT_EQ(third - second, kPageSize);
  memory.free_page(second);
  memory.free_page(first);
  EXPECT_EQ(*memory.alloc_page(), first);
  EXPECT_EQ(*memory.alloc_page(), second);
}

TEST(PhysicalMemoryRam, AllocationFailsWhenFullAndSucceedsAfterAFree) {
  PhysicalMemory memory(2 * kPageSize);
  const Hpa page = *memory.alloc_page();
  ASSERT_TRUE(memory.alloc_page().has_value());
  EXPECT_EQ(memory.alloc_page().error().code, Errno::kNoMem);
  EXPECT_EQ(memory.pages_in_use(), 2U);
  memory.free_page(page);
  EXPECT_EQ(memory.pages_in_use(), 1U);
  EXPECT_TRUE(memory.alloc_page().has_value());
}

TEST(PhysicalMemoryRam, FreedFrameForgetsBytesAndKey) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  memory.give_page(page, kTd);
  ASSERT_TRUE(memory.write(page, pattern(kPageSize), kTd).has_value());
  memory.free_page(page);
  EXPECT_FALSE(memory.read_u64(page, kTd).has_value());
  ASSERT_EQ(*memory.alloc_page(), page);
  EXPECT_EQ(memory.key_of(page), KeyId::kShared);
  Bytes seen(kPageSize, std::byte{1});
  ASSERT_TRUE(memory.read(page, seen).has_value());
  EXPECT_THAT(seen, Each(std::byte{0}));
}

TEST(PhysicalMemoryKeys, OnlyTheSameKeySeesAPage) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  memory.give_page(page, kTd);
  ASSERT_TRUE(memory.write_u64(page, 42, kTd).has_value());
  EXPECT_EQ(*memory.read_u64(page, kTd), 42U);
  EXPECT_EQ(memory.read_u64(page).error().code, Errno::kFault);
  EXPECT_EQ(memory.read_u64(page, kOtherTd).error().code, Errno::kFault);
  EXPECT_EQ(memory.write_u64(page, 0, kOtherTd).error().code, Errno::kFault);
  EXPECT_EQ(*memory.read_u64(page, kTd), 42U);
}

TEST(PhysicalMemoryKeys, TrustedKeyDoesNotReachASharedPage) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  EXPECT_EQ(memory.write_u64(page, 1, kTd).error().code, Errno::kFault);
}

TEST(PhysicalMemoryKeys, NewKeySeesZerosAndTheSameKeyKeepsBytes) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  ASSERT_TRUE(memory.write_u64(page, 42).has_value());
  memory.give_page(page, kTd);
  EXPECT_EQ(*memory.read_u64(page, kTd), 0U);
  ASSERT_TRUE(memory.write_u64(page, 43, kTd).has_value());
  memory.give_page(page, kTd);
  EXPECT_EQ(*memory.read_u64(page, kTd), 43U);
  memory.give_page(page, kOtherTd);
  EXPECT_EQ(*memory.read_u64(page, kOtherTd), 0U);
}

TEST(PhysicalMemoryKeys, TheHostSeesNoPlainTextOfAPageThatItGetsBack) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  memory.give_page(page, kTd);
  ASSERT_TRUE(memory.write_u64(page, 42, kTd).has_value());
  memory.give_page(page, KeyId::kShared);
  EXPECT_EQ(*memory.read_u64(page), 0U);
}

TEST(PhysicalMemoryKeys, WhatAFirmwareEncryptsInPlaceKeepsItsBytes) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  ASSERT_TRUE(memory.write_u64(page, 42).has_value());
  memory.give_page(page, kTd, Content::kKept);
  EXPECT_EQ(*memory.read_u64(page, kTd), 42U);
  EXPECT_FALSE(memory.read_u64(page).has_value());
}

TEST(PhysicalMemoryKeys, AccessStopsAtThePageWhoseKeyDoesNotFit) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  const Hpa next = *memory.alloc_page();
  memory.give_page(next, kTd);
  const Bytes bytes = pattern(16);
  EXPECT_EQ(memory.write(next + (0 - std::uint64_t{8}), bytes).error().code, Errno::kFault);
  Bytes seen(8);
  ASSERT_TRUE(memory.read(page + (kPageSize - 8), seen).has_value());
  EXPECT_THAT(seen, ElementsAreArray(bytes.begin(), bytes.begin() + 8));
  EXPECT_EQ(*memory.read_u64(next, kTd), 0U);
}

TEST(PhysicalMemoryRam, UnallocatedFramesAndHolesFault) {
  PhysicalMemory memory(kRam);
  EXPECT_EQ(memory.read_u64(PhysicalMemory::kRamBase).error().code, Errno::kFault);
  EXPECT_EQ(memory.read_u64(Hpa{0x1000}).error().code, Errno::kFault);
  EXPECT_TRUE(memory.direct(PhysicalMemory::kRamBase).empty());
}

TEST(PhysicalMemoryRam, DirectRunsToTheEndOfTheFrame) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  const auto bytes = memory.direct(page + 100);
  ASSERT_EQ(bytes.size(), kPageSize - 100);
  bytes[0] = std::byte{9};
  EXPECT_EQ(*memory.read_u64(page + 100), 9U);
}

class WindowAccess : public testing::TestWithParam<Buffer::Kind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, WindowAccess,
                         testing::Values(Buffer::Kind::kPlain, Buffer::Kind::kCalls));

TEST_P(WindowAccess, AnyAlignmentReachesTheTarget) {
  PhysicalMemory memory(kRam);
  Buffer buffer(3 * kPageSize, GetParam());
  const Hpa base = *memory.map_window(buffer, 3 * kPageSize);
  const Bytes bytes = pattern(2 * kPageSize);
  ASSERT_TRUE(memory.write(base + 1234, bytes).has_value());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), buffer.bytes.begin() + 1234));
  Bytes seen(bytes.size());
  ASSERT_TRUE(memory.read(base + 1234, seen).has_value());
  EXPECT_EQ(seen, bytes);
}

TEST(PhysicalMemoryWindow, EndsWhereItsSizeEndsAndIsGoneAfterUnmap) {
  PhysicalMemory memory(kRam);
  Buffer buffer(3 * kPageSize);
  const Hpa base = *memory.map_window(buffer, 3 * kPageSize);
  EXPECT_GE(raw(base), raw(PhysicalMemory::kWindowBase));
  EXPECT_EQ(memory.read_u64(base + 3 * kPageSize).error().code, Errno::kFault);
  EXPECT_EQ(memory.direct(base + kPageSize).size(), 2 * kPageSize);
  memory.unmap_window(base);
  EXPECT_EQ(memory.read_u64(base).error().code, Errno::kFault);
  EXPECT_TRUE(memory.direct(base).empty());
}

TEST(PhysicalMemoryWindow, IsSharedMemoryOnly) {
  PhysicalMemory memory(kRam);
  Buffer buffer(kPageSize);
  const Hpa base = *memory.map_window(buffer, kPageSize);
  EXPECT_EQ(memory.read_u64(base, kTd).error().code, Errno::kFault);
  EXPECT_EQ(memory.key_of(base), KeyId::kShared);
}

TEST(PhysicalMemoryWindow, TargetsRefusalIsTheAccesssResult) {
  PhysicalMemory memory(kRam);
  Buffer buffer(kPageSize, Buffer::Kind::kCalls);
  buffer.gone = true;
  const Hpa base = *memory.map_window(buffer, kPageSize);
  EXPECT_EQ(memory.write_u64(base, 1).error().code, Errno::kFault);
}

TEST(PhysicalMemoryWindow, IsAlignedToItsSizeAndNeverOverlapsAnother) {
  PhysicalMemory memory(kRam);
  Buffer buffer(0);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const std::uint64_t pages : {1ULL, 512ULL, 2ULL, 3ULL, 512ULL, 1ULL, 1ULL << 20U}) {
    const Hpa base = *memory.map_window(buffer, pages * kPageSize);
    EXPECT_EQ(raw(base) % (pages == 3 ? 4 * kPageSize : pages * kPageSize), 0U);
    ranges.emplace_back(raw(base), raw(base) + pages * kPageSize);
  }
  std::ranges::sort(ranges);
  for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].second, ranges[i].first);
}

TEST(PhysicalMemoryWindow, TooLargeIsRefused) {
  PhysicalMemory memory(kRam);
  Buffer buffer(0);
  EXPECT_EQ(memory.map_window(buffer, std::uint64_t{1} << 47U).error().code, Errno::kNoMem);
}

/// Notices when it is used after its end.
class Watched final : public WindowTarget, public MmioTarget {
 public:
  Result<void> read(std::uint64_t, std::span<std::byte>) override { return use(), Result<void>(); }
  Result<void> write(std::uint64_t, ByteView) override { return use(), Result<void>(); }
  void mmio_read(std::uint64_t, std::span<std::byte>) override { use(); }
  void mmio_write(std::uint64_t, ByteView) override { use(); }
  std::span<std::byte> direct() override { return {}; }
  void end() { ended_.store(1); }

 private:
  void use() {
    TEEIO_CHECK(ended_.load() == 0, "a target is used after its end");
    TEEIO_CHECK(ended_.load() == 0, "a target ended under an access");
  }
  schedule::Atomic<int> ended_{0};
};

// Once unmap_window() has returned, its caller may free the target.
TEST(PhysicalMemoryWindow, UnmapWaitsForARunningAccessInEveryOrder) {
  test::expect_sound([] {
    PhysicalMemory memory(kRam);
    Watched target;
    const Hpa base = *memory.map_window(target, kPageSize);
    auto device = schedule::Task::spawn("device", [&] { (void)memory.write_u64(base, 1); });
    memory.unmap_window(base);
    target.end();
    device.join();
  });
}

TEST(PhysicalMemoryMmio, ReleaseWaitsForARunningAccessInEveryOrder) {
  test::expect_sound([] {
    PhysicalMemory memory(kRam);
    Watched target;
    constexpr Hpa kBase{0xe000'0000};
    (void)memory.claim_mmio(kBase, kPageSize, target);
    auto cpu = schedule::Task::spawn("cpu", [&] { (void)memory.read_u64(kBase); });
    memory.release_mmio(kBase);
    target.end();
    cpu.join();
  });
}

TEST(PhysicalMemoryMmio, AnswersItsRangeWithOffsets) {
  PhysicalMemory memory(kRam);
  Registers registers;
  constexpr Hpa kBase{0xe000'0000};
  ASSERT_TRUE(memory.claim_mmio(kBase, 0x10000, registers).has_value());
  EXPECT_TRUE(memory.is_mmio(kBase + 0xffff));
  EXPECT_FALSE(memory.is_mmio(kBase + 0x10000));
  EXPECT_EQ(*memory.read_u64(kBase + 0x10), 0x1716151413121110U);
  ASSERT_TRUE(memory.write_u64(kBase + 0x20, 5).has_value());
  EXPECT_EQ(registers.last_offset, 0x20U);
  EXPECT_TRUE(memory.direct(kBase).empty());
}

// A key marks the access as a TD's own: T=1 on the link.
TEST(PhysicalMemoryMmio, AccessWithAKeyReachesTheTrustedTargetOnly) {
  PhysicalMemory memory(kRam);
  Registers shared;
  Registers trusted;
  constexpr Hpa kBase{0xe000'0000};
  constexpr Hpa kPlain{0xe100'0000};
  ASSERT_TRUE(memory.claim_mmio(kBase, 0x10000, shared, &trusted).has_value());
  ASSERT_TRUE(memory.claim_mmio(kPlain, 0x10000, shared).has_value());
  ASSERT_TRUE(memory.write_u64(kBase + 0x20, 5, kTd).has_value());
  EXPECT_EQ(trusted.last_offset, 0x20U);
  EXPECT_EQ(memory.read_u64(kPlain, kTd), ~std::uint64_t{0});
  ASSERT_TRUE(memory.write_u64(kPlain + 0x30, 5, kTd).has_value());
  EXPECT_TRUE(shared.sizes.empty());
}

TEST(PhysicalMemoryMmio, LongAccessComesInPiecesOfAPage) {
  PhysicalMemory memory(kRam);
  Registers registers;
  constexpr Hpa kBase{0xe000'0000};
  ASSERT_TRUE(memory.claim_mmio(kBase, 0x10000, registers).has_value());
  Bytes seen(3 * kPageSize);
  ASSERT_TRUE(memory.read(kBase, seen).has_value());
  EXPECT_THAT(registers.sizes, Each(testing::Le(kPageSize)));
  EXPECT_EQ(std::accumulate(registers.sizes.begin(), registers.sizes.end(), std::size_t{0}),
            seen.size());
}

TEST(PhysicalMemoryMmio, OverlapsAreRefused) {
  PhysicalMemory memory(kRam);
  Registers registers;
  constexpr Hpa kBase{0xe000'0000};
  ASSERT_TRUE(memory.claim_mmio(kBase, 0x10000, registers).has_value());
  for (const auto& [base, size] :
       std::vector<std::pair<Hpa, std::uint64_t>>{{kBase, 0x1000},
                                                  {kBase + 0xf000, 0x1000},
                                                  {Hpa{raw(kBase) - 0x1000}, 0x2000},
                                                  {Hpa{raw(kBase) - 0x1000}, 0x20000},
                                                  {PhysicalMemory::kRamBase + kPageSize, 0x1000},
                                                  {Hpa{std::uint64_t{1} << 46U}, 0x1000}})
    EXPECT_EQ(memory.claim_mmio(base, size, registers).error().code, Errno::kBusy)
        << std::hex << raw(base);
  EXPECT_TRUE(memory.claim_mmio(kBase + 0x10000, 0x1000, registers).has_value());
  memory.release_mmio(kBase);
  EXPECT_EQ(memory.read_u64(kBase).error().code, Errno::kFault);
  EXPECT_TRUE(memory.claim_mmio(kBase, 0x10000, registers).has_value());
}

TEST(PhysicalMemoryExchange, AWordIsReplacedOnlyWhileItIsWhatWasRead) {
  PhysicalMemory memory(kRam);
  const Hpa page = *memory.alloc_page();
  ASSERT_TRUE(memory.write_u64(page + 8, 5).has_value());
  std::uint64_t expected = 5;
  EXPECT_TRUE(*memory.compare_exchange_u64(page + 8, expected, 7));
  EXPECT_FALSE(*memory.compare_exchange_u64(page + 8, expected, 9));
  EXPECT_EQ(expected, 7U) << "what is there";
  EXPECT_EQ(*memory.read_u64(page + 8), 7U);
  memory.give_page(page, kTd);
  expected = 0;
  EXPECT_EQ(memory.compare_exchange_u64(page, expected, 1).error().code, Errno::kFault);
  EXPECT_TRUE(*memory.compare_exchange_u64(page, expected, 1, kTd));
}

TEST(PhysicalMemoryExchange, WindowsOfBothKindsAndNothingElse) {
  PhysicalMemory memory(kRam);
  for (const auto kind : {Buffer::Kind::kPlain, Buffer::Kind::kCalls}) {
    Buffer buffer(kPageSize, kind);
    const Hpa base = *memory.map_window(buffer, kPageSize);
    std::uint64_t expected = 0;
    EXPECT_TRUE(*memory.compare_exchange_u64(base + 16, expected, 7));
    EXPECT_FALSE(*memory.compare_exchange_u64(base + 16, expected, 9));
    EXPECT_EQ(expected, 7U);
    EXPECT_EQ(memory.compare_exchange_u64(base, expected, 1, kTd).error().code, Errno::kFault);
    memory.unmap_window(base);
  }
  Registers registers;
  constexpr Hpa kMmio{0xe000'0000};
  ASSERT_TRUE(memory.claim_mmio(kMmio, kPageSize, registers).has_value());
  std::uint64_t expected = 0;
  EXPECT_EQ(memory.compare_exchange_u64(kMmio, expected, 1).error().code, Errno::kFault);
  EXPECT_EQ(memory.compare_exchange_u64(Hpa{0x10}, expected, 1).error().code, Errno::kFault);
}

}  // namespace
}  // namespace teeio::hw
