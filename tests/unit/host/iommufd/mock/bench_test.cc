// The mock IOMMU, and through it what iommufd has that no other IOMMU here uses.

#include "host/iommufd/mock/bench.h"

#include <gtest/gtest.h>

#include <array>

#include "host/iommufd/fault_queue.h"
#include "host/iommufd/mock/access_file.h"
#include "host/mm/plain_memory.h"

namespace teeio::mock {
namespace {

using iommufd::Context;
using iommufd::ObjectId;

constexpr std::uint64_t kIova = Domain::kFirstIova;
constexpr std::uint32_t kNested = 0, kParent = 1, kDirty = 2, kFaults = 4, kPasids = 8;

template <class T>
Errno error_of(const Result<T>& result) {
  return result ? Errno{} : result.error().code;
}

/// Words in a row, for the IOMMU's driver.
struct Words : iommu::UserData {
  explicit Words(std::uint32_t type = 0, std::vector<std::uint32_t> words = {},
                 std::uint32_t each = 0)
      : UserData(type, each != 0 ? each * 4 : static_cast<std::uint32_t>(words.size() * 4),
                 each != 0 ? static_cast<std::uint32_t>(words.size()) / each : 1),
        all(std::move(words)) {}
  Result<void> read(std::uint32_t index, std::uint32_t offset, std::span<std::byte> out) override {
    const ByteView bytes = std::as_bytes(std::span(all));
    const std::size_t at = std::size_t{index} * length() + offset;
    if (at + out.size() > bytes.size()) return fail(Errno::kFault, "beyond the words");
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), out.size(), out.begin());
    return {};
  }
  Result<void> write(ByteView) override { return {}; }
  std::vector<std::uint32_t> all;
};

struct Ranges final : iommu::DirtyTracking::Visitor {
  void dirty(std::uint64_t first, std::uint64_t length) override {
    all.emplace_back(first, length);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
};

struct BenchTest : testing::Test {
  Bench::Device add(ObjectId pt, std::uint32_t flags = 0) {
    return bench.add_device(*context, pt, flags).value_or(Bench::Device{});
  }
  Result<ObjectId> hwpt(const Bench::Device& device, ObjectId pt, std::uint32_t flags,
                        ObjectId fault = 0) {
    Words nothing, config(Iommu::kHwptData, {0xbadbeef, 0});
    return context->hwpt_alloc(
        {.flags = flags, .dev_id = device.idev_id, .pt_id = pt, .fault_id = fault},
        pt == ioas ? static_cast<iommu::UserData&>(nothing) : config);
  }
  Result<ObjectId> viommu(const Bench::Device& device, ObjectId parent) {
    Words nothing(Iommu::kViommuType);
    return context->viommu_alloc(
        {.type = Iommu::kViommuType, .dev_id = device.idev_id, .hwpt_id = parent}, nothing);
  }
  Result<std::uint64_t> map(std::uint64_t iova, std::uint64_t length, std::uint32_t flags = 7) {
    return context->ioas_map(program, {ioas, flags, length, iova}, page);
  }
  Result<ObjectId> replace(const Bench::Device& device, ObjectId pt) {
    return bench.replace(*context, device.stdev_id, pt, iommufd::kNoPasid);
  }
  Result<void> refs(std::uint32_t count) {
    return bench.check_refs(program, page, kPageSize, count);
  }

  hw::PhysicalMemory memory{std::uint64_t{16} << 20U};
  object::Trace trace;
  iommufd::PinBook pins;
  Bench bench{memory, pins};
  iommufd::Environment environment{memory, trace, nullptr, {}, &pins};
  object::Ref<Context> context = Context::open(environment);
  ObjectId ioas = *context->ioas_alloc(0);
  mm::PlainMemory program;
  std::uint64_t page = program.map(4 * kPageSize);
};

TEST_F(BenchTest, APageIsPinnedOnceAndFoundThroughEachHwpt) {
  const auto device = add(ioas);
  ASSERT_TRUE(map(kIova, kPageSize).has_value());
  const auto second = *hwpt(device, ioas, 0);
  for (const ObjectId id : {device.hwpt_id, second})
    EXPECT_TRUE(bench.check_map(*context, program, id, kIova, kPageSize, page).has_value());
  EXPECT_EQ(
      error_of(bench.check_map(*context, program, second, kIova, kPageSize, page + kPageSize)),
      Errno::kInval);
  EXPECT_TRUE(refs(1).has_value());
  EXPECT_EQ(error_of(refs(2)), Errno::kIo);
  ASSERT_TRUE(context->ioas_unmap(ioas, kIova, kPageSize).has_value());
  EXPECT_TRUE(refs(0).has_value());
  EXPECT_EQ(error_of(map(0x1000, kPageSize)), Errno::kInval) << "below the aperture";
  EXPECT_EQ(error_of(context->destroy(ioas)), Errno::kBusy);
  EXPECT_EQ(error_of(bench.add_device(*context, ioas, 2)), Errno::kInval) << "unknown flag";
  EXPECT_EQ(error_of(bench.add_device(*context, 99, 0)), Errno::kNoEnt);
}

TEST_F(BenchTest, HalfAPageIsMappedBecauseTheMocksPagesAreThatSmall) {
  const auto device = add(ioas);
  EXPECT_TRUE(map(kIova + 2048, 2048).has_value());
  EXPECT_EQ(error_of(map(kIova + 1024, 1024)), Errno::kInval);
  ASSERT_TRUE(context->destroy(device.stdev_id).has_value());
  EXPECT_TRUE(map(0x1000, 10).has_value()) << "without a domain nothing has to be aligned";
}

TEST_F(BenchTest, DirtyPagesAreReportedOnceOrKept) {
  const auto device = add(ioas);
  const auto plain = *hwpt(device, ioas, 0), tracking = *hwpt(device, ioas, kDirty);
  ASSERT_TRUE(map(kIova, 2 * kPageSize).has_value());
  EXPECT_EQ(error_of(context->hwpt_set_dirty_tracking(plain, true)), Errno::kOpNotSupp);
  ASSERT_TRUE(program.write(page + 2 * kPageSize, std::array{std::byte{2}}).has_value());
  const Bench::Dirty second{.hwpt_id = tracking,
                            .iova = kIova,
                            .length = 2 * kPageSize,
                            .page_size = kPageSize,
                            .bitmap = page + 2 * kPageSize};
  EXPECT_EQ(error_of(bench.set_dirty(*context, program, second)), Errno::kInval) << "not on yet";
  ASSERT_TRUE(context->hwpt_set_dirty_tracking(tracking, true).has_value());
  EXPECT_EQ(bench.set_dirty(*context, program, second), 1U);

  using Clear = iommu::DirtyTracking::Clear;
  const iommufd::IoPagetable::DirtyRange range{kIova, 2 * kPageSize, kPageSize};
  const auto read = [&](Clear clear) {
    Ranges ranges;
    EXPECT_TRUE(context->hwpt_read_dirty(tracking, range, clear, ranges).has_value());
    return ranges.all;
  };
  ASSERT_EQ(read(Clear::kNo).size(), 1U);
  EXPECT_EQ(read(Clear::kYes).front(), std::pair(kIova, 2 * kPageSize)) << "one page of the table";
  EXPECT_TRUE(read(Clear::kYes).empty());
  Ranges ranges;
  EXPECT_EQ(bench.set_dirty(*context, program, second), 1U);
  EXPECT_TRUE(
      context->hwpt_read_dirty(tracking, {kIova, 3 * kPageSize, kPageSize}, Clear::kNo, ranges)
          .has_value());
  EXPECT_EQ(ranges.all.size(), 1U) << "up to the gap";
  EXPECT_EQ(error_of(hwpt(add(ioas, 1), ioas, kDirty)), Errno::kOpNotSupp);
}

TEST_F(BenchTest, AFaultWaitsForOneAnswerAndGoesWithItsAttachment) {
  const auto device = add(ioas);
  const auto parent = *hwpt(device, ioas, kParent);
  auto queue = *context->fault_queue_alloc();
  EXPECT_EQ(error_of(hwpt(device, parent, kFaults, 99)), Errno::kNoEnt);
  const auto nested = *hwpt(device, parent, kFaults, queue.id);
  ASSERT_TRUE(replace(device, nested).has_value());
  ASSERT_TRUE(bench.trigger_fault(*context, device.idev_id, {.group = 5}).has_value());
  std::array<std::byte, 80> bytes{};
  EXPECT_EQ(error_of(queue.file->read(std::span(bytes).first(39))), Errno::kSPipe);
  EXPECT_EQ(error_of(queue.file->read({})), Errno::kInval);
  ASSERT_EQ(queue.file->read(bytes), 40U);
  EXPECT_EQ(queue.file->read(bytes), 0U) << "nothing more";
  Reader record{ByteView(bytes)};
  record.skip(4);
  EXPECT_EQ(record.le<std::uint32_t>(), device.idev_id);
  record.skip(4);
  EXPECT_EQ(record.le<std::uint32_t>(), 5U);

  std::array<std::uint32_t, 2> answer{1, 7};
  const auto reply = [&] { return queue.file->write(std::as_bytes(std::span(answer))); };
  EXPECT_EQ(error_of(reply()), Errno::kInval) << "no such code";
  answer[1] = 0;
  EXPECT_EQ(reply(), 8U);
  EXPECT_EQ(error_of(reply()), Errno::kInval) << "once only";

  ASSERT_TRUE(bench.trigger_fault(*context, device.idev_id, {.pasid = 3}).has_value());
  ASSERT_TRUE(replace(device, parent).has_value());
  EXPECT_EQ(queue.file->read(bytes), 0U) << "answered as the attachment went";
  ASSERT_TRUE(context->destroy(nested).has_value());
  EXPECT_EQ(error_of(context->destroy(queue.id)), Errno::kBusy) << "its file is open";
  queue.file.reset();
  EXPECT_TRUE(context->destroy(queue.id).has_value());
}

TEST_F(BenchTest, AFullVeventqSaysThatEventsWereLost) {
  const auto device = add(ioas);
  const auto parent = *hwpt(device, ioas, kParent);
  const auto id = *viommu(device, parent);
  const auto nested = *hwpt(device, id, kNested);
  EXPECT_EQ(error_of(replace(device, nested)), Errno::kNoEnt) << "no vDEVICE yet";
  ASSERT_TRUE(context->vdevice_alloc(id, device.idev_id, 0x99).has_value());
  ASSERT_TRUE(replace(device, nested).has_value());
  EXPECT_EQ(error_of(bench.trigger_event(*context, device.idev_id)), Errno::kOpNotSupp);
  auto queue = *context->veventq_alloc(id, Iommu::kVeventqType, 1);
  EXPECT_EQ(error_of(context->veventq_alloc(id, Iommu::kVeventqType, 1)), Errno::kExist);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(bench.trigger_event(*context, device.idev_id).has_value());
  std::array<std::uint32_t, 8> words{};
  const auto bytes = std::as_writable_bytes(std::span(words));
  EXPECT_EQ(error_of(queue.file->read(bytes.first(7))), Errno::kInval);
  EXPECT_EQ(error_of(queue.file->read(bytes.first(8))), Errno::kInval) << "without its data";
  ASSERT_EQ(queue.file->read(bytes), 20U) << "an event, and the header of those that were lost";
  EXPECT_EQ(words, (std::array<std::uint32_t, 8>{0, 0, 0x99, 1, 2}));
  EXPECT_EQ(error_of(queue.file->write(bytes.first(8))), Errno::kInval);
  // What the program's memory did not take comes again, but for the header: more has come.
  const auto read = words;
  ASSERT_TRUE(bench.trigger_event(*context, device.idev_id).has_value());
  queue.file->put_back(std::as_bytes(std::span(read)).first(20));
  ASSERT_EQ(queue.file->read(bytes), 24U);
  EXPECT_EQ(words, (std::array<std::uint32_t, 8>{0, 0, 0x99, 0, 3, 0x99}));
  EXPECT_EQ(error_of(context->destroy(id)), Errno::kBusy);
  EXPECT_EQ(error_of(hwpt(device, nested, kNested)), Errno::kInval) << "nested on nested";
}

TEST_F(BenchTest, InvalidationsStopAtTheFirstBadCommandAndCount) {
  const auto device = add(ioas);
  const auto nested = *hwpt(device, *hwpt(device, ioas, kParent), kNested);
  std::uint32_t done = 0;
  Words commands(Iommu::kHwptInvalidate, {0, 1, 0, 4}, 2);  // entry 1, then entry 4
  EXPECT_EQ(error_of(context->hwpt_invalidate(nested, commands, done)), Errno::kInval);
  EXPECT_EQ(done, 1U);
  EXPECT_TRUE(bench.check_iotlb(*context, nested, 1, 0).has_value());
  EXPECT_TRUE(bench.check_iotlb(*context, nested, 0, 0xbadbeef).has_value());
  Words longer(Iommu::kHwptInvalidate, {0, 0, 0}, 3);
  EXPECT_EQ(error_of(context->hwpt_invalidate(nested, longer, done)), Errno::kInval);
}

TEST_F(BenchTest, AReservedByteTakesItsPage) {
  add(ioas);
  ASSERT_TRUE(bench.add_reserved(*context, ioas, kIova, 1).has_value());
  constexpr std::uint32_t kAnywhere = 6;  // readable, writeable
  const auto at = context->ioas_map(program, {ioas, kAnywhere, kPageSize, 0}, page);
  EXPECT_EQ(at.value_or(0), kIova + kPageSize);
}

TEST_F(BenchTest, AnEntryOfTheCacheIsDroppedOrAllAre) {
  const auto device = add(ioas);
  const auto id = *viommu(device, *hwpt(device, ioas, kParent));
  ASSERT_TRUE(context->vdevice_alloc(id, device.idev_id, 0x99).has_value());
  const auto cache = [&](std::uint32_t index, std::uint32_t value) {
    return bench.check_cache(*context, device.idev_id, index, value).has_value();
  };
  constexpr std::uint32_t kUsual = Iommu::kCacheDefault;
  for (std::uint32_t i = 0; i < Iommu::kCaches; ++i) ASSERT_TRUE(cache(i, kUsual));
  std::uint32_t done = 0;
  Words one(Iommu::kViommuInvalidate, {0, 0x99, 1}, 3);
  ASSERT_TRUE(context->hwpt_invalidate(id, one, done).has_value());
  for (std::uint32_t i = 0; i < Iommu::kCaches; ++i) EXPECT_TRUE(cache(i, i == 1 ? 0 : kUsual));
  // All commands are copied before the first is carried out.
  struct Torn final : Words {
    Torn() : Words(Iommu::kViommuInvalidate, {1, 0x99, 0, 1, 0x99, 0}, 3) {}
    Result<void> read(std::uint32_t index, std::uint32_t offset,
                      std::span<std::byte> out) override {
      if (index == 1) return fail(Errno::kFault, "not mapped");
      return Words::read(index, offset, out);
    }
  } torn;
  done = 0;
  EXPECT_EQ(error_of(context->hwpt_invalidate(id, torn, done)), Errno::kFault);
  EXPECT_EQ(done, 0U);
  EXPECT_TRUE(cache(0, kUsual));
  Words all(Iommu::kViommuInvalidate, {1, 0x99, 0}, 3);
  ASSERT_TRUE(context->hwpt_invalidate(id, all, done).has_value());
  for (std::uint32_t i = 0; i < Iommu::kCaches; ++i) EXPECT_TRUE(cache(i, 0));
}

// mock_domain_nop_attach(): a function takes the id of its vDEVICE when it comes to the vIOMMU.
TEST_F(BenchTest, AFunctionKeepsTheVirtualIdThatItCameWith) {
  const auto device = add(ioas);
  const auto id = *viommu(device, *hwpt(device, ioas, kParent));
  const auto vdevice = *context->vdevice_alloc(id, device.idev_id, 0x99);
  ASSERT_TRUE(replace(device, *hwpt(device, id, kNested)).has_value());
  ASSERT_TRUE(context->destroy(vdevice).has_value());
  ASSERT_TRUE(context->vdevice_alloc(id, device.idev_id, 0x77).has_value());
  ASSERT_TRUE(replace(device, *hwpt(device, id, kNested)).has_value());
  auto queue = *context->veventq_alloc(id, Iommu::kVeventqType, 1);
  ASSERT_TRUE(bench.trigger_event(*context, device.idev_id).has_value());
  std::array<std::uint32_t, 3> words{};
  ASSERT_EQ(queue.file->read(std::as_writable_bytes(std::span(words))), 12U);
  EXPECT_EQ(words[2], 0x99U);
}

TEST_F(BenchTest, AHardwareQueueKeepsItsPagesMapped) {
  const auto device = add(ioas);
  const auto id = *viommu(device, *hwpt(device, ioas, kParent));
  const auto queue = [&](std::uint32_t index) {
    return context->hw_queue_alloc(
        id, {.type = Iommu::kQueueType, .index = index, .base = kIova, .length = kPageSize});
  };
  EXPECT_EQ(error_of(queue(0)), Errno::kNoEnt) << "nothing is mapped";
  ASSERT_TRUE(map(kIova, kPageSize).has_value());
  EXPECT_EQ(error_of(queue(1)), Errno::kIo);
  EXPECT_EQ(error_of(queue(2)), Errno::kInval);
  const auto first = *queue(0);
  EXPECT_EQ(error_of(queue(0)), Errno::kExist);
  EXPECT_EQ(error_of(context->ioas_unmap(ioas, kIova, kPageSize)), Errno::kBusy);
  const auto second = *queue(1);
  EXPECT_EQ(error_of(context->destroy(first)), Errno::kBusy) << "the second depends on it";
  ASSERT_TRUE(context->destroy(second).has_value());
  ASSERT_TRUE(context->destroy(first).has_value());
  EXPECT_TRUE(context->ioas_unmap(ioas, kIova, kPageSize).has_value());
}

TEST_F(BenchTest, APasidThatCannotChangeKeepsWhatItHad) {
  const auto device = add(ioas, 4);
  const auto one = *hwpt(device, ioas, kPasids), other = *hwpt(device, ioas, kPasids);
  const auto attach = [&] { return bench.attach_pasid(*context, device.stdev_id, one, 1024); };
  EXPECT_EQ(error_of(attach()), Errno::kInval) << "the function's own was not made for PASIDs";
  ASSERT_TRUE(replace(device, one).has_value());
  ASSERT_TRUE(attach().has_value());
  EXPECT_EQ(error_of(attach()), Errno::kBusy);
  EXPECT_EQ(error_of(bench.replace(*context, device.stdev_id, other, 1024)), Errno::kNoMem);
  EXPECT_TRUE(bench.check_pasid(*context, device.stdev_id, 1024, one).has_value());
  EXPECT_EQ(error_of(bench.check_pasid(*context, device.stdev_id, 1024, 0)), Errno::kInval);
  EXPECT_EQ(error_of(replace(device, ioas)), Errno::kInval) << "beside a PASID";
  for (int twice = 0; twice < 2; ++twice)
    EXPECT_TRUE(bench.detach_pasid(*context, device.stdev_id, 1024).has_value());
  EXPECT_TRUE(replace(device, ioas).has_value());
}

TEST_F(BenchTest, AFunctionGoesWithThePasidsThatItIsAttachedBy) {
  const auto device = add(ioas, 4);
  const auto one = *hwpt(device, ioas, kPasids);
  ASSERT_TRUE(replace(device, one).has_value());
  ASSERT_TRUE(bench.attach_pasid(*context, device.stdev_id, one, 1).has_value());
  ASSERT_TRUE(bench.attach_pasid(*context, device.stdev_id, one, 2).has_value());
  EXPECT_EQ(error_of(context->destroy(one)), Errno::kBusy);
  ASSERT_TRUE(context->destroy(device.stdev_id).has_value());
  EXPECT_TRUE(context->destroy(one).has_value());
}

TEST_F(BenchTest, AnAccessLetsGoOfWhatIsUnmapped) {
  auto file = *AccessFile::create(*context, ioas, iommufd::Access::Pages::kPinned);
  ASSERT_TRUE(map(kIova, kPageSize, 5).has_value());  // for reading
  EXPECT_EQ(error_of(file->pin(program, kIova, kPageSize, page, true)), Errno::kPerm);
  EXPECT_EQ(error_of(file->pin(program, kIova + kPageSize, kPageSize, 0, false)), Errno::kNoEnt);
  EXPECT_EQ(error_of(file->pin(program, kIova, kPageSize, page + kPageSize, false)), Errno{52});
  const auto pinned = *file->pin(program, kIova, kPageSize, page, false);
  EXPECT_TRUE(refs(1).has_value());
  EXPECT_TRUE(file->read(program, kIova, 8, page + kPageSize).has_value());
  EXPECT_EQ(error_of(file->write(program, kIova, 8, page + kPageSize)), Errno::kPerm);
  ASSERT_TRUE(context->ioas_unmap(ioas, kIova, kPageSize).has_value());
  EXPECT_TRUE(refs(0).has_value());
  EXPECT_EQ(error_of(file->unpin(pinned)), Errno::kNoEnt);
  EXPECT_EQ(error_of(map(kIova, 100)), Errno::kInval) << "an access that pins wants whole pages";
  EXPECT_EQ(error_of(file->replace(99)), Errno::kNoEnt);
  file.reset();
  EXPECT_TRUE(map(kIova, 100).has_value());
}

// iopt_pages_rw_access(), iopt_pages_fill_xarray(): a dma-buf's pages are nobody's memory.
TEST_F(BenchTest, AnAccessHasNoWayIntoADmaBuf) {
  auto file = *AccessFile::create(*context, ioas, iommufd::Access::Pages::kPinned);
  const auto buffer = *bench.make_buffer(kPageSize);
  ASSERT_TRUE(context->ioas_map_file(buffer, {ioas, 7, kPageSize, kIova}, 0).has_value());
  EXPECT_EQ(error_of(file->read(program, kIova, 8, page)), Errno::kInval);
  EXPECT_EQ(error_of(file->write(program, kIova, 8, page)), Errno::kInval);
  EXPECT_EQ(error_of(file->pin(program, kIova, kPageSize, page, false)), Errno::kInval);
}

TEST_F(BenchTest, ABufferThatIsRevokedIsNotMappedAgain) {
  const auto device = add(ioas);
  EXPECT_EQ(error_of(bench.make_buffer(0)), Errno::kInval);
  const auto file = *bench.make_buffer(kPageSize);
  ASSERT_TRUE(context->ioas_map_file(file, {ioas, 7, kPageSize, kIova}, 0).has_value());
  auto& buffer = static_cast<dmabuf::DmaBuf&>(*file);
  buffer.revoke();
  EXPECT_EQ(error_of(context->ioas_map_file(file, {ioas, 7, kPageSize, kIova * 2}, 0)),
            Errno::kNoDev);
  EXPECT_TRUE(hwpt(device, ioas, 0).has_value()) << "nothing is in its place";
  buffer.restore();
  EXPECT_TRUE(context->ioas_map_file(file, {ioas, 7, kPageSize, kIova * 2}, 0).has_value());
}

TEST_F(BenchTest, AVdeviceThatOutlivesItsFunctionIsNoneToTheIommu) {
  using enum iommufd::VdeviceLifetime;
  iommufd::Environment before{memory, trace, nullptr, {.vdevice_lifetime = kIndependent}, &pins};
  context = Context::open(before);  // as before Linux 6.17
  ioas = *context->ioas_alloc(0);
  const auto device = add(ioas);
  const auto id = *viommu(device, *hwpt(device, ioas, kParent));
  const auto vdevice = *context->vdevice_alloc(id, device.idev_id, 0x99);
  const auto drop = [&] {
    std::uint32_t done = 0;
    Words commands(Iommu::kViommuInvalidate, {0, 0x99, 1});
    return context->hwpt_invalidate(id, commands, done);
  };
  EXPECT_TRUE(drop().has_value());
  ASSERT_TRUE(context->destroy(device.stdev_id).has_value());
  EXPECT_EQ(error_of(drop()), Errno::kInval);
  EXPECT_TRUE(context->destroy(vdevice).has_value());
  context.reset();
}

TEST_F(BenchTest, ChecksLookAtLongRangesPieceByPiece) {
  constexpr std::uint64_t kLong = 4098 * kPageSize;
  const auto device = add(ioas);
  const std::uint64_t from = program.map(kLong);
  ASSERT_TRUE(context->ioas_map(program, {ioas, 7, kLong, kIova}, from).has_value());
  const auto check = [&](std::uint64_t skip, std::uint64_t length, std::uint64_t address) {
    return error_of(
        bench.check_map(*context, program, device.hwpt_id, kIova + skip, length, address));
  };
  EXPECT_EQ(check(0, kLong, from), Errno{});
  EXPECT_EQ(check(2048, kLong - 2048, from + 2048), Errno{});
  EXPECT_EQ(check(kPageSize, kLong - kPageSize, from), Errno::kInval);
  EXPECT_EQ(error_of(bench.check_refs(program, from, kLong, 1)), Errno{});
  ASSERT_TRUE(context->ioas_unmap(ioas, kIova, kLong).has_value());
  EXPECT_EQ(error_of(bench.check_refs(program, from, kLong, 1)), Errno::kIo);
}

TEST_F(BenchTest, ClosingTheIommufdEndsItsFunctions) {
  trace.keep_events(true);
  const auto device = add(ioas);
  ASSERT_TRUE(map(kIova, kPageSize).has_value());
  ASSERT_TRUE(viommu(device, *hwpt(device, ioas, kParent)).has_value());
  context.reset();
  for (const object::Event& event : trace.events()) EXPECT_NE(event.fact, object::Fact::kRefLeaked);
  EXPECT_TRUE(refs(0).has_value());
}

TEST_F(BenchTest, InformationOfAnotherIommuIsRefused) {
  const auto device = add(ioas);
  EXPECT_TRUE(context->hw_info(device.idev_id, 0).has_value());
  EXPECT_EQ(error_of(context->hw_info(device.idev_id, 77)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(context->hw_info(99, 0)), Errno::kNoEnt);
}

TEST_F(BenchTest, ADeviceThatWentCanComeAgain) {
  for (int time = 0; time < 3; ++time) {
    const auto device = add(ioas);
    ASSERT_NE(device.stdev_id, 0U) << time;
    ASSERT_TRUE(context->destroy(device.stdev_id).has_value());
  }
}

}  // namespace
}  // namespace teeio::mock
