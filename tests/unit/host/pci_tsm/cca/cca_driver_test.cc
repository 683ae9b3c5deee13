#include "host/pci_tsm/cca/cca_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/dma_engine_card.h"
#include "device/plain_card.h"
#include "device/tdi.h"
#include "host/kvm/kvm.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/vm_file.h"
#include "wire/tdisp_report.h"

namespace teeio::tsm {
namespace {

using object::Fact;
using testing::ElementsAre;
using wire::TdiState;

constexpr std::uint16_t kCommand = 0x04;
constexpr Gpa kBarGpa{0x8000'0000};

/// A host with the card, the monitor, KVM and the driver; one realm.
class CcaDriverTest : public testing::Test, public TeardownHandlers {
 protected:
  CcaDriverTest() {
    trace.keep_events(true);
    for (hw::PciFunction* function : card.functions())
      for (const hw::Bar& at : function->bars())
        if (at.kind != hw::Bar::Kind::kNone)
          (void)memory.claim_mmio(at.base, at.size, *at.target).value();
    kvm.add_type(vm_type);
    file = *kvm.create_vm(kvm::kVmTypeArmRealm, 1);
  }

  // What VFIO and KVM do.
  void disable_mmio() override {
    if (owner_is_gone) return;
    for (const Gpa page : std::exchange(mapped, {}))
      EXPECT_TRUE(vm().ops().remove_private(page, kvm::PageKind::kMmio));
  }
  void recover_mmio() override { recovered_after = trace.events().size(); }
  void set_bound(bool) override {}

  void map(Gpa page, Hpa address) {
    ASSERT_TRUE(vm().ops().map_private(page, address, kvm::PageKind::kMmio));
    mapped.push_back(page);
  }

  kvm::Vm& vm() { return static_cast<kvm::VmFile&>(*file).vm(); }
  hw::PciFunction& pf() { return *card.functions()[0]; }
  hw::PciFunction& vf() { return *card.functions()[1]; }
  TdiState state() { return card.tdi(0).state(); }

  Result<GuestResponse> request(RequestOp op, Bytes payload, std::size_t limit = kPageSize) {
    return driver.guest_request(
        pf(), tdi, vm(),
        {.op = op, .arch = TvmArch::kCca, .payload = payload, .response_limit = limit}, code);
  }
  Result<GuestResponse> set_state(std::uint32_t wanted) {
    return request(RequestOp::kSetTdiState, Writer().le(wanted).take());
  }
  void run() {
    ASSERT_TRUE(driver.connect(pf()));
    ASSERT_TRUE(driver.bind(pf(), tdi, vm()));
    ASSERT_TRUE(set_state(1));
    map(kBarGpa, pf().bars()[0].base);
    ASSERT_TRUE(set_state(2));
    ASSERT_EQ(state(), TdiState::kRun);
  }
  /// Everything but the realm is given back.
  void expect_as_before(std::uint64_t pages) {
    EXPECT_EQ(memory.pages_in_use(), pages);
    EXPECT_EQ(rmm.granules(), 1U);
    EXPECT_EQ(port.free_streams(), port.streams());
  }

  std::vector<Fact> facts(std::size_t first, std::size_t end) {
    std::vector<Fact> found;
    for (std::size_t i = first; i < end; ++i)
      if (trace.events()[i].fact != Fact::kNone) found.push_back(trace.events()[i].fact);
    return found;
  }
  std::vector<std::string_view> commands(std::size_t first) {
    std::vector<std::string_view> found;
    for (std::size_t i = first; i < trace.events().size(); ++i) {
      const std::string_view name = trace.events()[i].name;
      if (name == "RMI_RTT_DEV_UNMAP" || name == "RMI_VDEV_UNLOCK" || name == "RMI_VDEV_DESTROY" ||
          name == "STOP_INTERFACE")
        found.push_back(name);
    }
    return found;
  }

  object::Trace trace;
  hw::PhysicalMemory memory{1U << 26U};
  hw::RootPort port{trace,
                    {.bdf = {0, 0, 1, 0},
                     .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                .primary = 0,
                                .secondary = 1,
                                .subordinate = 1,
                                .memory = {},
                                .prefetchable = {}},
                     .ide_streams = 2,
                     .tee_io = true}};
  device::DmaEngineCard card{trace,
                             {.pf = {0, 1, 0, 0}, .vfs = 1, .window = Hpa{0x3800'0000'0000}}};
  rmm::Rmm rmm{memory, trace, {&port}};
  kvm::RealmHost host{rmm, memory, trace};
  kvm::RealmVmFactory vm_type{host};
  kvm::Kvm kvm{memory, nullptr, trace};
  CcaDriver driver{host, {&port}};
  object::Ref<object::File> file;
  const Tdi tdi{.function = {0, 1, 0, 0}};
  std::vector<Gpa> mapped;
  bool owner_is_gone = false;
  std::size_t recovered_after = 0;
  std::uint64_t code = 0;
};

TEST_F(CcaDriverTest, BindLeavesTheTdiUnlockedForTheGuestToLock) {
  ASSERT_TRUE(driver.connect(pf()));
  ASSERT_TRUE(driver.bind(pf(), tdi, vm()));
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  ASSERT_TRUE(set_state(1));
  EXPECT_EQ(state(), TdiState::kConfigLocked);
  const auto info = request(RequestOp::kObjectInfo, {});
  ASSERT_TRUE(info);
  EXPECT_EQ(info->payload, Writer().le(std::uint32_t{1}).take());
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
  EXPECT_EQ(rmm.granules(), 0U);
  EXPECT_THAT(facts(before, trace.events().size()),
              ElementsAre(Fact::kVmFileReleased, Fact::kVmDestroyed));
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
  const auto report = wire::TdispReport::decode(whole->payload);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->ranges.at(0).first_page, raw(pf().bars()[0].base));
  const auto part = request(RequestOp::kReadObject, {}, 5);
  ASSERT_TRUE(part);
  EXPECT_THAT(part->payload, testing::ElementsAreArray(whole->payload.data(), 5));
}

TEST_F(CcaDriverTest, AGuestValidatesWhatIsMapped) {
  run();
  const std::uint64_t address = raw(pf().bars()[0].base);
  const auto validate = [&](std::uint64_t base, std::uint64_t top, std::uint64_t pa) {
    return request(RequestOp::kValidateMmio, Writer().le(base).le(top).le(pa).take());
  };
  const std::uint64_t base = raw(kBarGpa);
  EXPECT_EQ(validate(base, base, address).error().code, Errno::kInval);
  ASSERT_FALSE(validate(base, base + kPageSize, address + kPageSize));
  EXPECT_EQ(code, static_cast<std::uint64_t>(rmm::Code::kRtt));
  ASSERT_TRUE(validate(base, base + kPageSize, address));
  EXPECT_EQ(request(RequestOp::kSevEnableDma, {}).error().code, Errno::kInval);
  EXPECT_EQ(request(RequestOp::kSetTdiState, {}).error().code, Errno::kInval);
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
  EXPECT_EQ(rmm.granules(), 1U);
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
  device::PlainCard plain(trace, Bdf{0, 1, 4, 0}, Hpa{0x3900'0000'0000});
  EXPECT_FALSE(driver.connect(plain.function()));
  expect_as_before(pages);
}

}  // namespace
}  // namespace teeio::tsm
