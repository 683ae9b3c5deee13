#include "host/pci_tsm/cca/cca_driver.h"

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "device/dma_engine_card.h"
#include "device/tdi.h"
#include "host/kvm/kvm.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/vm_file.h"

namespace teeio::tsm {
using object::Fact;
using wire::TdiState;

inline constexpr Gpa kBarGpa{0x8000'0000};

/// A host with the card, the monitor, KVM and the driver; one realm.
class CcaDriverTest : public testing::Test, public TeardownHandlers {
 protected:
  explicit CcaDriverTest(unsigned vfs = 1) : vfs_(vfs) {
    trace.keep_events(true);
    for (hw::PciFunction* function : card.functions())
      for (const hw::Bar& at : function->bars())
        if (at.kind != hw::Bar::Kind::kNone)
          (void)memory.claim_mmio(at.base, at.size, *at.target).value();
    EXPECT_TRUE(host.start_smmus({rmm::Settings::kPsmmu}));
    driver.registered(streams, 0);
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

  Result<Bytes> request(RequestOp op, Bytes payload, std::size_t limit = kPageSize) {
    GuestOutcome outcome = driver.guest_request(
        pf(), tdi, vm(),
        {.op = op, .arch = TvmArch::kCca, .payload = payload, .response_limit = limit});
    code = outcome.tsm_code;
    return std::move(outcome.payload);
  }
  Result<Bytes> set_state(std::uint32_t wanted) {
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
  /// Everything but the realm is given back; `tables` that its pages needed are the realm's.
  void expect_as_before(std::uint64_t pages, std::size_t tables = 2) {
    EXPECT_EQ(memory.pages_in_use(), pages + tables);
    EXPECT_EQ(rmm.granules(), kRealmsAndSmmus + tables);
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

  /// Of the realm, its table, its REC and what that needs; of the SMMU.
  static constexpr std::size_t kRealmsAndSmmus = 3 + 16 + 4;
  static constexpr std::uint8_t kBus = 1;
  const unsigned vfs_;
  object::Trace trace;
  hw::PhysicalMemory memory{1U << 26U};
  hw::RootPort port{trace,
                    {.bdf = {0, 0, 1, 0},
                     .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                .primary = 0,
                                .secondary = kBus,
                                .subordinate = static_cast<std::uint8_t>(kBus + vfs_ / 256),
                                .memory = {},
                                .io = {},
                                .prefetchable = {}},
                     .ide_streams = 2,
                     .tee_io = true}};
  device::DmaEngineCard card{trace,
                             {.pf = {0, kBus, 0, 0}, .vfs = vfs_, .window = Hpa{0x3800'0000'0000}}};
  rmm::Rmm rmm{memory, trace, {&port}};
  kvm::RealmHost host{rmm, memory, trace};
  kvm::RealmVmFactory vm_type{host};
  kvm::Kvm kvm{memory, nullptr, trace};
  CcaDriver driver{host, {{&port, rmm::Settings::kPsmmu}}};
  IdeStreams streams;
  object::Ref<object::File> file;
  const Tdi tdi{.function = {0, 1, 0, 0}};
  std::vector<Gpa> mapped;
  bool owner_is_gone = false;
  std::size_t recovered_after = 0;
  std::uint64_t code = 0;
};

}  // namespace teeio::tsm
