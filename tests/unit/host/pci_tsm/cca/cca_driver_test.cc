#include <set>

#include "device/plain_card.h"
#include "schedule/fault_point.h"
#include "unit/host/pci_tsm/cca/machine.h"
#include "wire/tdisp_report.h"

namespace teeio::tsm {
namespace {

using testing::ElementsAre;

constexpr std::uint16_t kCommand = 0x04;

TEST_F(CcaDriverTest, BindLeavesTheTdiUnlockedForTheGuestToLock) {
  ASSERT_TRUE(driver.connect(pf()));
  ASSERT_TRUE(driver.bind(pf(), tdi, vm()));
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  ASSERT_TRUE(set_state(1));
  EXPECT_EQ(state(), TdiState::kConfigLocked);
  const auto info = request(RequestOp::kObjectInfo, {});
  ASSERT_TRUE(info);
  EXPECT_EQ(*info, Writer().le(std::uint32_t{1}).take());
}

TEST_F(CcaDriverTest, UnbindUnmapsThenStopsThenFrees) {
  run();
  const std::size_t before = trace.events().size();
  driver.unbind(pf(), tdi, vm(), *this);
  EXPECT_THAT(commands(before), ElementsAre("RMI_RTT_DEV_UNMAP", "RMI_VDEV_UNLOCK",
                                            "STOP_INTERFACE", "RMI_VDEV_DESTROY"));
  EXPECT_THAT(
      facts(before, recovered_after),
      ElementsAre(Fact::kMmioUnmapped, Fact::kTdiState, Fact::kTdiStopped, Fact::kMetadataRemoved));
  EXPECT_EQ(recovered_after, trace.events().size());
}

TEST_F(CcaDriverTest, ConnectBindUnbindDisconnectGivesAllBackTwice) {
  const std::uint64_t pages = memory.pages_in_use();
  for (int round = 0; round < 2; ++round) {
    run();
    driver.unbind(pf(), tdi, vm(), *this);
    driver.disconnect(pf());
    expect_as_before(pages);
  }
  const std::size_t before = trace.events().size();
  file.reset();
  EXPECT_EQ(rmm.granules(), 4U);  // the SMMU's
  EXPECT_THAT(facts(before, trace.events().size()),
              ElementsAre(Fact::kVmFileReleased, Fact::kVmDestroyed));
}

/// The n-th command of the monitor is refused.
struct NthRefusal final : schedule::FaultPlan {
  bool happens(schedule::FaultPlace place, std::string_view name, schedule::Fault fault) override {
    if (place != schedule::FaultPlace::kFirmware || fault != which_fault) return false;
    if ((!only.empty() && name != only) || seen++ != which) return false;
    what = name;
    return true;
  }
  schedule::Fault which_fault = schedule::Fault::kRefuse;
  std::string_view only;  ///< empty: any command
  int which = 0;
  int seen = 0;
  std::string_view what;
};

// What the monitor refuses while a TDI is bound and its MMIO mapped, the way down gives back, and
// the same life works next: the realm keeps two tables for each place where MMIO was.
TEST_F(CcaDriverTest, EachRefusalOfABindLeavesNothingBehind) {
  NthRefusal plan;
  const auto life = [&](Gpa gpa, schedule::FaultPlan* faults) {
    EXPECT_TRUE(driver.connect(pf()));
    schedule::set_fault_plan(faults);
    const Hpa bar = pf().bars()[0].base;
    const bool bound = driver.bind(pf(), tdi, vm()).has_value();
    const bool good = bound && vm().ops().map_private(gpa, bar, kvm::PageKind::kMmio).has_value();
    schedule::set_fault_plan(nullptr);
    if (good) mapped.push_back(gpa);
    if (bound) driver.unbind(pf(), tdi, vm(), *this);
    driver.disconnect(pf());
    return good;
  };
  std::size_t tables = 0;
  const std::uint64_t pages = memory.pages_in_use();
  for (plan.which = 0;; ++plan.which) {
    plan.seen = 0;
    const Gpa gpa = kBarGpa + (static_cast<std::uint64_t>(plan.which) << 30U);
    const bool good = life(gpa, &plan);
    if (plan.seen <= plan.which) break;
    EXPECT_FALSE(good) << plan.what;
    EXPECT_TRUE(life(gpa, nullptr)) << plan.what << ": the same life again";
    tables += 2;
    SCOPED_TRACE(plan.what);
    expect_as_before(pages, tables);
  }
  EXPECT_GT(plan.which, 5);
}

// A connect that is refused in the middle keeps what the monitor keeps, and that is told.
TEST_F(CcaDriverTest, ARefusedConnectLeaksOnlyWhatTheMonitorKeeps) {
  NthRefusal plan;
  for (;; ++plan.which) {
    plan.seen = 0;
    const std::uint64_t pages = memory.pages_in_use();
    const std::size_t before = trace.events().size();
    schedule::set_fault_plan(&plan);
    const bool connected = driver.connect(pf()).has_value();
    schedule::set_fault_plan(nullptr);
    if (connected) driver.disconnect(pf());
    std::uint64_t kept = 0;
    bool made = false;  // its table, which may be there from a round before
    for (std::size_t i = before; i < trace.events().size(); ++i) {
      const object::Event& event = trace.events()[i];
      if (event.fact == Fact::kRefLeaked) kept += event.a;
      if (event.name == "RMI_PSMMU_ST_L2_CREATE") made = true;
      // Its table stays and is used again.
      if (made && event.name == "RMI_PSMMU_ST_L2_DESTROY" && event.outcome == "RMI_BLOCKED") ++kept;
    }
    EXPECT_EQ(memory.pages_in_use(), pages + kept) << plan.what;
    if (plan.seen <= plan.which) break;
  }
  EXPECT_GT(plan.which, 12);
}

TEST_F(CcaDriverTest, ABusyMonitorIsAskedAgainWithinAnOperation) {
  NthRefusal plan;
  plan.which_fault = schedule::Fault::kBusy;
  std::set<std::string_view> asked_again;
  for (;; ++plan.which) {
    plan.seen = 0;
    const std::uint64_t pages = memory.pages_in_use();
    schedule::set_fault_plan(&plan);
    const bool connected = driver.connect(pf()).has_value();
    if (connected) driver.disconnect(pf());
    schedule::set_fault_plan(nullptr);
    if (plan.seen <= plan.which) break;
    EXPECT_EQ(memory.pages_in_use(), pages) << plan.what;
    if (!plan.what.starts_with("RMI_OP_")) continue;
    EXPECT_TRUE(connected) << plan.what;
    asked_again.insert(plan.what);
  }
  EXPECT_THAT(asked_again,
              ElementsAre("RMI_OP_CONTINUE", "RMI_OP_MEM_DONATE", "RMI_OP_MEM_RECLAIM"));
}

// How much of a destroyed object's memory the monitor keeps only the monitor knows. First the
// table's, which the next connect makes anew; then the PDEV's.
TEST_F(CcaDriverTest, ARefusedReclaimOfWhatIsDestroyedIsTold) {
  NthRefusal plan;
  plan.only = "RMI_OP_MEM_RECLAIM";
  for (plan.which = 1; plan.which >= 0; --plan.which) {
    plan.seen = 0;
    const std::uint64_t pages = memory.pages_in_use();
    ASSERT_TRUE(driver.connect(pf()));
    const std::size_t before = trace.events().size();
    schedule::set_fault_plan(&plan);
    driver.disconnect(pf());
    schedule::set_fault_plan(nullptr);
    ASSERT_GT(plan.seen, plan.which);
    EXPECT_GT(memory.pages_in_use(), pages);
    const auto leaks = facts(before, trace.events().size());
    EXPECT_THAT(leaks, testing::Contains(Fact::kRefLeaked));
  }
}

TEST_F(CcaDriverTest, AGuestThatUnlocksFirstUnmaps) {
  run();
  const auto refused = set_state(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errno::kBusy);
  EXPECT_EQ(code, static_cast<std::uint64_t>(rmm::Code::kGranule));
  EXPECT_EQ(state(), TdiState::kRun);
  disable_mmio();
  ASSERT_TRUE(set_state(0));
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  driver.unbind(pf(), tdi, vm(), *this);
}

TEST_F(CcaDriverTest, TheReportIsTheDevicesAndIsCutToTheCallersBuffer) {
  run();
  const auto whole = request(RequestOp::kReadObject, {});
  ASSERT_TRUE(whole);
  const auto report = wire::TdispReport::decode(*whole);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->ranges.at(0).address(), raw(pf().bars()[0].base));
  const auto part = request(RequestOp::kReadObject, {}, 5);
  ASSERT_TRUE(part);
  EXPECT_THAT(*part, testing::ElementsAreArray(whole->data(), 5));
}

TEST_F(CcaDriverTest, WhatTheRealmAskedForIsValidatedAndNothingElse) {
  run();
  const std::uint64_t address = raw(pf().bars()[0].base);
  const std::uint64_t base = raw(kBarGpa);
  const auto validate = [&](std::uint64_t from, std::uint64_t to) {
    return request(RequestOp::kValidateMmio, Writer().le(from).le(to).le(address).take());
  };
  EXPECT_EQ(validate(base, base).error().code, Errno::kInval);
  // The host alone: the realm has asked for nothing.
  EXPECT_EQ(validate(base, base + kPageSize).error().code, Errno::kInval);
  EXPECT_EQ(code, static_cast<std::uint64_t>(rmm::Code::kInput));
  const Hpa rec = static_cast<kvm::RealmVm&>(vm().ops()).rec();
  auto& realm = static_cast<kvm::RealmVm&>(vm().ops());
  const Hpa vdev = host.vdev_named(pf().bdf().rid(), vm().firmware_handle()).value();
  const auto asks = [&](Hpa pa) {
    ASSERT_TRUE(realm.guest_asks_for(pf().bdf().rid(), vdev, kBarGpa, kBarGpa + kPageSize, pa));
  };
  asks(Hpa{address} + kPageSize);  // another page than the one that is mapped
  ASSERT_FALSE(validate(base, base + kPageSize));
  EXPECT_EQ(code, static_cast<std::uint64_t>(rmm::Code::kRtt));
  asks(Hpa{address});
  ASSERT_TRUE(validate(base, base + kPageSize));
  EXPECT_EQ(rmm.rsi_result(rec).x1, base + kPageSize);
  EXPECT_EQ(request(RequestOp::kSevEnableDma, {}).error().code, Errno::kInval);
  EXPECT_EQ(request(RequestOp::kSetTdiState, {}).error().code, Errno::kInval);
}

// RFC v4 of the driver: VDEV_LOCK at bind, and RUN is the guest's only wish.
TEST_F(CcaDriverTest, TheLastPostedDriverLocksAtBind) {
  CcaDriver locking(host, {{&port, rmm::Settings::kPsmmu}}, CcaBind::kLocked);
  locking.registered(streams, 1);
  ASSERT_TRUE(locking.connect(pf()));
  ASSERT_TRUE(locking.bind(pf(), tdi, vm()));
  EXPECT_EQ(state(), TdiState::kConfigLocked);
  const auto ask = [&](std::uint32_t wanted) {
    const Bytes payload = Writer().le(wanted).take();
    return locking
        .guest_request(pf(), tdi, vm(),
                       {.op = RequestOp::kSetTdiState,
                        .arch = TvmArch::kCca,
                        .payload = payload,
                        .response_limit = kPageSize})
        .payload;
  };
  for (const std::uint32_t refused : {0U, 1U, 3U})
    EXPECT_EQ(ask(refused).error().code, Errno::kInval);
  ASSERT_TRUE(ask(2));
  EXPECT_EQ(state(), TdiState::kRun);
  locking.unbind(pf(), tdi, vm(), *this);
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  locking.disconnect(pf());
}

TEST_F(CcaDriverTest, ATdiInErrorIsUnboundAndBoundAgain) {
  run();
  pf().config_write(kCommand, 2, 0);
  ASSERT_EQ(state(), TdiState::kError);
  driver.unbind(pf(), tdi, vm(), *this);
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  ASSERT_TRUE(driver.bind(pf(), tdi, vm()));
  ASSERT_TRUE(set_state(1));
}

TEST_F(CcaDriverTest, ARequestThatTheDeviceRefusesLeavesABoundTdiThatCanGo) {
  const std::uint64_t pages = memory.pages_in_use();
  run();
  pf().config_write(kCommand, 2, 0);  // to ERROR: no report any more
  const auto refused = request(RequestOp::kReadObject, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errno::kIo);
  driver.unbind(pf(), tdi, vm(), *this);
  driver.disconnect(pf());
  expect_as_before(pages);
}

TEST_F(CcaDriverTest, APageThatStaysMappedKeepsTheVdevAndIsReported) {
  run();
  owner_is_gone = true;
  const std::size_t before = trace.events().size();
  driver.unbind(pf(), tdi, vm(), *this);
  EXPECT_THAT(facts(before, trace.events().size()), ElementsAre(Fact::kRefLeaked));
  EXPECT_EQ(state(), TdiState::kRun);
}

TEST_F(CcaDriverTest, TwoFunctionsAreBoundAndUnboundApart) {
  run();
  const Tdi second{.function = vf().bdf()};
  ASSERT_TRUE(driver.bind(vf(), second, vm()));
  driver.unbind(pf(), tdi, vm(), *this);
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  driver.unbind(vf(), second, vm(), *this);
  driver.disconnect(pf());
  EXPECT_EQ(rmm.granules(), kRealmsAndSmmus + 2);
}

// arch/arm64/kvm/hypercalls.c, kvm_smccc_set_filter().
TEST_F(CcaDriverTest, FiltersOfCallsAreRangesThatDoNotOverlap) {
  auto& realm = static_cast<kvm::RealmVm&>(vm().ops());
  const auto filter = [&](std::uint32_t first, std::uint32_t count) {
    const auto done = realm.filter_calls(first, count, kvm::RealmVm::SmcccAction::kForward);
    return done ? Errno{} : done.error().code;
  };
  EXPECT_EQ(filter(0xc500'0000, 0), Errno::kInval);
  EXPECT_EQ(filter(0xffff'ffff, 2), Errno::kInval) << "it wraps";
  EXPECT_EQ(filter(0xffff'ff00, 0x100), Errno{}) << "to the last number";
  EXPECT_EQ(filter(0xffff'ffff, 1), Errno::kExist);
  EXPECT_EQ(filter(0xffff'feff, 2), Errno::kExist);
  EXPECT_EQ(filter(0x8000'0001, 1), Errno::kExist) << "an architecture's call";
  EXPECT_EQ(filter(0xbfff'ffff, 2), Errno::kExist) << "likewise";
  EXPECT_EQ(filter(0xc001'0000, 1), Errno{});
}

TEST_F(CcaDriverTest, OnlyARealmAndAConnectedCardAreBound) {
  const auto unconnected = driver.bind(pf(), tdi, vm());
  EXPECT_EQ(unconnected.error().code, Errno::kNxio);
  ASSERT_TRUE(driver.connect(pf()));
  const object::Ref<object::File> ordinary = *kvm.create_vm(0, 1);
  const auto refused = driver.bind(pf(), tdi, static_cast<kvm::VmFile&>(*ordinary).vm());
  EXPECT_EQ(refused.error().code, Errno::kInval);
}

TEST_F(CcaDriverTest, MmioOfNoBoundTdiIsNotMapped) {
  ASSERT_TRUE(driver.connect(pf()));
  const Hpa bar = pf().bars()[0].base;
  EXPECT_FALSE(vm().ops().map_private(kBarGpa, bar, kvm::PageKind::kMmio));
  ASSERT_TRUE(driver.bind(pf(), tdi, vm()));
  EXPECT_TRUE(vm().ops().map_private(kBarGpa, bar, kvm::PageKind::kMmio));
  EXPECT_FALSE(vm().ops().map_private(kBarGpa + kPageSize, bar, kvm::PageKind::kMmio));
  // The refused second mapping left the granule as it was.
  EXPECT_TRUE(vm().ops().remove_private(kBarGpa, kvm::PageKind::kMmio));
}

TEST_F(CcaDriverTest, ACardWithoutADsmLeavesNothingBehind) {
  const std::uint64_t pages = memory.pages_in_use();
  device::PlainCard plain(trace, {.bdf = {0, 1, 4, 0}, .window = Hpa{0x3900'0000'0000}});
  EXPECT_FALSE(driver.connect(plain.function()));
  expect_as_before(pages, 0);
}

}  // namespace
}  // namespace teeio::tsm
