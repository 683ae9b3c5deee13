#include "host/dmabuf/dmabuf.h"
#include "host/kvm/vcpu_file.h"
#include "host/mm/plain_caller.h"
#include "unit/host/pci_tsm/cca/machine.h"

namespace teeio::tsm {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t kSize = 2 * kPageSize;

/// Outlives the VM, whose memslot keeps the buffer.
struct HasExporter {
  struct Exporter final : dmabuf::Exporter {
    [[nodiscard]] Bdf function() const override { return {0, 1, 0, 0}; }
    [[nodiscard]] object::File* vm_file() override { return vm; }
    void released(dmabuf::DmaBuf&) override {}
    object::File* vm = nullptr;
  };
  Exporter exporter;
};

/// A realm whose memslot is the first pages of BAR 0, exported as VFIO does it.
class RealmMmio : public HasExporter, public CcaDriverTest {
 protected:
  RealmMmio() {
    exporter.vm = &*file;
    buffer = dmabuf::DmaBuf::create(exporter, {{.start = pf().bars()[0].base, .length = kSize}},
                                    dmabuf::DmaBuf::State::kAvailable);
    const std::int32_t fd = caller.install(buffer, 0).value();
    vm().set_memory_attributes(kBarGpa, kSize, 8).value();
    vm().set_memory_region(caller, {.slot = 0,
                                    .flags = kvm::kMemVfioDmabuf,
                                    .guest_phys_addr = raw(kBarGpa),
                                    .memory_size = kSize,
                                    .guest_memfd = fd})
        .value();
    vcpu = vm().create_vcpu(0).value();
  }
  void disable_mmio() override { buffer->revoke(); }

  Result<void> pre_fault(Gpa page) {
    auto& cpu = static_cast<kvm::VcpuFile&>(*vcpu).vcpu();
    const schedule::Lock lock(cpu.mutex());
    return cpu.pre_fault(caller, page);
  }
  void lock() {
    ASSERT_TRUE(driver.connect(pf()));
    ASSERT_TRUE(driver.bind(pf(), tdi, vm()));
    ASSERT_TRUE(set_state(1));
  }

  mm::PlainProcess process{1};
  mm::PlainCaller caller{process};
  object::Ref<dmabuf::DmaBuf> buffer;
  object::Ref<object::File> vcpu;
};

TEST_F(RealmMmio, PreFaultMapsAndRevokeUnmapsBeforeTheUnlock) {
  lock();
  ASSERT_TRUE(pre_fault(kBarGpa));
  ASSERT_TRUE(pre_fault(kBarGpa + kPageSize));
  EXPECT_EQ(vm().mmu().private_mmio_pages(), 2U);
  EXPECT_FALSE(set_state(0));
  const std::size_t before = trace.events().size();
  driver.unbind(pf(), tdi, vm(), *this);
  EXPECT_THAT(commands(before),
              ElementsAre("RMI_RTT_DEV_UNMAP", "RMI_RTT_DEV_UNMAP", "RMI_VDEV_UNLOCK",
                          "STOP_INTERFACE", "RMI_VDEV_DESTROY"));
  EXPECT_EQ(vm().mmu().private_mmio_pages(), 0U);
  EXPECT_FALSE(vm().dead());
  EXPECT_EQ(pre_fault(kBarGpa).error().code, Errno::kFault);
}

TEST_F(RealmMmio, AVmThatDiedStillGivesItsPagesBack) {
  lock();
  ASSERT_TRUE(pre_fault(kBarGpa));
  vm().bug("the test says so");
  driver.unbind(pf(), tdi, vm(), *this);
  EXPECT_EQ(state(), TdiState::kConfigUnlocked);
  driver.disconnect(pf());
  EXPECT_EQ(rmm.granules(), kRealmsAndSmmus + 2);  // and the tables that the pages needed
}

TEST_F(RealmMmio, TheMmioOfAFunctionThatIsNotBoundKillsTheVm) {
  EXPECT_EQ(pre_fault(kBarGpa).error().code, Errno::kIo);
  EXPECT_TRUE(vm().dead());
}

TEST_F(RealmMmio, ThereIsNoGuestToRun) {
  auto& cpu = static_cast<kvm::VcpuFile&>(*vcpu).vcpu();
  const schedule::Lock lock(cpu.mutex());
  EXPECT_EQ(cpu.run(caller, {}, {}).error().code, Errno::kNxio);
}

}  // namespace
}  // namespace teeio::tsm
