// docs/adding-a-vendor.md, built: a vendor that enforces nothing, in the files of
// unit/machine/null_vendor and one registration.

#include "unit/machine/make_machine.h"
#include "unit/machine/null_vendor/null_platform.h"

namespace teeio::machine::test {
namespace {

std::unique_ptr<Machine> make_null_machine() {
  static const bool kAdded = [] {
    add_vendor({kNullVendor, [](const PlatformParts& parts) {
                  return Result<std::unique_ptr<Platform>>(std::make_unique<NullPlatform>(parts));
                }});
    return true;
  }();
  (void)kAdded;
  return make_machine(kDefaultMachine, "tsm = \"tdx\"", "tsm = \"null\"");
}

class NullVendor : public testing::Test {
 protected:
  NullDriver& tsm() { return NullPlatform::last->tsm; }
  std::unique_ptr<Machine> machine_ = make_null_machine();
};

TEST_F(NullVendor, ADeviceIsBoundAskedAndUnbound) {
  const auto at_boot = machine_->census();
  {
    Program admin(*machine_, 2);
    ASSERT_TRUE(connect(admin).has_value());
  }
  {
    Vmm vmm(*machine_);
    ASSERT_TRUE(vmm.prepare(kPf, kNullVm).has_value());
    ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND).has_value());
    EXPECT_EQ(machine_->census().at("bound TSM of 0000:01:00.0"), "tsm0");
    std::uint64_t code = 0;
    EXPECT_TRUE(vmm.request(abi::TSM_REQ_SET_TDI_STATE, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
                            abi::TSM_TDI_RUN, &code)
                    .has_value());
    EXPECT_EQ(code, 0x7eU);
    EXPECT_EQ(error_of(vmm.request(abi::TSM_REQ_SET_TDI_STATE, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX,
                                   abi::TSM_TDI_RUN)),
              Errno::kInval);
    ASSERT_TRUE(vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND).has_value());
    ASSERT_TRUE(vmm.vfio_bind().has_value());
  }
  machine_->shut_down();
  EXPECT_EQ(tsm().asked, "connect bind request unbind bind unbind disconnect");
  EXPECT_EQ(machine_->census(), at_boot);
}

TEST_F(NullVendor, AGuestBindsByItsRequest) {
  {
    Program admin(*machine_, 2);
    ASSERT_TRUE(connect(admin).has_value());
  }
  {
    Vmm vmm(*machine_);
    ASSERT_TRUE(vmm.prepare(kPf, kNullVm).has_value());
    EXPECT_TRUE(vmm.request(abi::TSM_REQ_SET_TDI_STATE, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
                            abi::TSM_TDI_LOCKED)
                    .has_value());
  }
  EXPECT_EQ(tsm().asked, "connect bind request unbind");
  machine_->shut_down();
}

TEST_F(NullVendor, ItsVmTypeHasNoCommandsOfItsOwn) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.make_vm(kNullVm).has_value());
  EXPECT_EQ(error_of(vmm.tdx(vmm.vm, abi::KVM_TDX_CAPABILITIES, 0)), Errno::kNoTty);
  Vmm other(*machine_, 2);
  EXPECT_EQ(error_of(other.make_vm(kTdxVm)), Errno::kInval) << "another vendor's";
}

TEST_F(NullVendor, ProgramsSeeItsIommuAndItsPlatform) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  abi::iommu_hw_info info{};
  info.size = sizeof(info);
  info.dev_id = vmm.dev_id;
  info.data_len = 8;
  std::array<std::byte, 8> data;
  data.fill(std::byte{0xff});
  info.data_uptr = vmm.store(data);
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_GET_HW_INFO, info).has_value());
  EXPECT_EQ(info.out_data_type, 0x7eU);
  EXPECT_EQ(info.data_len, 3U);
  ASSERT_TRUE(vmm.memory().read(info.data_uptr, data).has_value());
  EXPECT_EQ(data[2], std::byte{0x5a});
  EXPECT_EQ(data[3], std::byte{0}) << "what is not written is zero";
  EXPECT_EQ(vmm.cat("/sys/devices/virtual/iommu/null0/null/colour").value(), "grey\n");
  EXPECT_EQ(vmm.cat("/sys/kernel/iommu_groups/2/reserved_regions").value(),
            "0x0000000010000000 0x0000000010000fff msi\n");
  EXPECT_EQ(machine_->system_calls().platform_devices(),
            std::vector<std::string>{"/sys/devices/faux/null_host"});
  EXPECT_TRUE(vmm.cat("/sys/devices/faux/null_host/tsm/tsm0/uevent").has_value());
  EXPECT_FALSE(vmm.cat("/sys/devices/faux/tdx_host/tsm/tsm0/uevent").has_value());
}

}  // namespace
}  // namespace teeio::machine::test
