// What TDX Connect's driver does when the firmware refuses: every leaf of connect,
// bind and unbind in turn. Nothing may stay behind, and a second try must work.

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "schedule/task.h"
#include "unit/machine/make_machine.h"

namespace teeio::tsm {
namespace {

using machine::Machine;
using machine::test::connect;
using machine::test::disconnect;
using machine::test::error_of;
using machine::test::kPf;
using machine::test::kVf0;
using machine::test::kVf1;
using machine::test::make_machine;
using machine::test::Vmm;

/// How often each leaf may fail or be interrupted while `operation` runs.
std::map<std::string_view, int> chances_of(const std::function<void()>& operation) {
  std::map<std::string_view, int> chances;
  schedule::set_chooser([&](std::uint32_t, std::string_view what) {
    ++chances[what];
    return 0U;
  });
  operation();
  schedule::set_chooser({});
  return chances;
}

/// Makes `what` happen at its `nth` chance, once.
void happens_once(std::string_view what, int nth) {
  schedule::set_chooser([=, seen = 0](std::uint32_t, std::string_view asked) mutable {
    return asked == what && seen++ == nth ? 1U : 0U;
  });
}
void happens_always(std::string_view what) {
  schedule::set_chooser(
      [=](std::uint32_t, std::string_view asked) { return asked == what ? 1U : 0U; });
}

/// Both generations of the module's API.
class TdxFailure : public testing::TestWithParam<std::string_view> {
 protected:
  ~TdxFailure() override { schedule::set_chooser({}); }
  std::unique_ptr<Machine> machine_ =
      make_machine(machine::kDefaultMachine, "# tdx_api = \"g2\"", GetParam());
};
INSTANTIATE_TEST_SUITE_P(Apis, TdxFailure, testing::Values("tdx_api = \"g3\"", "tdx_api = \"g2\""),
                         [](const auto& api) {
                           return std::string(api.param.substr(api.param.size() - 3, 2));
                         });

TEST_P(TdxFailure, AtEachLeafOfConnectLeavesNothingAndASecondTryWorks) {
  Vmm admin(*machine_);
  const auto before = machine_->census();
  const auto chances = chances_of([&] { ASSERT_TRUE(connect(admin).has_value()); });
  ASSERT_TRUE(disconnect(admin).has_value());
  std::set<std::string_view> failed;
  for (const auto& [what, count] : chances)
    for (const int nth : {0, count / 2, count - 1}) {
      happens_once(what, nth);
      if (connect(admin).has_value())
        ASSERT_TRUE(disconnect(admin).has_value());
      else
        failed.insert(what);
      schedule::set_chooser({});
      EXPECT_EQ(machine_->census(), before) << what << " at " << nth;
      ASSERT_TRUE(connect(admin).has_value()) << what << " at " << nth;
      ASSERT_TRUE(disconnect(admin).has_value());
    }
  for (const std::string_view leaf :
       {"TDH.SPDM.CREATE fails", "TDH.SPDM.CONNECT fails", "TDH.IDE.STREAM.CREATE fails"})
    EXPECT_TRUE(failed.contains(leaf)) << leaf;
}

// SPDM_SESSION_KEY_REQUIRE_REFRESH: the driver updates the session's keys and goes on.
TEST_P(TdxFailure, WornSessionKeysAreRefreshedOnTheWay) {
  if (GetParam().contains("g2")) GTEST_SKIP() << "the older API has no such status";
  Vmm admin(*machine_);
  happens_once("the SPDM session's keys are worn", 0);
  ASSERT_TRUE(connect(admin).has_value());
  std::vector<std::string_view> leaves;
  for (const object::Event& event : machine_->trace().events())
    if (event.name.starts_with("TDH.") && (leaves.empty() || leaves.back() != event.name))
      leaves.push_back(event.name);
  const auto km = std::ranges::find(leaves, "TDH.IDE.STREAM.KM");
  ASSERT_NE(km, leaves.end());
  EXPECT_EQ(*std::next(km), "TDH.SPDM.MNG");
  EXPECT_EQ(*std::next(km, 2), "TDH.IDE.STREAM.KM");
}

TEST_P(TdxFailure, AtEachLeafOfBindLeavesNothingAndASecondTryWorks) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  const auto before = machine_->census();
  const auto chances = chances_of([&] { ASSERT_TRUE(vmm.vfio_bind().has_value()); });
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_EQ(machine_->census(), before);
  std::set<std::string_view> failed;
  for (const auto& [what, count] : chances)
    for (const int nth : {0, count / 2, count - 1}) {
      happens_once(what, nth);
      if (const auto bound = vmm.vfio_bind(); bound.has_value()) {
        ASSERT_TRUE(vmm.vfio_unbind().has_value());
      } else {
        EXPECT_EQ(bound.error().code, Errno::kBusy) << what;
        failed.insert(what);
      }
      schedule::set_chooser({});
      EXPECT_EQ(machine_->census(), before) << what << " at " << nth;
      ASSERT_TRUE(vmm.vfio_bind().has_value()) << what << " at " << nth;
      ASSERT_TRUE(vmm.vfio_unbind().has_value());
    }
  for (const std::string_view leaf :
       {"TDH.DEVIFMT.ADD fails", "TDH.DEVIF.CREATE fails", "TDH.MMIOMT.ADD fails",
        "TDH.MMIOMT.SET fails", "TDH.DMAR.ADD fails", "TDH.DEVIF.REQUEST fails"})
    EXPECT_TRUE(failed.contains(leaf)) << leaf;
}

// Teardown cannot fail: a leaf that is busy is tried again.
TEST_P(TdxFailure, AtEachLeafOfUnbindIsOvercome) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  const auto before = machine_->census();
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  const auto chances = chances_of([&] { ASSERT_TRUE(vmm.vfio_unbind().has_value()); });
  EXPECT_TRUE(chances.contains("TDH.DEVIF.REMOVE fails"));
  for (const auto& [what, count] : chances)
    for (const int nth : {0, count - 1}) {
      ASSERT_TRUE(vmm.vfio_bind().has_value());
      happens_once(what, nth);
      ASSERT_TRUE(vmm.vfio_unbind().has_value());
      schedule::set_chooser({});
      EXPECT_EQ(machine_->census(), before) << what << " at " << nth;
    }
}

// The second of two VFs fails to bind: what both stand on stays for the first.
TEST_P(TdxFailure, OfASecondBindLeavesTheFirstFunctionBound) {
  Vmm first(*machine_, 1), second(*machine_, 2);
  ASSERT_TRUE(connect(first).has_value());
  ASSERT_TRUE(first.prepare(kVf0).has_value());
  ASSERT_TRUE(second.prepare(kVf1).has_value());
  ASSERT_TRUE(first.vfio_bind().has_value());
  const auto before = machine_->census();
  for (const std::string_view what : {"TDH.MMIOMT.SET fails", "TDH.DMAR.ADD fails",
                                      "TDH.DEVIF.CREATE fails", "TDH.DEVIF.REQUEST fails"}) {
    happens_always(what);
    EXPECT_EQ(error_of(second.vfio_bind()), Errno::kBusy) << what;
    schedule::set_chooser({});
    EXPECT_EQ(machine_->census(), before) << what;
  }
  ASSERT_TRUE(second.vfio_bind().has_value());
  ASSERT_TRUE(second.vfio_unbind().has_value());
  EXPECT_EQ(machine_->census(), before);
}

// --- The dead VM ---

TEST_P(TdxFailure, DeadVmIsUnboundThroughTheBlockedStream) {
  const auto at_boot = machine_->census();
  {
    Vmm vmm(*machine_);
    ASSERT_TRUE(connect(vmm).has_value());
    ASSERT_TRUE(vmm.prepare(kPf).has_value());
    ASSERT_TRUE(vmm.finalize().has_value());
    ASSERT_TRUE(vmm.vfio_bind().has_value());
    const auto mapped = vmm.map_private_mmio();
    ASSERT_TRUE(mapped.has_value()) << mapped.error().why;
    // The module lets no MMIO of a locked TDI go: KVM_BUG_ON.
    (void)vmm.set_private(machine::test::kMmioGpa, kPageSize, false);
    EXPECT_EQ(error_of(vmm.set_private(machine::test::kMmioGpa, kPageSize)), Errno::kIo);
    ASSERT_TRUE(vmm.vfio_unbind().has_value());
    EXPECT_EQ(machine_->census().at("TDI state of 0000:01:00.0"), "CONFIG_UNLOCKED");
    // The stream is of no use until the card is connected anew.
    EXPECT_FALSE(vmm.vfio_bind().has_value());
  }
  bool blocked = false;
  for (const object::Event& event : machine_->trace().events())
    blocked |= event.fact == object::Fact::kStreamBlocked;
  EXPECT_TRUE(blocked);
  machine_->shut_down();
  EXPECT_EQ(machine_->census(), at_boot);
}

TEST_P(TdxFailure, CardIsOfUseAgainAfterItsBlockedStreamWasConnectedAnew) {
  {
    Vmm vmm(*machine_);
    ASSERT_TRUE(connect(vmm).has_value());
    ASSERT_TRUE(vmm.prepare(kPf).has_value());
    ASSERT_TRUE(vmm.finalize().has_value());
    ASSERT_TRUE(vmm.vfio_bind().has_value());
    ASSERT_TRUE(vmm.map_private_mmio().has_value());
    (void)vmm.set_private(machine::test::kMmioGpa, kPageSize, false);
  }
  Vmm next(*machine_, 2);
  ASSERT_TRUE(disconnect(next).has_value());
  ASSERT_TRUE(connect(next).has_value());
  ASSERT_TRUE(next.prepare(kPf).has_value());
  const auto bound = next.vfio_bind();
  EXPECT_TRUE(bound.has_value()) << bound.error().why;
}

// Without a good answer the module keeps the request, STOP included: the driver's only
// way to its metadata is to block the stream, and that costs the card's every TDI.
TEST_P(TdxFailure, ARequestThatGetsNoGoodAnswerCostsTheCardsStream) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  const auto before = machine_->census().at("frames in use");
  happens_always("TDH.DEVIF.RESPONSE fails");
  EXPECT_FALSE(vmm.vfio_bind().has_value());
  schedule::set_chooser({});
  EXPECT_EQ(machine_->census().at("frames in use"), before);
  std::set<std::string_view> refusals;
  bool blocked = false;
  for (const object::Event& event : machine_->trace().events()) {
    blocked |= event.fact == object::Fact::kStreamBlocked;
    if (event.refused && event.name == "TDH.DEVIF.REQUEST") refusals.insert(event.outcome);
  }
  EXPECT_TRUE(refusals.contains("TDX_DEVIF_TDISP_OUT_REQ"));
  EXPECT_TRUE(blocked);
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kIo);
  ASSERT_TRUE(disconnect(vmm).has_value());
  ASSERT_TRUE(connect(vmm).has_value());
}

// --- The order of unbind ---

TEST_P(TdxFailure, UnbindRunsInTheOrderThatTheModuleEnforces) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.finalize().has_value());
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  ASSERT_TRUE(vmm.map_private_mmio().has_value());
  const std::size_t start = machine_->trace().events().size();
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  std::map<std::string_view, std::uint64_t> first, last;
  for (std::size_t i = start; i < machine_->trace().events().size(); ++i) {
    const object::Event& event = machine_->trace().events()[i];
    // The IOTLB has nothing of a TD whose device has done no trusted DMA.
    EXPECT_TRUE(!event.refused || event.name == "TDH.IQ.INV.REQUEST") << event.name;
    first.try_emplace(event.name, event.seq);
    last[event.name] = event.seq;
  }
  constexpr std::string_view kOrder[] = {
      "TDH.DEVIF.REQUEST", "disable_mmio",       "TDH.MMIO.BLOCK",  "TDH.MEM.TRACK",
      "TDH.MMIO.UNMAP",    "TDH.DMAR.BLOCK",     "TDH.DMAR.REMOVE", "TDH.MMIOMT.REMOVE",
      "TDH.DEVIF.REMOVE",  "TDH.DEVIFMT.REMOVE", "recover_mmio"};
  for (const std::string_view name : kOrder) ASSERT_TRUE(first.contains(name)) << name;
  for (std::size_t i = 1; i < std::size(kOrder); ++i)
    EXPECT_LT(first[kOrder[i - 1]], first[kOrder[i]]) << kOrder[i - 1] << " and " << kOrder[i];
  EXPECT_LT(last["TDH.MMIO.UNMAP"], first["TDH.DMAR.BLOCK"]);
  EXPECT_LT(last["TDH.DMAR.REMOVE"], first["TDH.DEVIF.REMOVE"]);
}

}  // namespace
}  // namespace teeio::tsm
