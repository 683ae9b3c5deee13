#include "card_fixture.h"

namespace teeio::device::testing {
namespace {

using hw::TBit;
using Source = DmaDescriptor::Source;
using Destination = DmaDescriptor::Destination;

constexpr std::uint32_t kRingAt = 0x8000;
constexpr std::uint32_t kRingSize = 4;

class DmaEngineTest : public CardTest {
 protected:
  explicit DmaEngineTest(unsigned pasid_bits = 0) : CardTest(pasid_bits) {}
  /// Sets the ring up, through whichever path the function answers.
  void enable(unsigned index, TBit path = TBit::kShared, TBit ring = TBit::kShared) {
    ring_ = ring;
    path_ = path;
    set_mmio(index, 0, 0x10, kRingAt, path);
    set_mmio(index, 0, 0x18, kRingSize, path);
    set_mmio(index, 0, 0x1c, static_cast<std::uint32_t>(ring), path);
    set_mmio(index, 0, 0x08, 1, path);
  }
  void put(std::uint32_t index, const DmaDescriptor& descriptor) {
    const Bytes bytes = descriptor.encode();
    std::ranges::copy(bytes, port.memory(ring_).begin() + kRingAt + index * 32);
  }
  std::uint32_t status(std::uint32_t index) {
    return Reader(ByteView(port.memory(ring_)).subspan(kRingAt + index * 32 + 24))
        .le<std::uint32_t>();
  }
  void ring_doorbell(unsigned index, std::uint32_t tail) { set_mmio(index, 0, 0x24, tail, path_); }
  std::uint32_t error(unsigned index) { return mmio(index, 0, 0x28, path_); }
  void expect_error(unsigned index, DmaError expected) {
    EXPECT_EQ(error(index), static_cast<std::uint32_t>(expected));
    EXPECT_EQ(mmio(index, 0, 0x0c, path_) & 2U, 2U) << "halted";
  }
  Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7);
    return bytes;
  }
  ByteView view(TBit t, std::size_t offset, std::size_t size) {
    return ByteView(port.memory(t)).subspan(offset, size);
  }

  TBit ring_ = TBit::kShared;
  TBit path_ = TBit::kShared;
};

TEST_F(DmaEngineTest, CopiesMemoryToMemoryInManyChunks) {
  enable_bus_master(kVfIndex);
  enable(kVfIndex);
  const Bytes data = pattern(100'000);
  std::ranges::copy(data, port.shared.begin() + 0x1'0000);
  put(0, {.length = 100'000, .source = 0x1'0000, .destination = 0x8'0000});
  ring_doorbell(kVfIndex, 1);
  EXPECT_TRUE(std::ranges::equal(view(TBit::kShared, 0x8'0000, data.size()), data));
  EXPECT_EQ(status(0), DmaDescriptor::kStatusDone);
  EXPECT_EQ(mmio(kVfIndex, 0, 0x20), 1U) << "head";
  EXPECT_EQ(mmio(kVfIndex, 0, 0x30), 1U) << "completed";
}

TEST_F(DmaEngineTest, MovesThroughLocalMemoryAndBack) {
  enable_bus_master(kPfIndex);
  enable(kPfIndex);
  const Bytes data = pattern(40'000);
  std::ranges::copy(data, port.shared.begin());
  put(0,
      {.destination_kind = Destination::kLocal, .length = 40'000, .source = 0, .destination = 64});
  put(1, {.source_kind = Source::kLocal, .length = 40'000, .source = 64, .destination = 0x4'0000});
  // The ring lies inside what is copied, so look at a part before it.
  ring_doorbell(kPfIndex, 2);
  EXPECT_TRUE(
      std::ranges::equal(view(TBit::kShared, 0x4'0000, kRingAt), ByteView(data).first(kRingAt)));
  EXPECT_EQ(mmio(kPfIndex, 2, 64), Reader(data).le<std::uint32_t>());
}

TEST_F(DmaEngineTest, FillsWithItsEightBytes) {
  enable_bus_master(kPfIndex);
  enable(kPfIndex);
  put(0, {.source_kind = Source::kFill,
          .length = 40'001,
          .source = 0x8877'6655'4433'2211,
          .destination = 0x1'0000});
  ring_doorbell(kPfIndex, 1);
  for (std::size_t i = 0; i < 40'001; ++i)
    ASSERT_EQ(std::to_integer<unsigned>(port.shared[0x1'0000 + i]), 0x11 * (i % 8 + 1)) << i;
  EXPECT_EQ(port.shared[0x1'0000 + 40'001], std::byte{0});
}

TEST_F(DmaEngineTest, RingWrapsAround) {
  enable_bus_master(kPfIndex);
  enable(kPfIndex);
  for (std::uint32_t i = 0; i < kRingSize; ++i)
    put(i,
        {.source_kind = Source::kFill, .length = 8, .source = i + 1, .destination = 0x1000U * i});
  ring_doorbell(kPfIndex, 3);
  ring_doorbell(kPfIndex, 1);  // 3, then 0 again
  EXPECT_EQ(mmio(kPfIndex, 0, 0x20), 1U);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x30), 5U);
  EXPECT_EQ(status(3), DmaDescriptor::kStatusDone);
}

TEST_F(DmaEngineTest, InterruptsOnCompletionWhereAsked) {
  enable_bus_master(kVfIndex);
  set_mmio(kVfIndex, 4, 0x0, 0xfee0'1000);
  set_mmio(kVfIndex, 4, 0x8, 77);
  set_mmio(kVfIndex, 4, 0xc, 0);  // unmasked
  set_config(kVfIndex, capability(kVfIndex, 0x11) + 2, 0x8000, 2);
  enable(kVfIndex);
  put(0, {.source_kind = Source::kFill, .length = 8});
  put(1, {.source_kind = Source::kFill, .interrupt = true, .length = 8});
  ring_doorbell(kVfIndex, 2);
  ASSERT_EQ(port.messages.size(), 1U);
  EXPECT_EQ(port.messages[0].data, 77U);
  EXPECT_EQ(port.messages[0].rid, function(kVfIndex).bdf().rid());
  EXPECT_EQ(port.messages[0].t, TBit::kShared);
}

TEST_F(DmaEngineTest, NothingMovesWithoutBusMaster) {
  enable(kPfIndex);
  put(0, {.length = 8});
  ring_doorbell(kPfIndex, 1);
  expect_error(kPfIndex, DmaError::kNoDma);
  EXPECT_EQ(status(0), 0U);
}

TEST_F(DmaEngineTest, TrustedDescriptorsNeedRun) {
  enable_bus_master(kPfIndex);
  enable(kPfIndex);
  put(0, {.t = TBit::kTrusted, .length = 8});
  ring_doorbell(kPfIndex, 1);
  expect_error(kPfIndex, DmaError::kTrusted);
  EXPECT_EQ(status(0), DmaDescriptor::kStatusError | 4U);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x20), 0U) << "head stays at the descriptor";
}

TEST_F(DmaEngineTest, InRunADescriptorChoosesItsTBit) {
  enable_bus_master(kVfIndex);
  run(kVfIndex);
  enable(kVfIndex, TBit::kTrusted, TBit::kTrusted);
  port.trusted[0x100] = std::byte{0xaa};
  port.shared[0x100] = std::byte{0xbb};
  put(0, {.t = TBit::kTrusted, .length = 8, .source = 0x100, .destination = 0x200});
  put(1, {.t = TBit::kShared, .length = 8, .source = 0x100, .destination = 0x300});
  ring_doorbell(kVfIndex, 2);
  EXPECT_EQ(error(kVfIndex), 0U);
  EXPECT_EQ(port.trusted[0x200], std::byte{0xaa});
  EXPECT_EQ(port.shared[0x200], std::byte{0});
  EXPECT_EQ(port.shared[0x300], std::byte{0xbb});
}

TEST_F(DmaEngineTest, ATrustedRingNeedsRun) {
  enable_bus_master(kPfIndex);
  enable(kPfIndex, TBit::kShared, TBit::kTrusted);
  ring_doorbell(kPfIndex, 1);
  expect_error(kPfIndex, DmaError::kTrusted);
}

struct Malformed {
  std::size_t at;
  int value;
};

TEST_F(DmaEngineTest, MalformedDescriptorsHaltTheRing) {
  enable_bus_master(kPfIndex);
  for (const Malformed bad : {Malformed{0, 3},      // unknown source
                              Malformed{0, 8},      // reserved flag
                              Malformed{3, 1},      // reserved flag
                              Malformed{4, 0},      // no length
                              Malformed{7, 1},      // too long
                              Malformed{28, 1}}) {  // reserved word
    set_mmio(kPfIndex, 0, 0x08, 2);
    enable(kPfIndex);
    put(0, {.source_kind = Source::kFill, .length = 8});
    port.shared[kRingAt + bad.at] = static_cast<std::byte>(bad.value);
    ring_doorbell(kPfIndex, 1);
    expect_error(kPfIndex, DmaError::kMalformed);
    EXPECT_EQ(status(0), DmaDescriptor::kStatusError | 3U) << bad.at;
  }
}

TEST_F(DmaEngineTest, FaultsSayWhichSideFailed) {
  enable_bus_master(kPfIndex);
  const auto outcome = [this](const DmaDescriptor& descriptor) {
    set_mmio(kPfIndex, 0, 0x08, 2);
    enable(kPfIndex);
    put(0, descriptor);
    ring_doorbell(kPfIndex, 1);
    return static_cast<DmaError>(error(kPfIndex));
  };
  EXPECT_EQ(outcome({.length = 8, .source = 1U << 30U}), DmaError::kRead);
  EXPECT_EQ(outcome({.length = 8, .destination = 1U << 30U}), DmaError::kWrite);
  EXPECT_EQ(outcome({.source_kind = Source::kLocal, .length = 8, .source = (1U << 20U) - 4}),
            DmaError::kLocalRange);
  EXPECT_EQ(outcome({.destination_kind = Destination::kLocal, .length = 8, .destination = ~0ULL}),
            DmaError::kLocalRange);
}

TEST_F(DmaEngineTest, ARingOutsideOfMemoryIsAFetchError) {
  enable_bus_master(kPfIndex);
  set_mmio(kPfIndex, 0, 0x10, 0x4000'0000);
  set_mmio(kPfIndex, 0, 0x18, 4);
  set_mmio(kPfIndex, 0, 0x08, 1);
  ring_doorbell(kPfIndex, 1);
  expect_error(kPfIndex, DmaError::kFetch);
}

TEST_F(DmaEngineTest, BadRingsAreRefused) {
  enable_bus_master(kPfIndex);
  struct Ring {
    std::uint32_t base, size, tail;
  };
  for (const Ring ring : {Ring{0x8020, 4, 1}, Ring{0x8000, 3, 1}, Ring{0x8000, 0, 0},
                          Ring{0x8000, 8192, 1}, Ring{0x8000, 4, 4}}) {
    set_mmio(kPfIndex, 0, 0x08, 2);
    set_mmio(kPfIndex, 0, 0x10, ring.base);
    set_mmio(kPfIndex, 0, 0x18, ring.size);
    set_mmio(kPfIndex, 0, 0x08, 1);
    ring_doorbell(kPfIndex, ring.tail);
    expect_error(kPfIndex, DmaError::kRing);
  }
}

TEST_F(DmaEngineTest, GoesOnAfterTheErrorWasCleared) {
  enable_bus_master(kPfIndex);
  enable(kPfIndex);
  put(0, {.length = 8, .source = 1U << 30U});
  ring_doorbell(kPfIndex, 1);
  ring_doorbell(kPfIndex, 1);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x30), 0U);
  put(0, {.source_kind = Source::kFill, .length = 8});
  set_mmio(kPfIndex, 0, 0x28, 1);
  ring_doorbell(kPfIndex, 1);
  EXPECT_EQ(error(kPfIndex), 0U);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x30), 1U);
}

TEST_F(DmaEngineTest, RegistersTakeAlignedWordsOnly) {
  set_mmio(kPfIndex, 0, 0x40, 0x1234'5678);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x40), 0x1234'5678U);
  std::uint16_t half = 0;
  bar(kPfIndex, 0).mmio_read(0x40, writable_bytes_of(half));
  EXPECT_EQ(half, 0xffff);
  bar(kPfIndex, 0).mmio_write(0x40, bytes_of(half));
  EXPECT_EQ(mmio(kPfIndex, 0, 0x40), 0x1234'5678U);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x42), 0xffff'ffffU);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x00), 0x3141'4d44U);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x34), 1U << 20U);
  EXPECT_EQ(mmio(kPfIndex, 0, 0xf000), 0U);
}

TEST_F(DmaEngineTest, TheRingDoesNotMoveWhileEnabled) {
  enable(kPfIndex);
  set_mmio(kPfIndex, 0, 0x10, 0x1'0000);
  EXPECT_EQ(mmio(kPfIndex, 0, 0x10), kRingAt);
}

class PasidEngineTest : public DmaEngineTest {
 protected:
  PasidEngineTest() : DmaEngineTest(4) {}
  void enable_pasids(std::uint32_t on = 1) {
    set_config(kPfIndex, extended_capability(kPfIndex, 0x1b) + 6, on, 2);
  }
  static DmaDescriptor copy(std::uint32_t pasid) {
    return {.length = 8, .source = 0, .destination = 64, .pasid = hw::Pasid{pasid}};
  }
};

TEST_F(PasidEngineTest, ADescriptorsMemoryRequestsNameItsPasid) {
  enable_pasids();
  for (const unsigned index : {kPfIndex, kVfIndex}) {
    enable_bus_master(index);
    enable(index);
    put(0, copy(15));
    ring_doorbell(index, 1);
    EXPECT_EQ(status(0), DmaDescriptor::kStatusDone);
  }
  EXPECT_EQ(port.named, (std::vector<std::uint32_t>{15, 15, 15, 15}))
      << "source and destination, not the ring; a VF has its PF's capability";
}

TEST_F(PasidEngineTest, APasidThatIsNotEnabledOrTooWideIsRefused) {
  enable_bus_master(kVfIndex);
  enable(kVfIndex);
  put(0, copy(1));
  ring_doorbell(kVfIndex, 1);
  expect_error(kVfIndex, DmaError::kPasid);
  enable_pasids();
  set_mmio(kVfIndex, 0, 0x28, 1);
  ring_doorbell(kVfIndex, 1);
  EXPECT_EQ(status(0), DmaDescriptor::kStatusDone);
  put(1, copy(16));
  ring_doorbell(kVfIndex, 2);
  expect_error(kVfIndex, DmaError::kPasid);
}

TEST_F(PasidEngineTest, AResetDisablesThem) {
  const unsigned at = extended_capability(kPfIndex, 0x1b);
  EXPECT_EQ(config(kPfIndex, at + 4, 2), 4U << 8U) << "four bits, no execute, no privilege";
  enable_pasids(0xffff);
  EXPECT_EQ(config(kPfIndex, at + 6, 2), 1U);
  function(kPfIndex).reset(hw::ResetKind::kFunctionLevel);
  EXPECT_EQ(config(kPfIndex, at + 6, 2), 0U);
}

TEST_F(DmaEngineTest, ACardWithoutPasidsRefusesThem) {
  enable_bus_master(kVfIndex);
  enable(kVfIndex);
  put(0, {.length = 8, .source = 0, .destination = 64, .pasid = hw::Pasid{0}});
  ring_doorbell(kVfIndex, 1);
  expect_error(kVfIndex, DmaError::kPasid);
}

}  // namespace
}  // namespace teeio::device::testing
