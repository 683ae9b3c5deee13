// Cards of any model: what they are made of, and in which order they go.
#include <algorithm>
#include <vector>

#include "card_fixture.h"
#include "device/attester.h"
#include "device/tee_card.h"
#include "device/tee_function.h"
#include "hw/find_capability.h"

namespace teeio::device::testing {
namespace {

constexpr Bdf kFirst{0, 1, 0, 0};

DmaEngineCard::Options options(unsigned vfs = 2, std::uint64_t serial = 1) {
  return {.pf = kFirst, .vfs = vfs, .window = Hpa{0x20'0000'0000}, .serial = serial};
}

/// A function that says when it goes.
class Leaver final : public TeeFunction {
 public:
  Leaver(object::Trace& trace, schedule::Monitor& lock, const Role& role, std::vector<Bdf>& gone)
      : TeeFunction(trace, lock, role), gone_(gone) {}
  ~Leaver() override { gone_.push_back(bdf()); }
  Leaver(const Leaver&) = delete;
  Leaver& operator=(const Leaver&) = delete;

 private:
  void register_read(std::uint64_t, std::span<std::byte>) override {}
  void register_write(std::uint64_t, ByteView) override {}
  void scrub() override {}
  std::vector<Bdf>& gone_;
};

class LeavingCard final : public TeeCard {
 public:
  LeavingCard(object::Trace& trace, std::vector<Bdf>& gone) {
    constexpr std::uint64_t kEach = 0x10000;
    for (unsigned i = 0; i < 3; ++i) {
      TeeFunction::Role role{.bdf = i == 0 ? kFirst : vf_bdf(kFirst, i - 1),
                             .identity = {.vendor = 0x1efe, .device = 1},
                             .bars = {},
                             .pf = i == 0 ? nullptr : &pf()};
      const Hpa base{0x20'0000'0000 + i * kEach};
      role.bars[0] = {.kind = hw::Bar::Kind::kMemory64, .size = 0x1000, .base = base};
      role.bars[4] = {
          .kind = hw::Bar::Kind::kMemory64, .size = TeeFunction::kMsixBytes, .base = base + 0x8000};
      auto function = std::make_unique<Leaver>(trace, lock(), role, gone);
      if (i == 0) function->make_physical({.sriov = {.vfs = 2, .vf_device_id = 2, .vf_bars = {}}});
      add(std::move(function));
    }
  }
};

TEST(Cards, VfsGoBeforeThePfThatTheyAsk) {
  object::Trace trace;
  std::vector<Bdf> gone;
  {
    const LeavingCard card(trace, gone);
  }
  ASSERT_EQ(gone.size(), 3U);
  EXPECT_EQ(gone.back(), kFirst);
}

// PCIe Base Spec 9.3.3.14: a VF BAR that a card has not reads as zero, whatever is written.
TEST(Cards, OneWithoutVfsHasNoVfBars) {
  object::Trace trace;
  DmaEngineCard card(trace, options(0));
  hw::PciFunction& pf = *card.functions().front();
  unsigned sriov = 0x100;
  while ((pf.config_read(static_cast<std::uint16_t>(sriov), 4) & 0xffffU) != 0x10)
    sriov = pf.config_read(static_cast<std::uint16_t>(sriov), 4) >> 20U;
  for (unsigned bar = 0; bar < hw::kBarCount; ++bar) {
    const auto at = static_cast<std::uint16_t>(sriov + 0x24 + 4 * bar);
    EXPECT_EQ(pf.config_read(at, 4), 0U);
    pf.config_write(at, 4, 0xffff'ffff);
    EXPECT_EQ(pf.config_read(at, 4), 0U) << "VF BAR " << bar;
  }
}

// PCIe Base Spec 9.3.3.3.1: VF Enable is clear by default, and here no VF is enabled at boot.
TEST(Cards, VfEnableIsSetAtBootWhereThereAreVfs) {
  for (const unsigned vfs : {0U, 2U}) {
    object::Trace trace;
    DmaEngineCard card(trace, options(vfs));
    hw::PciFunction& pf = *card.functions().front();
    const auto sriov = hw::find_extended_capability(pf, 0x10);
    ASSERT_TRUE(sriov.has_value());
    const auto control = static_cast<std::uint16_t>(*sriov + 8);
    EXPECT_EQ(pf.config_read(control, 2), vfs == 0 ? 0U : 9U) << vfs << " VFs";
  }
}

// docs/devices/dma-engine.md, measurement block 3.
TEST(Cards, HardwareIsMeasuredAsItIs) {
  object::Trace trace;
  const auto hardware = [&](const DmaEngineCard::Options& of) {
    DmaEngineCard card(trace, of);
    const auto blocks = card.attester().measurements();
    const auto found = std::ranges::find(blocks, 3, &spdm::Measurement::index);
    return found == blocks.end() ? Bytes{} : found->value;
  };
  const Bytes value = hardware(options(2, 0x1122'3344'5566'7788));
  Reader in(value);
  EXPECT_EQ(in.le<std::uint16_t>(), DmaEngineCard::kVendorId);
  EXPECT_EQ(in.le<std::uint16_t>(), DmaEngineCard::kPfDeviceId);
  EXPECT_EQ(in.le<std::uint8_t>(), 1) << "the revision";
  EXPECT_EQ(in.le<std::uint64_t>(), 0x1122'3344'5566'7788U);
  EXPECT_EQ(in.le<std::uint16_t>(), 2) << "VFs";
  EXPECT_EQ(in.le<std::uint8_t>(), 2) << "IDE streams";
  EXPECT_TRUE(in.ok() && in.rest().empty());
  EXPECT_NE(hardware(options(1)), hardware(options(2)));
}

// `--inject device:GET_VERSION=…` is asked by the name of the request that came.
TEST(Cards, ARequestIsRememberedByItsName) {
  object::Trace trace;
  DmaEngineCard card(trace, options());
  Attester& attester = card.attester();
  EXPECT_EQ(attester.last_request(), "an object");
  constexpr std::byte kGetVersion[] = {std::byte{0x10}, std::byte{0x84}, std::byte{0},
                                       std::byte{0}};
  attester.received(spdm::kNoSession, kGetVersion);
  EXPECT_EQ(attester.last_request(), "GET_VERSION");
  attester.received(spdm::kNoSession, ByteView(kGetVersion).first(1));
  EXPECT_EQ(attester.last_request(), "GET_VERSION") << "what has no header has no name";
}

}  // namespace
}  // namespace teeio::device::testing
