// Structures of a program that an IOMMU's driver reads one by one.

#include "entry/program_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "entry/copy.h"
#include "host/mm/plain_memory.h"

namespace teeio::entry {
namespace {

/// Counts what would be system calls.
class CountedMemory final : public mm::UserMemory {
 public:
  Result<void> read(std::uint64_t address, std::span<std::byte> out) override {
    ++reads;
    return plain.read(address, out);
  }
  Result<void> write(std::uint64_t address, ByteView in) override {
    return plain.write(address, in);
  }
  Result<object::Ref<mm::Pages>> pin(std::uint64_t address, std::uint64_t length,
                                     mm::Access access) override {
    return plain.pin(address, length, access);
  }
  Result<std::vector<mm::PageId>> pages(std::uint64_t address, std::uint64_t length) override {
    return plain.pages(address, length);
  }

  mm::PlainMemory plain;
  int reads = 0;
};

constexpr std::uint32_t kType = 1, kLength = 24;  // no divisor of a page

struct ProgramDataTest : testing::Test {
  /// Structure i begins with i, and has i + 1 at byte 16.
  void fill(std::uint64_t at, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      std::array<std::uint32_t, kLength / 4> words{i};
      words[4] = i + 1;
      ASSERT_TRUE(memory.write(at + i * kLength, std::as_bytes(std::span(words))).has_value());
    }
  }
  static std::uint32_t word(ProgramData& data, std::uint32_t index, std::uint32_t offset = 0) {
    std::uint32_t value = ~0U;
    EXPECT_TRUE(data.read(index, offset, writable_bytes_of(value)).has_value()) << index;
    return value;
  }
  CountedMemory memory;
};

TEST_F(ProgramDataTest, AnArrayIsReadAPageAtATime) {
  constexpr std::uint32_t kCount = 1000;
  const std::uint64_t at = memory.plain.map(8 * kPageSize) + 100;
  fill(at, kCount);
  ProgramData data(memory, at, kType, kLength, kCount);
  for (std::uint32_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(word(data, i, 16), i + 1);
    EXPECT_EQ(word(data, i), i);
  }
  EXPECT_LE(memory.reads, 7);
  EXPECT_EQ(word(data, 3), 3U) << "and backwards";
}

TEST_F(ProgramDataTest, WhatLiesBeforeAMissingPageIsRead) {
  const std::uint64_t end = memory.plain.map(kPageSize) + kPageSize;
  constexpr std::uint32_t kThere = 5;
  const std::uint64_t at = end - kThere * kLength - 8;  // the sixth is torn
  fill(at, kThere);
  ProgramData data(memory, at, kType, kLength, 100);
  for (std::uint32_t i = 0; i < kThere; ++i) EXPECT_EQ(word(data, i), i);
  std::array<std::byte, kLength> whole{};
  EXPECT_EQ(data.read(kThere, 0, whole).error().code, Errno::kFault);
  EXPECT_EQ(word(data, kThere - 1), kThere - 1);
  EXPECT_EQ(data.read(kThere + 1, 0, whole).error().code, Errno::kFault);
}

TEST_F(ProgramDataTest, NothingBehindTheArrayIsRead) {
  const std::uint64_t at = memory.plain.map(kPageSize);
  fill(at, 2);
  ProgramData data(memory, at, kType, kLength, 2);
  EXPECT_EQ(word(data, 0), 0U);
  EXPECT_EQ(word(data, 1), 1U);
  EXPECT_EQ(memory.reads, 1);
  ProgramData one(memory, at, kType, kLength);
  EXPECT_EQ(word(one, 0, 16), 1U);
}

// Twice as many system calls as an ioctl needs otherwise.
TEST_F(ProgramDataTest, AnIoctlsStructureIsReadAtOnce) {
  struct Argument {
    std::uint32_t size, first, second;
  };
  const std::uint64_t at = memory.plain.map(kPageSize);
  ASSERT_TRUE(memory.write(at, bytes_of(Argument{sizeof(Argument), 1, 2})).has_value());
  EXPECT_EQ(copy_struct_in<Argument>(memory, at, 8)->second, 2U);
  EXPECT_EQ(memory.reads, 1);
}

}  // namespace
}  // namespace teeio::entry
