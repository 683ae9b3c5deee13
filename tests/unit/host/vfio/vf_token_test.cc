// Who may use a VF of a PF that is on vfio-pci: vfio_pci_core_match_token_uuid().

#include "host/vfio/vf_token.h"

#include "unit/machine/make_machine.h"

namespace teeio::vfio {
namespace {

using machine::test::error_of;
using machine::test::kPf;
using machine::test::kPlainCard;
using machine::test::kVf0;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr std::string_view kNumVfs =
    "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/sriov_numvfs";
constexpr std::string_view kEnableSriov = "/sys/module/vfio_pci/parameters/enable_sriov";
constexpr Uuid kSecret{std::byte{1}, std::byte{2}}, kOther{std::byte{3}};

struct VfTokenTest : testing::Test {
  /// One VFIO_DEVICE_BIND_IOMMUFD on a new descriptor, which stays open.
  Result<std::int64_t> bind(std::string_view path, const Uuid* token = nullptr) {
    TEEIO_TRY(vmm.open_device(path));
    if (iommufd < 0) {
      TEEIO_ASSIGN(iommufd, vmm.open("/dev/iommu"));
    }
    abi::vfio_device_bind_iommufd arg{};
    arg.argsz = sizeof(arg);
    arg.iommufd = iommufd;
    if (token != nullptr) {
      arg.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
      arg.token_uuid_ptr = vmm.store(*token);
    }
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_BIND_IOMMUFD, arg);
  }
  Result<std::int64_t> feature(std::uint32_t flags, std::uint32_t argsz = 24) {
    struct {
      std::uint32_t argsz, flags;
      Uuid token;
    } arg{argsz, flags | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, kOther};
    return vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg);
  }
  /// VFs that were made through vfio-pci's PF.
  void make_vfs_anew() {
    ASSERT_TRUE(vmm.echo("Y\n", kEnableSriov).has_value());
    ASSERT_TRUE(vmm.echo("0\n", kNumVfs).has_value());
    EXPECT_EQ(error_of(vmm.open(kVf0)), Errno::kNoEnt);
    ASSERT_TRUE(vmm.echo("2\n", kNumVfs).has_value());
  }

  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
  int iommufd = -1;
};

TEST_F(VfTokenTest, VfsFromBootHaveNoToken) {
  EXPECT_EQ(error_of(bind(kVf0, &kSecret)), Errno::kInval);
  EXPECT_TRUE(bind(kVf0).has_value());
}

TEST_F(VfTokenTest, PlainFunctionTakesNoToken) {
  EXPECT_EQ(error_of(bind(kPlainCard, &kSecret)), Errno::kInval);
  ASSERT_TRUE(bind(kPlainCard).has_value());
  EXPECT_EQ(error_of(feature(VFIO_DEVICE_FEATURE_SET)), Errno::kNoTty);
}

TEST_F(VfTokenTest, VfOfVfioPcisPfNeedsItsToken) {
  make_vfs_anew();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(error_of(bind(kVf0)), Errno::kAcces);
  EXPECT_EQ(error_of(bind(kVf0, &kSecret)), Errno::kAcces);  // nobody has set one
  ASSERT_TRUE(bind(kPf, &kSecret).has_value());
  EXPECT_EQ(error_of(bind(kVf0, &kOther)), Errno::kAcces);
  EXPECT_EQ(error_of(bind(kVf0)), Errno::kAcces);
  EXPECT_TRUE(bind(kVf0, &kSecret).has_value());
}

TEST_F(VfTokenTest, PfWithVfsInUseWantsTheTokenToo) {
  make_vfs_anew();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(bind(kPf, &kSecret).has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_TRUE(bind(kVf0, &kSecret).has_value());
  const int vf = vmm.vfio;
  EXPECT_EQ(error_of(bind(kPf)), Errno::kAcces);
  EXPECT_EQ(error_of(bind(kPf, &kOther)), Errno::kAcces);
  EXPECT_TRUE(bind(kPf, &kSecret).has_value());
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  ASSERT_TRUE(vmm.close(vf).has_value());
  EXPECT_TRUE(bind(kPf, &kOther).has_value());
}

TEST_F(VfTokenTest, TheTokenIsSetByTheFeatureAndNeverTold) {
  make_vfs_anew();
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(bind(kPf).has_value());
  EXPECT_EQ(error_of(feature(VFIO_DEVICE_FEATURE_GET)), Errno::kInval);
  EXPECT_EQ(error_of(feature(VFIO_DEVICE_FEATURE_SET, 23)), Errno::kInval);
  EXPECT_TRUE(feature(VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET).has_value());
  ASSERT_TRUE(feature(VFIO_DEVICE_FEATURE_SET).has_value());
  EXPECT_TRUE(bind(kVf0, &kOther).has_value());
}

TEST_F(VfTokenTest, TheTokenIsLookedAtBeforeTheIommufd) {
  make_vfs_anew();
  ASSERT_FALSE(HasFatalFailure());
  iommufd = 999;
  EXPECT_EQ(error_of(bind(kVf0)), Errno::kAcces);
  EXPECT_EQ(error_of(bind(kPf)), Errno::kBadF);
}

TEST_F(VfTokenTest, VfsComeAnewInAnotherNumber) {
  ASSERT_TRUE(vmm.echo("1\n", kEnableSriov).has_value());
  EXPECT_TRUE(vmm.echo("0\n", kNumVfs).has_value());
  EXPECT_TRUE(vmm.echo("1\n", kNumVfs).has_value());
  EXPECT_EQ(*vmm.cat(kNumVfs), "1\n");
  EXPECT_EQ(error_of(vmm.open("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.2/config")),
            Errno::kNoEnt);
}

TEST_F(VfTokenTest, VfioPciTakesNoPfWithVfsAndItsVfsLeaveWithIt) {
  const std::string driver = "/sys/bus/pci/drivers/vfio-pci/";
  ASSERT_TRUE(vmm.echo("0000:01:00.0\n", driver + "unbind").has_value());
  EXPECT_EQ(*vmm.cat(kNumVfs), "0\n");
  EXPECT_EQ(error_of(vmm.echo("2\n", kNumVfs)), Errno::kNoEnt);  // no driver
  EXPECT_TRUE(vmm.echo("0000:01:00.0\n", driver + "bind").has_value());
}

}  // namespace
}  // namespace teeio::vfio
