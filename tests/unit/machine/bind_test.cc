// Bind and unbind through system calls: the three doors (VFIO, iommufd, the
// guest) and what each of them refuses.

#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

constexpr std::uint32_t kBind = abi::IOMMU_VDEVICE_TSM_BIND;
constexpr std::uint32_t kUnbind = abi::IOMMU_VDEVICE_TSM_UNBIND;
constexpr std::uint32_t kTdx = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX;

class Bind : public testing::Test {
 protected:
  void SetUp() override {
    at_boot_ = machine_->census();
    Program admin(*machine_, 2);
    ASSERT_TRUE(connect(admin).has_value());
  }
  void TearDown() override {
    machine_->shut_down();
    EXPECT_EQ(machine_->census(), at_boot_);
  }
  [[nodiscard]] std::string tdi() { return machine_->census().at("TDI state of 0000:01:00.0"); }
  [[nodiscard]] std::string bound() { return machine_->census().at("bound TSM of 0000:01:00.0"); }

  std::unique_ptr<Machine> machine_ = make_machine();
  std::map<std::string, std::string> at_boot_;
};

TEST_F(Bind, ThroughVfioLocksTheTdiAndUnbindUnlocksIt) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  EXPECT_EQ(bound(), "tsm0");
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_EQ(bound(), "");
  EXPECT_EQ(tdi(), "CONFIG_UNLOCKED");
}

TEST_F(Bind, ThroughIommufdLocksTheTdiAndUnbindUnlocksIt) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.iommufd_op(kBind).has_value());
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
  ASSERT_TRUE(vmm.iommufd_op(kUnbind).has_value());
  EXPECT_EQ(tdi(), "CONFIG_UNLOCKED");
}

// RFC 17/30: iommufd_device_tsm_unbind() undoes what VFIO's door has bound.
TEST_F(Bind, VfiosUnbindLeavesWhatIommufdsDoorHasBound) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.iommufd_op(kBind).has_value());
  EXPECT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_EQ(bound(), "tsm0");
  ASSERT_TRUE(vmm.iommufd_op(kUnbind).has_value());
  EXPECT_EQ(bound(), "");
}

TEST_F(Bind, IommufdsUnbindTakesDownWhatVfiosDoorHasBound) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  ASSERT_TRUE(vmm.iommufd_op(kUnbind).has_value());
  EXPECT_EQ(bound(), "");
  EXPECT_TRUE(vmm.vfio_unbind().has_value());
  EXPECT_TRUE(vmm.vfio_bind().has_value());
}

TEST_F(Bind, VdeviceThatVfioBoundCannotBeDestroyedAndOneThatIommufdBoundCan) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  EXPECT_EQ(error_of(vmm.destroy(vmm.vdevice_id)), Errno::kBusy);
  ASSERT_TRUE(vmm.vfio_unbind().has_value());
  ASSERT_TRUE(vmm.iommufd_op(kBind).has_value());
  ASSERT_TRUE(vmm.destroy(vmm.vdevice_id).has_value());
  EXPECT_EQ(bound(), "");
}

// --- What bind refuses ---

TEST_F(Bind, RefusesUnknownFlags) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.vfio_bind(vmm.vdevice_id, 1)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.vfio_unbind(1)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.iommufd_op(kBind, vmm.vdevice_id, 1)), Errno::kOpNotSupp);
  EXPECT_EQ(bound(), "");
}

TEST_F(Bind, RefusesAnIdThatIsNoVdevice) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  for (const std::uint32_t id : {0U, 999U, vmm.ioas_id, vmm.viommu_id}) {
    EXPECT_EQ(error_of(vmm.iommufd_op(kBind, id)), Errno::kNoEnt) << id;
    EXPECT_EQ(error_of(vmm.vfio_bind(id)), Errno::kNoEnt) << id;
  }
}

TEST_F(Bind, RefusesAnUnknownOperation) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(0)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.iommufd_op(3)), Errno::kInval);
}

// The order of set-up matters: without FILE_ADD before BIND_IOMMUFD the vIOMMU
// has no VM.
TEST_F(Bind, RefusesAVdeviceWhoseViommuHasNoVm) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  ASSERT_TRUE(vmm.associate().has_value());  // too late
  ASSERT_TRUE(vmm.make_viommu().has_value());
  ASSERT_TRUE(vmm.make_vdevice().has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(kBind)), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.iommufd_op(kUnbind)), Errno::kNoDev);
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kNoEnt);
}

TEST_F(Bind, RefusesAnotherDevicesVdeviceAtVfiosDoor) {
  Vmm first(*machine_);
  ASSERT_TRUE(first.prepare(kVf0).has_value());
  const int other_vfio = *first.open(kVf1);
  first.vfio = other_vfio;
  ASSERT_TRUE(first.associate().has_value());
  const std::uint32_t vdevice = first.vdevice_id;
  ASSERT_TRUE(first.bind_iommufd().has_value());
  EXPECT_EQ(error_of(first.vfio_bind(vdevice)), Errno::kInval);
}

TEST_F(Bind, RefusesAVmWithoutATd) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf, kOrdinaryVm).has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(kBind)), Errno::kInval);
  EXPECT_EQ(bound(), "");
}

TEST_F(Bind, RefusesACardThatIsNotConnected) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(disconnect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(kBind)), Errno::kInval);
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kInval);
}

TEST_F(Bind, TwiceToTheSameVmIsSuccessAtIommufdsDoorAndEexistAtVfios) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.vfio_bind().has_value());
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kExist);
  EXPECT_TRUE(vmm.iommufd_op(kBind).has_value());
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
}

TEST_F(Bind, RefusesAtVfiosDoorBeforeBindIommufd) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  EXPECT_EQ(error_of(vmm.vfio_bind(1)), Errno::kInval);
}

TEST_F(Bind, UnbindWhenNotBoundIsNoError) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_TRUE(vmm.iommufd_op(kUnbind).has_value());
  EXPECT_TRUE(vmm.vfio_unbind().has_value());
}

// --- Guest requests ---

TEST_F(Bind, GuestRequestOfAnUnboundDeviceIsRefused) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.request(abi::TSM_REQ_OBJECT_INFO, kTdx, 0)), Errno::kNxio);
}

TEST_F(Bind, GuestRequestWithAnUnknownArchitectureOrOperationIsRefused) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.iommufd_op(kBind).has_value());
  for (const std::uint32_t arch : {0U, 1U, 2U, 4U})
    EXPECT_EQ(error_of(vmm.request(abi::TSM_REQ_OBJECT_INFO, arch, 0)), Errno::kInval) << arch;
  for (const std::uint32_t op : {0U, 8U, 2U, 4U, 6U, 7U})
    EXPECT_EQ(error_of(vmm.request(op, kTdx, 0)), Errno::kInval) << op;
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
}

// TDX cannot be host-agnostic: between STOP and the end of the TDI the host must
// unmap. The refusal says so, and the firmware's code goes back all the same.
TEST_F(Bind, GuestCannotStopItsTdiOnTdx) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.iommufd_op(kBind).has_value());
  std::uint64_t code = 0;
  const auto refused = vmm.request(abi::TSM_REQ_SET_TDI_STATE, kTdx, abi::TSM_TDI_UNLOCKED, &code);
  EXPECT_EQ(error_of(refused), Errno::kInval);
  EXPECT_EQ(code, 0xc000010000000002U) << "TDX_OPERAND_INVALID, RDX";
  EXPECT_EQ(tdi(), "CONFIG_LOCKED");
}

// The code is the module's own, with the operand that it names (Intel TDX module
// ABI, "Function Completion Status Codes": TDX_DEVIF_TDISP_INVALID_REQ_STS, RCX).
TEST_F(Bind, GuestThatLeftNoRequestIsToldSoByTheModulesCode) {
  Vmm vmm(*machine_);
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  ASSERT_TRUE(vmm.iommufd_op(kBind).has_value());
  std::uint64_t code = 0;
  EXPECT_EQ(error_of(vmm.request(abi::TSM_REQ_OBJECT_INFO, kTdx, 0, &code)), Errno::kIo);
  EXPECT_EQ(code, 0xc0000f0e00000001U);
}

// --- Doors that the machine keeps shut ---

TEST(BindOwner, VfioKeepsIommufdsDoorShut) {
  const auto machine =
      make_machine(kDefaultMachine, "bind_owner = \"any\"", "bind_owner = \"vfio\"");
  Vmm vmm(*machine);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.iommufd_op(kBind)), Errno::kOpNotSupp);
  EXPECT_TRUE(vmm.vfio_bind().has_value());
}

TEST(BindOwner, IommufdKeepsVfiosDoorShut) {
  const auto machine =
      make_machine(kDefaultMachine, "bind_owner = \"any\"", "bind_owner = \"iommufd\"");
  Vmm vmm(*machine);
  ASSERT_TRUE(connect(vmm).has_value());
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  EXPECT_EQ(error_of(vmm.vfio_bind()), Errno::kNoTty);
  EXPECT_TRUE(vmm.iommufd_op(kBind).has_value());
}

TEST(BindWithoutTsm, NoViommuOfTheTsmExists) {
  const auto machine = make_machine(kDefaultMachine, "tsm = \"tdx\"", "tsm = \"none\"");
  Vmm vmm(*machine);
  EXPECT_EQ(error_of(connect(vmm)), Errno::kNoEnt);  // the attribute is hidden
  ASSERT_TRUE(vmm.make_vm(kOrdinaryVm).has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(error_of(vmm.make_viommu()), Errno::kOpNotSupp);
}

}  // namespace
}  // namespace teeio::machine::test
