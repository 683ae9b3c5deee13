#include "hw/smmu/smmu.h"

#include <gtest/gtest.h>

#include "hw/smmu/stage2.h"

namespace teeio::hw {
namespace {

constexpr KeyId kRealm{1};
constexpr std::uint16_t kSid = 0x0142;
constexpr Iova kIpa{0x4020'3000};

class SmmuTest : public testing::Test {
 protected:
  Hpa page() {
    const Hpa at = *memory.alloc_page();
    memory.give_page(at, kRealm);
    return at;
  }
  void put(Hpa at, std::uint64_t value) { ASSERT_TRUE(memory.write_u64(at, value, kRealm)); }
  void SetUp() override {
    smmu.enable({.stream_table = level1,
                 .sid_bits = 16,
                 .commands = commands,
                 .events = events,
                 .commands_log2 = 3,
                 .events_log2 = 1});
    put(level1 + (kSid >> smmu::kSplit) * 8, smmu::level1(level2));
    constexpr std::uint64_t kTable = smmu::kValid | smmu::kTableOrPage;
    put(tables[0] + 1 * 8, raw(tables[1]) | kTable);
    put(tables[1] + 1 * 8, raw(tables[2]) | kTable);
    map(smmu::kS2Read | smmu::kS2Write);
    ste(true);
  }
  void map(std::uint64_t rights) {
    put(tables[2] + 3 * 8,
        raw(data) | rights | smmu::kAccessFlag | smmu::kValid | smmu::kTableOrPage);
  }
  void ste(bool valid) {
    const auto words = smmu::Ste{.valid = valid, .vmid = 7, .table = tables[0]}.encode();
    ASSERT_TRUE(memory.write(level2 + kSid % smmu::kTableEntries * smmu::kSteBytes, bytes_of(words),
                             kRealm));
  }
  bool send(const smmu::Command& command) {
    EXPECT_TRUE(
        memory.write(commands + (prod & 7U) * smmu::kCommandBytes, bytes_of(command), kRealm));
    prod = (prod + 1) & 15U;
    return smmu.ring(prod);
  }
  auto translate(DmaAccess access = DmaAccess::kRead, std::uint16_t sid = kSid) {
    return smmu.translate(sid, Iova{raw(kIpa) + 8}, access);
  }
  std::uint16_t reason(std::uint16_t sid = kSid) {
    const auto found = translate(DmaAccess::kWrite, sid);
    return found ? 0xffff : found.error().reason;
  }

  object::Trace trace;
  PhysicalMemory memory{1U << 22U};
  Smmu smmu{memory, trace, 0, kRealm};
  Hpa level1 = page(), level1_second = page(), level2 = page();
  Hpa tables[3] = {page(), page(), page()};
  Hpa data = page(), commands = page(), events = page();
  std::uint32_t prod = 0;
};

TEST_F(SmmuTest, WalksStreamTableAndStage2InMemory) {
  const auto found = translate();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->address, data + 8);
  EXPECT_EQ(found->contiguous_bytes, kPageSize - 8);
  EXPECT_EQ(found->domain, 7);
  EXPECT_EQ(found->key, kRealm);
}

TEST_F(SmmuTest, EachThingThatIsMissingHasItsEvent) {
  EXPECT_EQ(reason(0x4142), std::uint16_t{std::to_underlying(smmu::Event::kBadStreamId)});
  EXPECT_EQ(reason(kSid + 1), std::uint16_t{std::to_underlying(smmu::Event::kBadSte)});
  map(smmu::kS2Read);
  EXPECT_EQ(reason(), std::uint16_t{std::to_underlying(smmu::Event::kPermission)});
  ASSERT_TRUE(send(smmu::tlbi_vmid(7)));
  put(tables[2] + 3 * 8, 0);
  EXPECT_EQ(reason(), std::uint16_t{std::to_underlying(smmu::Event::kTranslation)});
  smmu.disable();
  EXPECT_EQ(reason(), 0);
}

TEST_F(SmmuTest, ServesWhatItHasCachedUntilTheCommandComes) {
  ASSERT_TRUE(translate());
  put(tables[2] + 3 * 8, 0);
  EXPECT_TRUE(translate());
  ASSERT_TRUE(send(smmu::tlbi_ipa(8, kIpa)));  // another VMID's
  EXPECT_TRUE(translate());
  ASSERT_TRUE(send(smmu::tlbi_ipa(7, kIpa)));
  EXPECT_FALSE(translate());
  map(smmu::kS2Read);
  EXPECT_TRUE(translate());
  ste(false);
  EXPECT_TRUE(translate());
  ASSERT_TRUE(send(smmu::cfgi_ste(kSid)));
  EXPECT_FALSE(translate());
}

TEST_F(SmmuTest, TheQueueWrapsAndStopsAtWhatIsNoCommand) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(send(smmu::sync()));
  EXPECT_EQ(smmu.commands_consumed(), prod);
  EXPECT_FALSE(send({0xff, 0}));
  EXPECT_NE(smmu.commands_consumed(), prod);
  EXPECT_FALSE(smmu.ring(99));
}

TEST_F(SmmuTest, AFullEventQueueLosesEvents) {
  for (int i = 0; i < 5; ++i) (void)reason(kSid + 1);
  EXPECT_EQ(smmu.events_produced(), 2U);
  const auto first = memory.read_u64(events, kRealm);
  EXPECT_EQ(*first & 0xffU, std::to_underlying(smmu::Event::kBadSte));
  EXPECT_EQ(*first >> 32U, kSid + 1U);
  smmu.consume_events(1);
  (void)reason(kSid + 1);
  EXPECT_EQ(smmu.events_produced(), 3U);
}

TEST_F(SmmuTest, ATranslationsEventSaysWhatWasAskedOfStage2) {
  put(tables[2] + 3 * 8, 0);
  EXPECT_FALSE(translate());
  const auto word = [&](std::uint64_t at) { return memory.read_u64(events + at, kRealm).value(); };
  EXPECT_EQ(word(8), 1ULL << 35U | 1ULL << 39U | 2ULL << 40U);
  EXPECT_EQ(word(16), raw(kIpa) + 8);
  EXPECT_EQ(word(24), raw(kIpa));
  EXPECT_NE(reason(kSid + 1), 0xffff);
  EXPECT_EQ(word(smmu::kEventBytes + 8), 0U) << "an entry's has none of it";
}

TEST_F(SmmuTest, ABlockIsWalkedToo) {
  const Hpa block{raw(data) & ~((std::uint64_t{1} << 21U) - 1)};
  put(tables[1] + 1 * 8, raw(block) | smmu::kS2Read | smmu::kAccessFlag | smmu::kValid);
  const auto found = translate();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->address, block + 0x3008);
}

}  // namespace
}  // namespace teeio::hw
