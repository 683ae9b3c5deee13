#include "run/dma_mappings.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "base/types.h"
#include "run/process_state.h"

namespace teeio::run {
namespace {

constexpr int kBoth = PROT_READ | PROT_WRITE;

std::size_t mappings_of_process() {
  std::ifstream maps("/proc/self/maps");
  std::size_t lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

struct DmaMappings : testing::Test {
  static Fd file(std::size_t size, unsigned flags = 0) {
    Fd made(::memfd_create("dma", MFD_CLOEXEC | flags));
    EXPECT_TRUE(made.ok() && ::ftruncate(made.get(), static_cast<off_t>(size)) == 0);
    return made;
  }
  static void touch(const DmaMapping& mapping, std::size_t page) {
    volatile std::byte* const at = mapping.address() + page * kPageSize;
    EXPECT_EQ(std::byte{*at}, std::byte{0});
    *at = std::byte{1};
  }
  static std::size_t cut_at(std::size_t left, bool upwards) {
    constexpr std::size_t kPages = 1000;
    const Fd cut = file(kPages * kPageSize);
    const auto mapping = DmaMapping::map(cut, kPages * kPageSize, kBoth, 0);
    EXPECT_TRUE(mapping.has_value());
    EXPECT_EQ(::ftruncate(cut.get(), static_cast<off_t>(left * kPageSize)), 0);
    const std::size_t before = mappings_of_process();
    for (std::size_t i = left; i < kPages; i += 2)
      touch(*mapping, upwards ? i : kPages + left - 1 - i);
    return mappings_of_process() - before;
  }

  ProcessState state;  // its handler of SIGBUS
};

TEST_F(DmaMappings, ACutFileTakesNoMappingAPage) {
  EXPECT_LE(cut_at(0, true), 2U);
  EXPECT_LE(cut_at(0, false), 2U);
  EXPECT_LE(cut_at(10, true), 2U);
  EXPECT_LE(cut_at(10, false), 2U);
}

TEST_F(DmaMappings, WhatIsLeftOfTheFileIsTheFilesStill) {
  const Fd cut = file(8 * kPageSize);
  const auto mapping = DmaMapping::map(cut, 8 * kPageSize, kBoth, 0);
  ASSERT_TRUE(mapping.has_value());
  ASSERT_EQ(::ftruncate(cut.get(), 4 * kPageSize), 0);
  touch(*mapping, 6);
  touch(*mapping, 4);
  mapping->address()[3 * kPageSize] = std::byte{7};
  std::byte seen{};
  EXPECT_EQ(::pread(cut.get(), &seen, 1, 3 * kPageSize), 1);
  EXPECT_EQ(seen, std::byte{7});
}

TEST_F(DmaMappings, HugePagesAreReplacedWhole) {
  constexpr std::size_t kHuge = 2U << 20U;
  const Fd cut(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | (21U << 26U)));  // of 2 MiB
  if (!cut.ok() || ::ftruncate(cut.get(), 2 * kHuge) != 0) GTEST_SKIP() << "no hugetlb";
  const std::size_t before = mappings_of_process();
  {
    const auto mapping = DmaMapping::map(cut, 2 * kHuge - kPageSize, kBoth, 0);
    if (!mapping) GTEST_SKIP() << "no huge pages: sysctl vm.nr_hugepages";
    ASSERT_EQ(::ftruncate(cut.get(), kHuge), 0);
    touch(*mapping, kHuge / kPageSize + 3);
    ASSERT_EQ(::ftruncate(cut.get(), 0), 0);
    touch(*mapping, 3);
  }
  EXPECT_EQ(mappings_of_process(), before) << "the last page, which no length had, went too";
}

TEST_F(DmaMappings, MoreThanThereIsRoomForAreRefused) {
  const Fd shared = file(kPageSize);
  std::vector<DmaMapping> all;
  while (all.size() <= DmaMapping::kMost) {
    auto mapping = DmaMapping::map(shared, kPageSize, kBoth, 0);
    if (!mapping) break;
    all.push_back(std::move(*mapping));
  }
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(all.size(), DmaMapping::kMost);
  all.pop_back();
  EXPECT_TRUE(DmaMapping::map(shared, kPageSize, kBoth, 0).has_value());
  ASSERT_EQ(::ftruncate(shared.get(), 0), 0);
  for (std::size_t i = 0; i < all.size(); i += 1000) touch(all.at(i), 0);
}

TEST_F(DmaMappings, AnotherAddressIsNotAmongThem) {
  int here = 0;
  EXPECT_FALSE(replace_cut(&here));
}

}  // namespace
}  // namespace teeio::run
