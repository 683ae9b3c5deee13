// iommufd on a machine with the mock interface, through the calls that programs make. What
// Linux's own selftest asks (docs/kernel-selftests.md) is not asked again, but for one way
// through each kind of object.

#include <array>

#include "abi/iommufd_test.h"
#include "unit/machine/make_machine.h"

namespace teeio::entry {
namespace {

using machine::test::error_of;
using machine::test::make_machine;

constexpr std::uint64_t kIova = 1U << 24U;  // MOCK_APERTURE_START
constexpr std::uint32_t kHwptData = 0xdead, kSelftestType = 0xdeadbeef, kEventType = 0xbeefbeef;

struct MockTest : testing::Test {
  MockTest() {
    abi::iommu_ioas_alloc alloc{};
    alloc.size = sizeof(alloc);
    EXPECT_TRUE(call(IOMMU_IOAS_ALLOC, alloc).has_value());
    ioas = alloc.out_ioas_id;
    page = program.memory().map(4 * kPageSize);
  }
  template <class T>
  Result<std::int64_t> call(std::uint32_t command, T& arg) {
    return program.ioctl(fd, command, arg);
  }
  Result<std::int64_t> test(abi::iommu_test_cmd& cmd) {
    cmd.size = sizeof(cmd);
    return call(IOMMU_TEST_CMD, cmd);
  }
  static abi::iommu_test_cmd op(std::uint32_t number, std::uint32_t id,
                                std::initializer_list<std::uint32_t> words = {}) {
    abi::iommu_test_cmd cmd{};
    cmd.op = number;
    cmd.id = id;
    std::ranges::copy(words, cmd.words);
    return cmd;
  }
  void put_back(int queue, ByteView bytes) {
    program.machine().system_calls().put_back(**program.file(queue), bytes);
  }
  /// A function on `pt`; gives stdev, HWPT and idevice.
  std::array<std::uint32_t, 3> add_function(std::uint32_t pt, std::uint32_t flags = 0) {
    auto cmd = op(abi::IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, pt, {0, 0, 0, flags});
    EXPECT_TRUE(test(cmd).has_value());
    return {cmd.words[0], cmd.words[1], cmd.words[2]};
  }
  Result<std::int64_t> replace(std::uint32_t stdev, std::uint32_t pt) {
    auto cmd = op(abi::IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, stdev, {pt});
    return test(cmd);
  }
  Result<std::uint32_t> hwpt(std::uint32_t device, std::uint32_t pt, std::uint32_t flags,
                             bool nested = false, std::uint32_t fault = 0) {
    const std::array<std::uint32_t, 2> data{0xbadbeef, 0};
    abi::iommu_hwpt_alloc alloc{};
    alloc.size = sizeof(alloc);
    alloc.flags = flags;
    alloc.dev_id = device;
    alloc.pt_id = pt;
    alloc.fault_id = fault;
    if (nested) {
      alloc.data_type = kHwptData;
      alloc.data_len = sizeof(data);
      alloc.data_uptr = program.store(std::as_bytes(std::span(data)));
    }
    TEEIO_TRY(call(IOMMU_HWPT_ALLOC, alloc));
    return alloc.out_hwpt_id;
  }
  Result<std::int64_t> map(std::uint64_t iova, std::uint64_t length, std::uint32_t flags = 7) {
    abi::iommu_ioas_map arg{};
    arg.size = sizeof(arg);
    arg.flags = flags;
    arg.ioas_id = ioas;
    arg.user_va = page;
    arg.length = length;
    arg.iova = iova;
    return call(IOMMU_IOAS_MAP, arg);
  }
  Result<std::int64_t> unmap(std::uint64_t iova, std::uint64_t length) {
    abi::iommu_ioas_unmap arg{};
    arg.size = sizeof(arg);
    arg.ioas_id = ioas;
    arg.iova = iova;
    arg.length = length;
    return call(IOMMU_IOAS_UNMAP, arg);
  }
  Result<std::int64_t> destroy(std::uint32_t id) {
    abi::iommu_destroy arg{};
    arg.size = sizeof(arg);
    arg.id = id;
    return call(IOMMU_DESTROY, arg);
  }
  Result<std::int64_t> check_map(std::uint32_t id, std::uint64_t iova, std::uint64_t address) {
    auto cmd = op(abi::IOMMU_TEST_OP_MD_CHECK_MAP, id);
    cmd.longs[0] = iova;
    cmd.longs[1] = kPageSize;
    cmd.longs[2] = address;
    return test(cmd);
  }
  Result<std::int64_t> check_refs(std::uint32_t refs) {
    auto cmd = op(abi::IOMMU_TEST_OP_MD_CHECK_REFS, 0);
    cmd.check_refs.length = kPageSize;
    cmd.check_refs.uptr = page;
    cmd.check_refs.refs = refs;
    return test(cmd);
  }
  Result<std::uint32_t> create_access(std::uint32_t flags) {
    auto cmd = op(abi::IOMMU_TEST_OP_CREATE_ACCESS, ioas, {0, flags});
    TEEIO_TRY(test(cmd));
    return cmd.words[0];
  }
  Result<std::uint32_t> pin(std::uint32_t access, std::uint64_t iova, std::uint32_t flags = 0) {
    auto cmd = op(abi::IOMMU_TEST_OP_ACCESS_PAGES, access);
    cmd.access_pages.flags = flags;
    cmd.access_pages.iova = iova;
    cmd.access_pages.length = kPageSize;
    cmd.access_pages.uptr = page;
    TEEIO_TRY(test(cmd));
    return cmd.access_pages.out_access_pages_id;
  }

  std::unique_ptr<machine::Machine> machine = make_machine("iommufd-mock");
  machine::Program program{*machine};
  int fd = *program.open("/dev/iommu");
  std::uint32_t ioas = 0;
  std::uint64_t page = 0;
};

TEST(MockSetting, WithoutItTheTestCallIsUnknown) {
  const auto machine = make_machine();
  machine::Program program(*machine);
  const int fd = *program.open("/dev/iommu");
  abi::iommu_test_cmd cmd{};
  cmd.size = sizeof(cmd);
  cmd.op = abi::IOMMU_TEST_OP_MOCK_DOMAIN;
  EXPECT_EQ(error_of(program.ioctl(fd, IOMMU_TEST_CMD, cmd)), Errno::kNoTty);
}

TEST_F(MockTest, AMappedPageIsPinnedOnceAndFoundThroughEachHwpt) {
  const auto first = add_function(ioas);
  ASSERT_TRUE(map(kIova, kPageSize).has_value());
  const auto second = *hwpt(first[2], ioas, 0);
  EXPECT_TRUE(check_map(first[1], kIova, page).has_value());
  EXPECT_TRUE(check_map(second, kIova, page).has_value());
  EXPECT_EQ(error_of(check_map(second, kIova, page + kPageSize)), Errno::kInval);
  EXPECT_TRUE(check_refs(1).has_value());
  EXPECT_EQ(error_of(check_refs(2)), Errno::kIo);
  ASSERT_TRUE(unmap(kIova, kPageSize).has_value());
  EXPECT_TRUE(check_refs(0).has_value());
  EXPECT_EQ(error_of(map(0x1000, kPageSize)), Errno::kInval) << "below the aperture";
  EXPECT_EQ(error_of(destroy(ioas)), Errno::kBusy);
}

TEST_F(MockTest, HalfPagesAreMappedBecauseTheMocksPagesAreThatSmall) {
  const auto function = add_function(ioas);
  ASSERT_TRUE(map(kIova + 2048, 2048).has_value());
  EXPECT_EQ(error_of(map(kIova + 1024, 1024)), Errno::kInval);
  EXPECT_TRUE(destroy(function[0]).has_value());
  EXPECT_TRUE(map(0x1000, 10).has_value()) << "without a domain nothing has to be aligned";
}

TEST_F(MockTest, DirtyPagesAreReportedOnceOrKept) {
  const auto function = add_function(ioas);
  const auto plain = *hwpt(function[2], ioas, 0);
  const auto tracking = *hwpt(function[2], ioas, 2);
  ASSERT_TRUE(map(kIova, 2 * kPageSize).has_value());
  abi::iommu_hwpt_set_dirty_tracking set{};
  set.size = sizeof(set);
  set.flags = 1;
  set.hwpt_id = plain;
  EXPECT_EQ(error_of(call(IOMMU_HWPT_SET_DIRTY_TRACKING, set)), Errno::kOpNotSupp);
  set.hwpt_id = tracking;
  auto dirty = op(abi::IOMMU_TEST_OP_DIRTY, tracking);
  const std::byte second_page{2};
  dirty.dirty.iova = kIova;
  dirty.dirty.length = 2 * kPageSize;
  dirty.dirty.page_size = kPageSize;
  dirty.dirty.uptr = program.store({&second_page, 1});
  EXPECT_EQ(error_of(test(dirty)), Errno::kInval) << "not on yet";
  ASSERT_TRUE(call(IOMMU_HWPT_SET_DIRTY_TRACKING, set).has_value());
  ASSERT_TRUE(test(dirty).has_value());
  EXPECT_EQ(dirty.dirty.out_nr_dirty, 1U);

  abi::iommu_hwpt_get_dirty_bitmap get{};
  get.size = sizeof(get);
  get.hwpt_id = tracking;
  get.flags = 1;
  get.iova = kIova;
  get.length = 2 * kPageSize;
  get.page_size = kPageSize;
  get.data = program.memory().map(kPageSize);
  const auto bits = [&] {
    std::byte read{};
    EXPECT_TRUE(program.memory().read(get.data, {&read, 1}).has_value());
    EXPECT_TRUE(program.memory().write(get.data, std::array{std::byte{}}).has_value());
    return std::to_integer<int>(read);
  };
  ASSERT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value());
  EXPECT_EQ(bits(), 3) << "eight KiB are one page of the table";
  get.flags = 0;
  ASSERT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value());
  EXPECT_EQ(bits(), 3) << "NO_CLEAR kept them";
  ASSERT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value());
  EXPECT_EQ(bits(), 0);

  // Linux drops what goes wrong on the way: a gap ends the walk, and a bitmap that cannot be
  // written gets nothing.
  ASSERT_TRUE(test(dirty).has_value());
  get.length = 3 * kPageSize;
  ASSERT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value()) << "a gap";
  EXPECT_EQ(bits(), 3) << "before the gap";
  get.iova = kIova + 2 * kPageSize;
  get.length = kPageSize;
  EXPECT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value()) << "nothing but a gap";
  EXPECT_EQ(bits(), 0);
  get.iova = kIova;
  get.length = 2 * kPageSize;
  const std::uint64_t writable = std::exchange(get.data, 0);
  ASSERT_TRUE(test(dirty).has_value());
  EXPECT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value());
  get.data = writable;
  EXPECT_TRUE(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get).has_value());
  EXPECT_EQ(bits(), 0) << "cleared, though nobody heard of them";
  get.length = 0;
  EXPECT_EQ(error_of(call(IOMMU_HWPT_GET_DIRTY_BITMAP, get)), Errno::kInval);
}

TEST_F(MockTest, NoIovaIsFoundWhereOnlyTheLastPagesAreLeft) {
  auto reserve = op(abi::IOMMU_TEST_OP_ADD_RESERVED, ioas);
  reserve.longs[0] = 6;
  reserve.longs[1] = 0xffff'ffff'ffff'8001;
  ASSERT_TRUE(test(reserve).has_value());
  abi::iommu_ioas_map arg{};
  arg.size = sizeof(arg);
  arg.flags = 6;  // readable, writable
  arg.ioas_id = ioas;
  constexpr std::uint64_t kAlignment = 8 * kPageSize;  // of the memory, and so of the IOVA
  arg.user_va = (program.memory().map(2 * kAlignment) + kAlignment - 1) & ~(kAlignment - 1);
  arg.length = 5 * kPageSize;
  EXPECT_EQ(error_of(call(IOMMU_IOAS_MAP, arg)), Errno::kNoSpc);
}

TEST_F(MockTest, AFaultWaitsForOneAnswerAndGoesWithItsAttachment) {
  const auto function = add_function(ioas);
  const auto parent = *hwpt(function[2], ioas, 1);
  abi::iommu_fault_alloc queue{};
  queue.size = sizeof(queue);
  ASSERT_TRUE(call(IOMMU_FAULT_QUEUE_ALLOC, queue).has_value());
  const int events = static_cast<int>(queue.out_fault_fd);
  EXPECT_EQ(error_of(hwpt(function[2], parent, 4, true, 99)), Errno::kNoEnt);
  const auto nested = *hwpt(function[2], parent, 4, true, queue.out_fault_id);
  ASSERT_TRUE(replace(function[0], nested).has_value());
  EXPECT_EQ(error_of(destroy(queue.out_fault_id)), Errno::kBusy);
  auto fault = op(abi::IOMMU_TEST_OP_TRIGGER_IOPF, 0, {function[2], 0, 5, 1});
  ASSERT_TRUE(test(fault).has_value());
  abi::iommu_hwpt_pgfault read{};
  const auto bytes = writable_bytes_of(read);
  EXPECT_EQ(error_of(program.pread(events, 0, bytes.first(39))), Errno::kSPipe);
  EXPECT_EQ(error_of(program.pread(events, 0, bytes.first(0))), Errno::kInval);
  ASSERT_EQ(program.pread(events, 0, bytes).value_or(0), sizeof(read));
  EXPECT_EQ(read.dev_id, function[2]);
  EXPECT_EQ(read.grpid, 5U);
  EXPECT_EQ(*program.pread(events, 0, bytes), 0U) << "nothing more";
  put_back(events, bytes);
  read = {};
  ASSERT_EQ(program.pread(events, 0, bytes).value_or(0), sizeof(read)) << "the copy failed";
  EXPECT_EQ(read.grpid, 5U);

  abi::iommu_hwpt_page_response answer{};
  answer.cookie = read.cookie;
  answer.code = 7;
  EXPECT_EQ(error_of(program.pwrite(events, 0, bytes_of(answer))), Errno::kInval);
  answer.code = 0;
  EXPECT_EQ(program.pwrite(events, 0, bytes_of(answer)).value_or(0), sizeof(answer));
  EXPECT_EQ(error_of(program.pwrite(events, 0, bytes_of(answer))), Errno::kInval) << "once only";

  ASSERT_TRUE(test(fault).has_value());
  ASSERT_TRUE(replace(function[0], parent).has_value());
  EXPECT_EQ(*program.pread(events, 0, bytes), 0U) << "answered as the attachment went";
  ASSERT_TRUE(destroy(nested).has_value());
  EXPECT_EQ(error_of(destroy(queue.out_fault_id)), Errno::kBusy) << "its file is open";
  ASSERT_TRUE(program.close(events).has_value());
  EXPECT_TRUE(destroy(queue.out_fault_id).has_value());
}

TEST_F(MockTest, AFullVeventqSaysThatEventsWereLost) {
  const auto function = add_function(ioas);
  const auto parent = *hwpt(function[2], ioas, 1);
  abi::iommu_viommu_alloc viommu{};
  viommu.size = sizeof(viommu);
  viommu.type = kSelftestType;
  viommu.dev_id = function[2];
  viommu.hwpt_id = parent;
  ASSERT_TRUE(call(IOMMU_VIOMMU_ALLOC, viommu).has_value());
  const std::uint32_t id = viommu.out_viommu_id;
  const auto nested = *hwpt(function[2], id, 0, true);
  EXPECT_EQ(error_of(replace(function[0], nested)), Errno::kNoEnt) << "no vDEVICE yet";
  abi::iommu_vdevice_alloc vdevice{};
  vdevice.size = sizeof(vdevice);
  vdevice.viommu_id = id;
  vdevice.dev_id = function[2];
  vdevice.virt_id = 0x99;
  ASSERT_TRUE(call(IOMMU_VDEVICE_ALLOC, vdevice).has_value());
  ASSERT_TRUE(replace(function[0], nested).has_value());
  auto event = op(abi::IOMMU_TEST_OP_TRIGGER_VEVENT, 0, {function[2]});
  EXPECT_EQ(error_of(test(event)), Errno::kOpNotSupp) << "nobody listens";
  abi::iommu_veventq_alloc queue{};
  queue.size = sizeof(queue);
  queue.viommu_id = id;
  queue.type = kEventType;
  queue.veventq_depth = 1;
  ASSERT_TRUE(call(IOMMU_VEVENTQ_ALLOC, queue).has_value());
  EXPECT_EQ(error_of(call(IOMMU_VEVENTQ_ALLOC, queue)), Errno::kExist);
  const int events = static_cast<int>(queue.out_veventq_fd);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(test(event).has_value());

  std::array<std::uint32_t, 8> read{};
  const auto bytes = std::as_writable_bytes(std::span(read));
  EXPECT_EQ(error_of(program.pread(events, 0, bytes.first(7))), Errno::kInval);
  EXPECT_EQ(error_of(program.pread(events, 0, bytes.first(8))), Errno::kInval);
  ASSERT_EQ(program.pread(events, 0, bytes).value_or(0), 20U) << "an event, and a header";
  EXPECT_EQ((std::array{read[0], read[1], read[2], read[3], read[4]}),
            (std::array<std::uint32_t, 5>{0, 0, 0x99, 1, 2}));
  put_back(events, bytes.first(20));
  const auto before = read;
  read = {};
  ASSERT_EQ(program.pread(events, 0, bytes).value_or(0), 20U) << "the copy failed";
  EXPECT_EQ(read, before);
  EXPECT_EQ(error_of(program.pwrite(events, 0, bytes.first(8))), Errno::kInval);
  EXPECT_EQ(error_of(destroy(id)), Errno::kBusy);
}

TEST_F(MockTest, AnInvalidationStopsAtTheFirstBadCommandAndCounts) {
  const auto function = add_function(ioas);
  const auto parent = *hwpt(function[2], ioas, 1);
  const auto nested = *hwpt(function[2], parent, 0, true);
  EXPECT_EQ(error_of(hwpt(function[2], nested, 0, true)), Errno::kInval);
  const std::array<std::uint32_t, 4> commands{0, 1, 0, 4};  // entry 1, then entry 4
  abi::iommu_hwpt_invalidate arg{};
  arg.size = sizeof(arg);
  arg.hwpt_id = nested;
  arg.data_uptr = program.store(std::as_bytes(std::span(commands)));
  arg.data_type = kSelftestType;
  arg.entry_len = 8;
  arg.entry_num = 2;
  EXPECT_EQ(error_of(call(IOMMU_HWPT_INVALIDATE, arg)), Errno::kInval);
  EXPECT_EQ(arg.entry_num, 1U);
  auto check = op(abi::IOMMU_TEST_OP_MD_CHECK_IOTLB, nested, {1, 0});
  EXPECT_TRUE(test(check).has_value());
  check = op(abi::IOMMU_TEST_OP_MD_CHECK_IOTLB, nested, {0, 0});
  EXPECT_EQ(error_of(test(check)), Errno::kInval);
}

TEST_F(MockTest, AHardwareQueueKeepsItsPagesMapped) {
  const auto function = add_function(ioas);
  const auto parent = *hwpt(function[2], ioas, 1);
  abi::iommu_viommu_alloc viommu{};
  viommu.size = sizeof(viommu);
  viommu.type = kSelftestType;
  viommu.dev_id = function[2];
  viommu.hwpt_id = parent;
  ASSERT_TRUE(call(IOMMU_VIOMMU_ALLOC, viommu).has_value());
  abi::iommu_hw_queue_alloc queue{};
  queue.size = sizeof(queue);
  queue.viommu_id = viommu.out_viommu_id;
  queue.type = kSelftestType;
  queue.nesting_parent_iova = kIova;
  queue.length = kPageSize;
  EXPECT_EQ(error_of(call(IOMMU_HW_QUEUE_ALLOC, queue)), Errno::kNoEnt) << "nothing is mapped";
  ASSERT_TRUE(map(kIova, kPageSize).has_value());
  queue.index = 1;
  EXPECT_EQ(error_of(call(IOMMU_HW_QUEUE_ALLOC, queue)), Errno::kIo);
  queue.index = 0;
  ASSERT_TRUE(call(IOMMU_HW_QUEUE_ALLOC, queue).has_value());
  EXPECT_EQ(error_of(unmap(kIova, kPageSize)), Errno::kBusy);
  const std::uint32_t first = queue.out_hw_queue_id;
  queue.index = 1;
  ASSERT_TRUE(call(IOMMU_HW_QUEUE_ALLOC, queue).has_value());
  EXPECT_EQ(error_of(destroy(first)), Errno::kBusy) << "the second depends on it";
  ASSERT_TRUE(destroy(queue.out_hw_queue_id).has_value());
  ASSERT_TRUE(destroy(first).has_value());
  EXPECT_TRUE(unmap(kIova, kPageSize).has_value());
}

TEST_F(MockTest, APasidThatCannotChangeKeepsWhatItHad) {
  const auto function = add_function(ioas, 4);
  const auto one = *hwpt(function[2], ioas, 8), other = *hwpt(function[2], ioas, 8);
  auto attach = op(abi::IOMMU_TEST_OP_PASID_ATTACH, function[0], {1024, one});
  EXPECT_EQ(error_of(test(attach)), Errno::kInval) << "the function's own was not made for PASIDs";
  ASSERT_TRUE(replace(function[0], one).has_value());
  attach = op(abi::IOMMU_TEST_OP_PASID_ATTACH, function[0], {1024, one});
  ASSERT_TRUE(test(attach).has_value());
  auto change = op(abi::IOMMU_TEST_OP_PASID_REPLACE, function[0], {1024, other});
  EXPECT_EQ(error_of(test(change)), Errno::kNoMem);
  auto check = op(abi::IOMMU_TEST_OP_PASID_CHECK_HWPT, function[0], {1024, one});
  EXPECT_TRUE(test(check).has_value());
  EXPECT_EQ(error_of(replace(function[0], ioas)), Errno::kInval) << "beside a PASID";
  auto detach = op(abi::IOMMU_TEST_OP_PASID_DETACH, function[0], {1024});
  ASSERT_TRUE(test(detach).has_value());
  EXPECT_TRUE(test(detach).has_value()) << "twice is nothing";
  EXPECT_TRUE(replace(function[0], ioas).has_value());
}

TEST_F(MockTest, AnAccessLetsGoOfWhatIsUnmapped) {
  const auto access = *create_access(1);
  ASSERT_TRUE(map(kIova, kPageSize, 5).has_value());  // for reading
  EXPECT_EQ(error_of(pin(access, kIova, 1)), Errno::kPerm);
  EXPECT_EQ(error_of(pin(access, kIova + kPageSize)), Errno::kNoEnt);
  const auto pinned = *pin(access, kIova);
  EXPECT_TRUE(check_refs(1).has_value());
  ASSERT_TRUE(unmap(kIova, kPageSize).has_value());
  EXPECT_TRUE(check_refs(0).has_value());
  auto gone = op(abi::IOMMU_TEST_OP_DESTROY_ACCESS_PAGES, access, {pinned});
  EXPECT_EQ(error_of(test(gone)), Errno::kNoEnt);
  EXPECT_EQ(error_of(map(kIova, 100)), Errno::kInval) << "an access that pins wants whole pages";
  ASSERT_TRUE(program.close(static_cast<int>(access)).has_value());
  EXPECT_TRUE(map(kIova, 100).has_value());
  EXPECT_EQ(error_of(test(gone)), Errno::kBadFd);
}

TEST_F(MockTest, ClosingTheIommufdEndsItsFunctions) {
  const auto function = add_function(ioas);
  ASSERT_TRUE(map(kIova, kPageSize).has_value());
  ASSERT_TRUE(hwpt(function[2], ioas, 1).has_value());
  ASSERT_TRUE(program.close(fd).has_value());
  for (const object::Event& event : machine->trace().events())
    EXPECT_NE(event.fact, object::Fact::kRefLeaked);
}

}  // namespace
}  // namespace teeio::entry
