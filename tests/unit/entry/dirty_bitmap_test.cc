// Where IOMMU_HWPT_GET_DIRTY_BITMAP sets its bits: Linux drivers/iommu/iommufd/iova_bitmap.c.

#include <algorithm>
#include <cstring>
#include <vector>

#include "abi/iommufd_test.h"
#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using machine::test::make_machine;

constexpr std::uint64_t kApertureStart = 1U << 24U;
constexpr std::uint64_t kPages = 80;  // mapped one by one: each is a page of the table

struct DirtyBitmap : testing::Test {
  DirtyBitmap() {
    abi::iommu_ioas_alloc alloc{};
    make(IOMMU_IOAS_ALLOC, alloc);
    ioas = alloc.out_ioas_id;
    abi::iommu_test_cmd function{};
    function.op = abi::IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS;
    function.id = ioas;
    make(IOMMU_TEST_CMD, function);
    abi::iommu_hwpt_alloc hwpt{};
    hwpt.flags = 2;  // IOMMU_HWPT_ALLOC_DIRTY_TRACKING
    hwpt.dev_id = function.words[2];
    hwpt.pt_id = ioas;
    make(IOMMU_HWPT_ALLOC, hwpt);
    tracking = hwpt.out_hwpt_id;
    const std::uint64_t page = program.memory().map(kPageSize);
    for (std::uint64_t i = 0; i < kPages; ++i) {
      abi::iommu_ioas_map map{};
      map.flags = 7;
      map.ioas_id = ioas;
      map.user_va = page;
      map.length = kPageSize;
      map.iova = kApertureStart + i * kPageSize;
      make(IOMMU_IOAS_MAP, map);
    }
    abi::iommu_hwpt_set_dirty_tracking set{};
    set.flags = 1;
    set.hwpt_id = tracking;
    make(IOMMU_HWPT_SET_DIRTY_TRACKING, set);
  }
  template <class T>
  void make(std::uint32_t command, T& arg) {
    arg.size = sizeof(arg);
    const auto done = program.ioctl(fd, command, arg);
    ASSERT_TRUE(done.has_value()) << done.error().why;
  }
  void write_to(std::initializer_list<std::uint64_t> pages) {
    for (const std::uint64_t page : pages) {
      const std::byte first{1};
      abi::iommu_test_cmd dirty{};
      dirty.op = abi::IOMMU_TEST_OP_DIRTY;
      dirty.id = tracking;
      dirty.dirty.iova = kApertureStart + page * kPageSize;
      dirty.dirty.length = kPageSize;
      dirty.dirty.page_size = kPageSize;
      dirty.dirty.uptr = program.store({&first, 1});
      make(IOMMU_TEST_CMD, dirty);
    }
  }
  [[nodiscard]] abi::iommu_hwpt_get_dirty_bitmap question(std::uint64_t first, std::uint64_t pages,
                                                          std::uint64_t page_size,
                                                          std::uint64_t at) const {
    abi::iommu_hwpt_get_dirty_bitmap get{};
    get.size = sizeof(get);
    get.hwpt_id = tracking;
    get.iova = kApertureStart + first * kPageSize;
    get.length = pages * kPageSize;
    get.page_size = page_size;
    get.data = at;
    return get;
  }
  void ask(std::uint64_t first, std::uint64_t pages, std::uint64_t page_size, std::uint64_t at) {
    auto get = question(first, pages, page_size, at);
    make(IOMMU_HWPT_GET_DIRTY_BITMAP, get);
  }
  std::vector<int> bytes_at(std::uint64_t address, std::size_t count) {
    Bytes bytes(count);
    EXPECT_TRUE(program.memory().read(address, bytes).has_value());
    std::vector<int> out;
    for (const std::byte byte : bytes) out.push_back(std::to_integer<int>(byte));
    return out;
  }
  void fill(std::uint64_t address, std::size_t count, int value) {
    const Bytes bytes(count, std::byte(value));
    ASSERT_TRUE(program.memory().write(address, bytes).has_value());
  }
  using Bits = std::vector<int>;

  std::unique_ptr<machine::Machine> machine = make_machine("iommufd-mock");
  machine::Program program{*machine};
  int fd = *program.open("/dev/iommu");
  std::uint32_t ioas = 0, tracking = 0;
  std::uint64_t bitmap = program.memory().map(2 * kPageSize);
};

TEST_F(DirtyBitmap, CountsFromTheFirstAddressThatIsAskedFor) {
  write_to({3, 4, 11, 79});
  ask(3, 10, kPageSize, bitmap);
  EXPECT_EQ(bytes_at(bitmap, 3), (Bits{0b11, 0b1, 0}));
  fill(bitmap, 2, 0);
  ask(13, 67, kPageSize, bitmap);
  EXPECT_EQ(bytes_at(bitmap, 10), (Bits{0, 0, 0, 0, 0, 0, 0, 0, 0b100, 0}))
      << "of the last word nothing but what is asked for";
}

TEST_F(DirtyBitmap, AddsToWhatIsThereAndTouchesNoNeighbour) {
  write_to({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 30});
  const std::uint64_t at = bitmap + 101;  // no word's beginning
  fill(at - 1, 6, 0x80);
  ask(1, 31, kPageSize, at);
  EXPECT_EQ(bytes_at(at - 1, 6), (Bits{0x80, 0xff, 0xff, 0x83, 0xa0, 0x80}));
}

TEST_F(DirtyBitmap, ABitIsOfThePageSizeThatIsAskedFor) {
  write_to({1, 8, 31, 40});
  ask(0, 80, 16 * kPageSize, bitmap);
  EXPECT_EQ(bytes_at(bitmap, 2), (Bits{0b111, 0}));
  write_to({1, 8, 31, 40});
  fill(bitmap, 2, 0);
  ask(8, 8, kPageSize / 2, bitmap);
  EXPECT_EQ(bytes_at(bitmap, 3), (Bits{0b11, 0, 0}));
}

// The lowest bit of a size that is no power of two counts: __ffs().
TEST_F(DirtyBitmap, AnOddPageSizeIsItsLowestBit) {
  write_to({8, 10});
  ask(8, 8, 3 * kPageSize, bitmap);
  EXPECT_EQ(bytes_at(bitmap, 2), (Bits{0b101, 0}));
}

// iommufd_check_iova_range(), which looks at it before anything is computed from it.
TEST_F(DirtyBitmap, OfPagesOfNoSizeIsRefused) {
  write_to({0});
  auto get = question(0, 8, 0, bitmap);
  const auto done = program.ioctl(fd, IOMMU_HWPT_GET_DIRTY_BITMAP, get);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errno::kInval);
  EXPECT_EQ(bytes_at(bitmap, 1), Bits{0});
}

TEST_F(DirtyBitmap, GoesOnInThePageBehind) {
  write_to({0, 15, 16, 17, 24});
  const std::uint64_t at = bitmap + kPageSize - 2;
  ask(0, 32, kPageSize, at);
  EXPECT_EQ(bytes_at(at - 1, 6), (Bits{0, 0x01, 0x80, 0x03, 0x01, 0}));
}

TEST_F(DirtyBitmap, LosesWhatIsInAPageThatCannotBeWritten) {
  write_to({0, 15, 16, 24});
  const std::uint64_t last = program.memory().map(kPageSize);  // a gap is behind it
  ask(0, 32, kPageSize, last + kPageSize - 2);
  EXPECT_EQ(bytes_at(last + kPageSize - 2, 2), (Bits{0x01, 0x80}));
  write_to({0, 15, 16, 24});
  ask(0, 32, kPageSize, last - 1);
  EXPECT_EQ(bytes_at(last, 4), (Bits{0x80, 0x01, 0x01, 0}));
}

}  // namespace
}  // namespace teeio::entry
