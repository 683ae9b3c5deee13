// TDG.IQ.INV.REQUEST, from a guest's page to the status that it waits for.
#include "firmware/tdx/rows.h"
#include "firmware/tdx/state.h"
#include "unit/firmware/tdx/machine.h"

namespace teeio::tdx {
namespace {

constexpr Gpa kAsk = Machine::kRamGpa;
constexpr Gpa kStatus = Machine::kRamGpa + kPageSize + 8;
constexpr std::uint32_t kDone = 0x600d;

class GuestInvalidationTest : public Machine {
 protected:
  GuestInvalidationTest() {
    module.set_injection({.interruptions = false, .failures = false});
    connect();
    td = running_td();
    run(td);
    ask_frame = private_page(td, kAsk);
    status_frame = private_page(td, page_of(kStatus));
  }
  Module::GuestLeafResult ask_for(const std::vector<InvalidationDescriptor>& all) {
    return ask(td, kAsk, ask_frame, all);
  }
  /// As ask_for(), with a status behind them.
  Module::GuestLeafResult ask_with_status(std::vector<InvalidationDescriptor> all) {
    all.push_back(status_wait(kStatus, kDone));
    return ask_for(all);
  }
  LeafResult commit(std::uint16_t most = 128) {
    return module.tdh_iq_inv_request_td(kIommu, td.tdr, most);
  }
  std::uint32_t status() {
    std::uint32_t word = 0;
    const Hpa at = status_frame + raw(kStatus) % kPageSize;
    EXPECT_TRUE(memory.read(at, writable_bytes_of(word), memory.key_of(at)));
    return word;
  }
  Td& the_td() { return *module.state().find_td(td.tdr); }

  TestTd td;
  Hpa ask_frame{0}, status_frame{0};
};

TEST_F(GuestInvalidationTest, TheStatusIsWrittenWhenTheIommuIsThrough) {
  const auto asked = ask_with_status({of_domain(), of_page(kAsk)});
  ASSERT_OK(asked);
  EXPECT_EQ(asked.invalidations, 2U) << "the exit tells how many";
  EXPECT_CODE(ask_for({of_domain()}).leaf, Code::kGuestInvInProgress);
  const LeafResult committed = commit();
  ASSERT_OK(committed);
  EXPECT_EQ(committed.rcx, 0U);
  EXPECT_CODE(commit(), Code::kGuestInvNotRequired);
  EXPECT_EQ(status(), 0U);
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_EQ(status(), kDone);
  EXPECT_OK(ask_for({of_domain()}));
}

TEST_F(GuestInvalidationTest, ThePagesAskedForAreWalkedAnew) {
  constexpr Gpa kPages[] = {kAsk + 2 * kPageSize, kAsk + 3 * kPageSize};
  for (const Gpa gpa : kPages) {
    private_page(td, gpa);
    ASSERT_TRUE(trusted(gpa).has_value());
    const Sept sept(memory, the_td());
    sept.write(sept.walk(gpa, Level::k4K).where, SeptEntry());
    EXPECT_TRUE(trusted(gpa).has_value()) << "from the IOTLB";
  }
  ASSERT_OK(ask_for({of_page(kPages[0])}));
  ASSERT_OK(commit());
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_FALSE(trusted(kPages[0]).has_value());
  EXPECT_TRUE(trusted(kPages[1]).has_value()) << "nobody asked for it";
}

TEST_F(GuestInvalidationTest, AHostMayQueueTheRestLater) {
  ASSERT_OK(ask_with_status({of_domain(), of_domain(), of_domain()}));
  EXPECT_EQ(commit(1).rcx, 2U);
  EXPECT_EQ(commit(9).rcx, 0U);
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_EQ(status(), kDone);
}

// Of each request the wait counts too, so that two of four are as good as four.
TEST_F(GuestInvalidationTest, WhoQueuesThemSinglyHasTheGuestToldEarly) {
  ASSERT_OK(ask_with_status({of_domain(), of_domain(), of_domain(), of_domain()}));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(status(), 0U);
    ASSERT_OK(commit(1));
    ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  }
  EXPECT_EQ(status(), kDone);
  EXPECT_CODE(commit(1), Code::kGuestInvNotRequired);
}

TEST_F(GuestInvalidationTest, AnInvalidationOfTheWholeTdWillDo) {
  ASSERT_OK(ask_with_status({of_domain()}));
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  ASSERT_OK(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_EQ(status(), kDone);
  EXPECT_CODE(commit(), Code::kGuestInvNotRequired);
}

TEST_F(GuestInvalidationTest, AStatusIsLostWithItsPageOrWhileTheTableIsInUse) {
  ASSERT_OK(ask_for({of_domain(), status_wait(Gpa{raw(kRamGpa) + 9 * kPageSize}, kDone)}));
  ASSERT_OK(commit());
  EXPECT_OK(module.tdh_iq_inv_process(kIommu)) << "nothing is accepted there";
  ASSERT_OK(ask_with_status({of_domain()}));
  ASSERT_OK(commit());
  ASSERT_TRUE(the_td().sept_tree_lock.try_exclusive());
  EXPECT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_EQ(status(), 0U);
  EXPECT_FALSE(the_td().asked.active);
}

TEST_F(GuestInvalidationTest, AFatalTdKeepsTheQueueOfItsIommu) {
  ASSERT_OK(ask_for({of_domain()}));
  ASSERT_OK(commit());
  the_td().fatal = true;
  EXPECT_CODE(module.tdh_iq_inv_process(kIommu), Code::kTdFatal);
  EXPECT_CODE(module.tdh_iq_inv_process(kIommu), Code::kTdFatal) << "for ever";
}

TEST_F(GuestInvalidationTest, ADescriptorIsTakenOnlyAsTheModuleWantsIt) {
  const auto refused_at = [&](const std::vector<InvalidationDescriptor>& all) {
    const LeafResult result = ask_for(all).leaf;
    EXPECT_CODE(result, Code::kGuestInvInvalidDesc);
    return static_cast<std::uint32_t>(result.status.operand());
  };
  const InvalidationDescriptor good = of_domain();
  const auto with = [](InvalidationDescriptor one, std::size_t at, std::uint64_t bit) {
    one.at(at) ^= bit;
    return one;
  };
  EXPECT_EQ(refused_at({good, with(good, 0, 1U << 4U)}), 1U) << "granularity";
  EXPECT_EQ(refused_at({with(good, 0, 1U << 6U)}), 0U) << "writes drain";
  EXPECT_EQ(refused_at({with(good, 0, 1U << 7U)}), 0U) << "reads drain";
  EXPECT_EQ(refused_at({with(good, 0, 1U << 16U)}), 0U) << "a domain id";
  EXPECT_EQ(refused_at({with(good, 1, 1U << 12U)}), 0U) << "a domain has no address";
  EXPECT_EQ(refused_at({with(of_page(kAsk), 1, 1U << 6U)}), 0U) << "pages have the hint";
  EXPECT_EQ(refused_at({with(good, 3, 1)}), 0U);
  const InvalidationDescriptor wait = status_wait(kStatus, 1);
  EXPECT_EQ(refused_at({wait, good}), 0U) << "a wait is last";
  EXPECT_EQ(refused_at({with(wait, 0, 1U << 5U)}), 0U) << "without a status";
  EXPECT_EQ(refused_at({with(wait, 0, 1U << 4U)}), 0U) << "an interrupt";
  EXPECT_EQ(refused_at({status_wait(Gpa{kSharedGpaBit}, 1)}), 0U);
  EXPECT_EQ(refused_at({{7U}}), 0U) << "another type";
  EXPECT_OK(ask_for({with(wait, 0, 1U << 6U)})) << "a fence, and nothing to wait for";
  EXPECT_CODE(commit(), Code::kGuestInvNotRequired) << "for ever, but for the whole TD's";
}

TEST_F(GuestInvalidationTest, TheQueueMayHaveRoomForAPart) {
  std::vector<InvalidationDescriptor> many(100, of_domain());
  ASSERT_OK(ask_for(many));
  IommuState& unit = module.state().iommus[kIommu];
  unit.queue.resize(kQueueDescriptors - 40, {.type = IqType::kRoot, .index = {}});
  EXPECT_EQ(commit().rcx, 100U - 39U);
}

}  // namespace
}  // namespace teeio::tdx
