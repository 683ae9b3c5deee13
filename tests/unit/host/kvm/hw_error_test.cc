// kvm_tdx_cmd.hw_error is what the module answered to this call, and to no other one.

#include "schedule/fault_point.h"
#include "unit/machine/make_machine.h"

namespace teeio::kvm {
namespace {

using machine::test::make_machine;
using machine::test::Vmm;

struct HwErrorTest : testing::Test {
  void SetUp() override {
    ASSERT_TRUE(vmm.make_vm().has_value());
    ASSERT_TRUE(vmm.make_vcpu().has_value());
    ASSERT_EQ(tdx(vmm.vcpu, abi::KVM_TDX_INIT_VCPU, 0), 0U);
    abi::kvm_create_guest_memfd create{};
    create.size = kPageSize;
    abi::kvm_userspace_memory_region2 slot{};
    slot.flags = KVM_MEM_GUEST_MEMFD;
    slot.guest_phys_addr = kGpa;
    slot.memory_size = kPageSize;
    slot.userspace_addr = source;
    slot.guest_memfd =
        static_cast<std::uint32_t>(*vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create));
    ASSERT_TRUE(vmm.set_region(slot).has_value());
    ASSERT_TRUE(vmm.set_private(Gpa{kGpa}, kPageSize).has_value());
  }
  /// Gives hw_error.
  std::uint64_t tdx(int fd, std::uint32_t id, std::uint64_t data) {
    abi::kvm_tdx_cmd command{};
    command.id = id;
    command.data = data;
    (void)vmm.ioctl(fd, KVM_MEMORY_ENCRYPT_OP, command);
    return command.hw_error;
  }
  std::uint64_t add_page() {
    abi::kvm_tdx_init_mem_region region{};
    region.source_addr = source;
    region.gpa = kGpa;
    region.nr_pages = 1;
    return tdx(vmm.vcpu, abi::KVM_TDX_INIT_MEM_REGION, vmm.store(bytes_of(region)));
  }

  static constexpr std::uint64_t kGpa = 0x10'0000;
  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
  std::uint64_t source = vmm.memory().map(kPageSize);
};

/// The module takes no further page table.
struct NoTable final : schedule::FaultPlan {
  NoTable() { schedule::set_fault_plan(this); }
  ~NoTable() override { schedule::set_fault_plan(nullptr); }
  bool happens(schedule::FaultPlace, std::string_view name, schedule::Fault fault) override {
    return name == "TDH.MEM.SEPT.ADD" && fault == schedule::Fault::kRefuse;
  }
};

TEST_F(HwErrorTest, IsOfTheCallThatTheModuleRefused) {
  {
    const NoTable no_table;
    EXPECT_NE(add_page(), 0U);
  }
  EXPECT_EQ(add_page(), 0U);
  EXPECT_EQ(add_page(), 0U) << "the page is there: the module is not asked";
  EXPECT_EQ(tdx(vmm.vm, abi::KVM_TDX_FINALIZE_VM, 0), 0U);
  EXPECT_EQ(tdx(vmm.vm, abi::KVM_TDX_FINALIZE_VM, 0), 0U) << "the module is not asked again";
}

}  // namespace
}  // namespace teeio::kvm
