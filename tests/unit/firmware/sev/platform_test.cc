#include "firmware/sev/platform.h"

#include <gtest/gtest.h>

#include "schedule/fault_point.h"
#include "schedule/task.h"

namespace teeio::sev {
namespace {

class PlatformTest : public testing::Test {
 protected:
  static constexpr std::uint16_t kEcho = 0x1f0;

  PlatformTest() {
    trace.keep_events(true);
    psp.add({kEcho, "ECHO", "ECHO fails", 8, true, [](Call& call) {
               const auto word = call.body().le<std::uint32_t>();
               return word == 7 ? Status::kSuccess : call.refuse(Status::kInvalidParam, "not 7");
             }});
  }
  ~PlatformTest() override { schedule::set_chooser({}); }

  Status run(std::uint16_t number, Bytes buffer) {
    EXPECT_TRUE(memory.write(page, buffer));
    return psp.command(number, page);
  }
  Status init(std::uint32_t flags) { return run(kSnpInitEx, Writer().le(flags).zeros(60).take()); }
  Status reclaim(std::uint64_t operand) {
    return run(kSnpPageReclaim, Writer().le(operand).take());
  }
  Hpa firmware_page() {
    const Hpa made = *memory.alloc_page();
    EXPECT_EQ(rmp.update(made, {.assigned = true, .immutable = true}), RmpStatus::kSuccess);
    return made;
  }

  hw::PhysicalMemory memory{1U << 24U};
  object::Trace trace;
  Rmp rmp{memory};
  Platform psp{memory, trace, rmp, {}};
  Hpa page = *memory.alloc_page();
};

TEST_F(PlatformTest, TheMailboxKnowsNumbersAndLengths) {
  EXPECT_EQ(psp.command(0x1f1, page), Status::kInvalidCommand);
  EXPECT_EQ(psp.command(kEcho, Hpa{0x1000}), Status::kInvalidAddress);
  EXPECT_EQ(run(kEcho, Writer().le(12U).le(7U).take()), Status::kIncorrectBufferLength);
  EXPECT_EQ(run(kEcho, Writer().le(8U).le(6U).take()), Status::kInvalidParam);
  EXPECT_EQ(run(kEcho, Writer().le(8U).le(7U).take()), Status::kSuccess);
}

TEST_F(PlatformTest, TheExplorerMakesACommandFailBeforeItDoesAnything) {
  schedule::set_chooser(
      [](std::uint32_t, std::string_view what) { return what == "SNP_INIT_EX fails" ? 1U : 0U; });
  EXPECT_EQ(init(kInitRmp), Status::kResourceLimit);
  schedule::set_chooser({});
  EXPECT_EQ(init(kInitRmp), Status::kSuccess);
}

// `teeio run --inject` and `teeio sweep`: a command that may fail can be busy or refused; one
// that never does is not even asked.
TEST_F(PlatformTest, ACommandIsBusyOrRefusedWhereThatIsInjected) {
  struct Plan final : schedule::FaultPlan {
    schedule::Fault fault{};
    std::vector<std::string> asked;
    bool happens(schedule::FaultPlace place, std::string_view name,
                 schedule::Fault which) override {
      EXPECT_EQ(place, schedule::FaultPlace::kFirmware);
      asked.emplace_back(name);
      return which == fault;
    }
  } plan;
  int ran = 0;
  psp.add({kEcho + 1, "SURE", "", 8, true, [&](Call&) { return ++ran, Status::kSuccess; }});
  schedule::set_fault_plan(&plan);
  plan.fault = schedule::Fault::kBusy;
  EXPECT_EQ(run(kEcho, Writer().le(8U).le(6U).take()), Status::kResourceLimit);
  plan.fault = schedule::Fault::kRefuse;
  EXPECT_EQ(run(kEcho, Writer().le(8U).le(7U).take()), Status::kInvalidParam);
  plan.asked.clear();
  EXPECT_EQ(run(kEcho + 1, Writer().le(8U).le(7U).take()), Status::kSuccess);
  schedule::set_fault_plan(nullptr);
  EXPECT_EQ(ran, 1);
  EXPECT_TRUE(plan.asked.empty());
}

TEST_F(PlatformTest, SnpIsInitialisedOnceAndTioOnlyWhereItIs) {
  EXPECT_EQ(init(0), Status::kRmpInitRequired);
  EXPECT_EQ(init(kInitRmp | kInitTioEnable), Status::kSuccess);
  EXPECT_EQ(init(kInitRmp), Status::kInvalidPlatformState);
  Rmp other(memory);
  Platform old(memory, trace, other, {.tio = false});
  ASSERT_TRUE(memory.write(page, Writer().le(kInitRmp | kInitTioEnable).zeros(60).take()));
  EXPECT_EQ(old.command(kSnpInitEx, page), Status::kInvalidParam);
}

TEST_F(PlatformTest, ShutdownWantsNoAsidInUse) {
  ASSERT_EQ(init(kInitRmp), Status::kSuccess);
  const Hpa gctx = firmware_page();
  psp.make_guest(gctx).asid = 5;
  const Bytes buffer = Writer().le(8U).le(0U).take();
  EXPECT_EQ(run(kSnpShutdownEx, buffer), Status::kDfFlushRequired);
  psp.guest(gctx)->asid = 0;
  EXPECT_EQ(run(kSnpShutdownEx, buffer), Status::kSuccess);
  EXPECT_EQ(psp.guest_count(), 0U) << "forgotten";
  EXPECT_EQ(init(kInitRmp), Status::kSuccess);
}

TEST_F(PlatformTest, OnlyTheFirmwaresOwnPagesAreReclaimed) {
  const Hpa mine = firmware_page();
  EXPECT_EQ(reclaim(raw(mine)), Status::kInvalidPlatformState);
  ASSERT_EQ(init(kInitRmp), Status::kSuccess);
  EXPECT_EQ(reclaim(0x1000), Status::kInvalidAddress);
  EXPECT_EQ(reclaim(raw(mine) | 2U), Status::kInvalidParam);
  EXPECT_EQ(reclaim(raw(page)), Status::kSuccess) << "nothing is done to what is not immutable";
  EXPECT_EQ(rmp.state(page), PageState::kHypervisor);
  EXPECT_EQ(reclaim(raw(mine) | 1U), Status::kInvalidPageSize);
  (void)psp.make_guest(mine);
  EXPECT_EQ(reclaim(raw(mine)), Status::kInvalidPageState) << "a context page";
  psp.remove_guest(mine);
  EXPECT_EQ(reclaim(raw(mine)), Status::kSuccess);
  EXPECT_EQ(rmp.state(mine), PageState::kReclaim);
}

TEST_F(PlatformTest, FeatureInfoNamesTio) {
  EXPECT_EQ(run(kSnpFeatureInfo, Writer().le(16U).le(0U).le(std::uint64_t{0x1000}).take()),
            Status::kInvalidAddress);
  const Hpa out = *memory.alloc_page();
  EXPECT_EQ(run(kSnpFeatureInfo, Writer().le(16U).le(0U).le(raw(out)).take()), Status::kSuccess);
  EXPECT_EQ(*memory.read_u64(out), std::uint64_t{kFeatureTio} << 32U);
}

}  // namespace
}  // namespace teeio::sev
