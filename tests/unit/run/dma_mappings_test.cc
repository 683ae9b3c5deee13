#include "run/dma_mappings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/types.h"
#include "run/file_windows.h"
#include "run/process_state.h"
#include "schedule/sanitized.h"

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
  /// How many mappings more that takes; a sanitizer's own may become fewer.
  static std::ptrdiff_t cut_at(std::size_t left, bool upwards) {
    constexpr std::size_t kPages = 1000;
    const Fd cut = file(kPages * kPageSize);
    const auto mapping = DmaMapping::map(cut, kPages * kPageSize, kBoth, 0);
    EXPECT_TRUE(mapping.has_value());
    EXPECT_EQ(::ftruncate(cut.get(), static_cast<off_t>(left * kPageSize)), 0);
    const std::size_t before = mappings_of_process();
    for (std::size_t i = left; i < kPages; i += 2)
      touch(*mapping, upwards ? i : kPages + left - 1 - i);
    return static_cast<std::ptrdiff_t>(mappings_of_process()) - static_cast<std::ptrdiff_t>(before);
  }

  ProcessState state;  // its handler of SIGBUS
};

/// A file on a tmpfs without room, of which each other page is a hole, the last is none. Only a
/// thread of its own sees the tmpfs.
struct FileOfHoles {
  explicit FileOfHoles(std::size_t holes) : pages(2 * holes) {
    std::jthread([&] { problem = make(); }).join();
  }
  std::string make() {
    const std::string place = std::filesystem::temp_directory_path();
    if (::unshare(CLONE_FS | CLONE_NEWNS) != 0) return "no mount namespace";
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", place.c_str(), "tmpfs", 0, "size=8m") != 0)
      return "no tmpfs";
    file = Fd(::open((place + "/holes").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const char here = 1;
    for (std::size_t page = 1; page < pages; page += 2)
      if (::pwrite(file.get(), &here, 1, static_cast<off_t>(page * kPageSize)) != 1)
        return "too small a tmpfs";
    const Fd rest(::open((place + "/rest").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::vector<char> much(1U << 20U);
    for (std::size_t size = much.size(); size != 0; size /= 2)
      while (::write(rest.get(), much.data(), size) > 0) {
      }
    return {};
  }
  std::size_t pages;
  std::string problem;
  Fd file;
};

TEST_F(DmaMappings, ACutFileTakesNoMappingAPage) {
  constexpr std::ptrdiff_t kMost = schedule::kSanitized ? 16 : 2;  // a sanitizer's heap grows
  EXPECT_LE(cut_at(0, true), kMost);
  EXPECT_LE(cut_at(0, false), kMost);
  EXPECT_LE(cut_at(10, true), kMost);
  EXPECT_LE(cut_at(10, false), kMost);
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

TEST_F(DmaMappings, AHoleWithoutRoomTakesNothingFromWhatIsBehindIt) {
  const FileOfHoles holes(20);
  if (!holes.problem.empty()) GTEST_SKIP() << holes.problem;
  const auto mapping = DmaMapping::map(holes.file, holes.pages * kPageSize, kBoth, 0);
  ASSERT_TRUE(mapping.has_value());
  touch(*mapping, 4);
  touch(*mapping, 10);
  for (std::size_t page = 1; page < holes.pages; page += 2)
    EXPECT_EQ(mapping->address()[page * kPageSize], std::byte{1}) << page;
}

// Each page that is replaced is two mappings more for the kernel, which counts them.
TEST_F(DmaMappings, HolesWithoutEndTakeNoMappingEach) {
  const FileOfHoles holes(DmaMapping::kMostAlone + 100);
  if (!holes.problem.empty()) GTEST_SKIP() << holes.problem;
  const std::size_t before = mappings_of_process();
  for (int turn = 0; turn < 3; ++turn) {  // what went counts no more
    const auto first = DmaMapping::map(holes.file, holes.pages * kPageSize, kBoth, 0);
    const auto second = DmaMapping::map(holes.file, holes.pages * kPageSize, kBoth, 0);
    ASSERT_TRUE(first.has_value() && second.has_value());
    const std::size_t left = DmaMapping::kMostAlone / 2;
    for (std::size_t i = 0; i < left; ++i) touch(*first, 2 * i);
    EXPECT_EQ(first->address()[(2 * left + 1) * kPageSize], std::byte{1});
    for (std::size_t i = 0; i < left; ++i) touch(*second, holes.pages - 2 - 2 * i);
    EXPECT_EQ(second->address()[(holes.pages - 1) * kPageSize], std::byte{1});
    EXPECT_FALSE(took_more_than_a_hole());
    for (std::size_t i = left; i < holes.pages / 2; ++i) touch(*second, holes.pages - 2 - 2 * i);
    EXPECT_EQ(second->address()[(holes.pages - 1) * kPageSize], std::byte{0}) << "one too many";
    EXPECT_LE(mappings_of_process(), before + 2 * (DmaMapping::kMostAlone + 2));
    EXPECT_TRUE(took_more_than_a_hole());
  }
}

TEST_F(DmaMappings, PagesOfAFileThatArePinnedOneByOneShareMappings) {
  constexpr std::size_t kPages = 3 * FilePart::kWindow / kPageSize + 10;
  const Fd ram = file(kPages * kPageSize);
  const std::size_t before = mappings_of_process();
  std::vector<FilePart> parts;
  for (std::size_t i = 0; i < kPages; ++i)
    parts.push_back(*FilePart::map(ram, i * kPageSize, kPageSize, kBoth));
  if (!schedule::kThreadSanitized) {  // whose mappings come and go
    EXPECT_LE(mappings_of_process(), before + 4);
  }
  for (std::size_t i = 0; i < kPages; i += 100) {
    parts.at(i).bytes().front() = std::byte{9};
    std::byte seen{};
    EXPECT_EQ(::pread(ram.get(), &seen, 1, static_cast<off_t>(i * kPageSize)), 1);
    EXPECT_EQ(seen, std::byte{9}) << i;
  }
  const auto read_only = FilePart::map(ram, 0, kPageSize, PROT_READ);
  EXPECT_NE(read_only->bytes().data(), parts.front().bytes().data()) << "not by another's rights";
  const auto across = FilePart::map(ram, FilePart::kWindow - kPageSize, 2 * kPageSize, kBoth);
  across->bytes().back() = std::byte{5};
  EXPECT_EQ(parts.at(FilePart::kWindow / kPageSize).bytes().back(), std::byte{5});
  parts.clear();
  if (!schedule::kThreadSanitized) {  // whose mappings come and go
    EXPECT_LE(mappings_of_process(), before + 2) << "which are these two";
  }
}

TEST_F(DmaMappings, ANewPartOfAFileThatGrewIsTheFiles) {
  const Fd ram = file(2 * kPageSize);
  const auto first = FilePart::map(ram, kPageSize, kPageSize, kBoth);
  ASSERT_EQ(::ftruncate(ram.get(), 0), 0);
  volatile std::byte* const missed = first->bytes().data();
  EXPECT_EQ(std::byte{*missed}, std::byte{0});
  ASSERT_EQ(::ftruncate(ram.get(), 8 * kPageSize), 0);
  const std::byte seven{7};
  for (const std::size_t page : {std::size_t{1}, std::size_t{6}}) {
    const auto again = FilePart::map(ram, page * kPageSize, kPageSize, kBoth);
    ASSERT_EQ(::pwrite(ram.get(), &seven, 1, static_cast<off_t>(page * kPageSize)), 1);
    EXPECT_EQ(again->bytes().front(), seven) << page;
  }
  EXPECT_EQ(std::byte{*missed}, std::byte{0});
}

TEST_F(DmaMappings, AnotherAddressIsNotAmongThem) {
  int here = 0;
  EXPECT_FALSE(replace_cut(&here));
}

}  // namespace
}  // namespace teeio::run
