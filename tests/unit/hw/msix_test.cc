#include "hw/msix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace teeio::hw {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Message {
  std::uint16_t rid;
  TBit t;
  std::uint64_t address;
  std::uint32_t data;
  bool operator==(const Message&) const = default;
};

class Port final : public DmaPort {
 public:
  Result<void> dma_read(Requester, TBit, Iova, std::span<std::byte>) override { return {}; }
  Result<void> dma_write(Requester from, TBit t, Iova address, ByteView in) override {
    sent.push_back({from.rid, t, raw(address), Reader(in).le<std::uint32_t>()});
    return {};
  }
  std::vector<Message> sent;
};

constexpr std::uint16_t kRid = 0x100;
constexpr std::uint8_t kBar = 4;
constexpr std::uint32_t kTable = 0x1000;
constexpr std::uint32_t kPba = 0x2000;
constexpr std::uint16_t kVectors = 70;

class MsixTest : public testing::Test {
 protected:
  MsixTest() { msix.attach(port, kRid); }
  void control(std::uint32_t value) {
    config.write(static_cast<std::uint16_t>(msix.offset() + 2), 2, value);
    msix.registers_written();
  }
  void write(std::uint64_t offset, std::uint32_t value) {
    EXPECT_TRUE(msix.bar_write(kBar, offset, bytes_of(value)));
  }
  std::uint32_t read(std::uint64_t offset) {
    std::uint32_t value = 0xdeadbeef;
    EXPECT_TRUE(msix.bar_read(kBar, offset, writable_bytes_of(value)));
    return value;
  }
  void program(unsigned vector, std::uint32_t mask = 0) {
    const std::uint64_t at = kTable + vector * 16U;
    write(at, 0xfee00010U + vector * 0x20);
    write(at + 4, 0);
    write(at + 8, vector);
    write(at + 12, mask);
  }
  Message message(unsigned vector, TBit t = TBit::kShared) {
    return {kRid, t, 0xfee00010U + vector * 0x20U, vector};
  }

  static constexpr std::uint32_t kEnable = 0x8000, kMaskAll = 0x4000;
  ConfigSpace config;
  Msix msix{config,
            {.vectors = kVectors,
             .table_bar = kBar,
             .table_offset = kTable,
             .pba_bar = kBar,
             .pba_offset = kPba}};
  Port port;
};

TEST_F(MsixTest, CapabilityDescribesTheTable) {
  const std::uint16_t at = msix.offset();
  EXPECT_EQ(config.read(at, 1), kCapabilityMsix);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(at + 2), 2), kVectors - 1U);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(at + 4), 4), kTable | kBar);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(at + 8), 4), kPba | kBar);
  control(0xffff);
  EXPECT_EQ(config.read(static_cast<std::uint16_t>(at + 2), 2), 0xc000U | (kVectors - 1U));
}

TEST_F(MsixTest, UnmaskedVectorSendsItsEntry) {
  control(kEnable);
  program(3);
  msix.fire(3);
  EXPECT_THAT(port.sent, ElementsAre(message(3)));
  EXPECT_FALSE(msix.pending(3));
}

TEST_F(MsixTest, NothingHappensWhileOff) {
  program(0);
  msix.fire(0);
  EXPECT_THAT(port.sent, IsEmpty());
  control(kEnable);
  EXPECT_THAT(port.sent, IsEmpty());
}

TEST_F(MsixTest, EntriesAreMaskedAfterReset) {
  EXPECT_EQ(read(kTable + 12), 1U);
  control(kEnable);
  msix.fire(0);
  EXPECT_TRUE(msix.pending(0));
  program(1);
  msix.reset();
  EXPECT_EQ(read(kTable + 16 + 12), 1U);
  EXPECT_EQ(read(kTable + 16), 0U);
  EXPECT_FALSE(msix.pending(0));
  EXPECT_FALSE(msix.enabled());
}

TEST_F(MsixTest, MaskedVectorPendsAndIsSentOnceWhenUnmasked) {
  control(kEnable);
  program(65, 1);
  msix.fire(65);
  msix.fire(65);
  EXPECT_THAT(port.sent, IsEmpty());
  EXPECT_EQ(read(kPba + 8), 2U);  // bit 65
  write(kTable + 65 * 16 + 12, 0);
  EXPECT_THAT(port.sent, ElementsAre(message(65)));
  EXPECT_EQ(read(kPba + 8), 0U);
}

TEST_F(MsixTest, FunctionMaskHoldsAllVectorsBack) {
  control(kEnable | kMaskAll);
  program(0);
  program(1);
  program(2, 1);
  for (std::uint16_t n = 0; n < 3; ++n) msix.fire(n);
  EXPECT_EQ(read(kPba), 7U);
  control(kEnable);
  EXPECT_THAT(port.sent, ElementsAre(message(0), message(1)));
  EXPECT_EQ(read(kPba), 4U);
}

TEST_F(MsixTest, PbaIsReadOnlyAndReservedBitsStayZero) {
  write(kPba, 0xffffffff);
  EXPECT_EQ(read(kPba), 0U);
  write(kTable + 12, 0xfffffffe);
  EXPECT_EQ(read(kTable + 12), 0U);
  write(kTable, 0xfee00013);
  EXPECT_EQ(read(kTable), 0xfee00010U);
}

TEST_F(MsixTest, AccessesElsewhereAreNotTaken) {
  Bytes bytes(4, std::byte{7});
  EXPECT_FALSE(msix.bar_read(kBar, 0, bytes));
  EXPECT_FALSE(msix.bar_read(0, kTable, bytes));
  EXPECT_FALSE(msix.bar_write(kBar, kTable + kVectors * 16, bytes));
  EXPECT_EQ(bytes[0], std::byte{7});
}

TEST_F(MsixTest, EightByteAccessCoversAddressLowAndHigh) {
  const std::uint64_t address = 0x1'fee0'0010;
  EXPECT_TRUE(msix.bar_write(kBar, kTable, bytes_of(address)));
  EXPECT_EQ(read(kTable + 4), 1U);
  EXPECT_EQ(read(kTable), 0xfee00010U);
}

TEST_F(MsixTest, TrafficOfALockedTableIsTrusted) {
  control(kEnable);
  program(0);
  msix.set_traffic(TBit::kTrusted);
  msix.fire(0);
  EXPECT_THAT(port.sent, ElementsAre(message(0, TBit::kTrusted)));
}

}  // namespace
}  // namespace teeio::hw
