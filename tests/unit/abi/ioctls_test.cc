#include "abi/ioctls.h"

#include <gtest/gtest.h>

#include <set>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/vfio.h"

namespace teeio::abi {
namespace {

constexpr FileKind kAll[] = {FileKind::kIommufd,       FileKind::kVfioDevice, FileKind::kVfioGroup,
                             FileKind::kVfioContainer, FileKind::kKvm,        FileKind::kVm,
                             FileKind::kVcpu,          FileKind::kKvmDevice};

TEST(Ioctls, EachNumberHasOneNameOnAFile) {
  for (const FileKind kind : kAll) {
    std::set<std::uint32_t> numbers;
    std::set<std::string_view> names;
    for (const IoctlName& ioctl : ioctls_of(kind)) {
      EXPECT_TRUE(numbers.insert(ioctl.request).second) << ioctl.name;
      EXPECT_TRUE(names.insert(ioctl.name).second) << ioctl.name;
    }
  }
}

// Linux 7.3 has no gap in either range: 0x80 to 0x95, and 107 to 121 of a device.
// A container's calls that /dev/iommu answers: 100 to 102 and 112 to 114.
TEST(Ioctls, IommufdAndVfioDeviceListsAreWhole) {
  EXPECT_EQ(ioctls_of(FileKind::kIommufd).size(), 0x95U - 0x80U + 1 + 6);
  for (std::uint32_t nr = 0x80; nr <= 0x95; ++nr) {
    EXPECT_NE(ioctl_name(FileKind::kIommufd, _IO(IOMMUFD_TYPE, nr)), "") << nr;
  }
  for (std::uint32_t nr = 107; nr <= 121; ++nr) {
    EXPECT_NE(ioctl_name(FileKind::kVfioDevice, _IO(VFIO_TYPE, nr)), "") << nr;
  }
}

TEST(Ioctls, OneNumberMeansDifferentCallsOnDifferentFiles) {
  EXPECT_EQ(ioctl_name(FileKind::kVfioDevice, _IO(';', 112)), "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO");
  EXPECT_EQ(ioctl_name(FileKind::kIommufd, _IO(';', 112)), "VFIO_IOMMU_GET_INFO");
  EXPECT_EQ(ioctl_name(FileKind::kVm, KVM_RUN), "");
  EXPECT_EQ(ioctl_name(FileKind::kVcpu, KVM_RUN), "KVM_RUN");
  EXPECT_EQ(ioctl_name(FileKind::kVm, KVM_MEMORY_ENCRYPT_OP), "KVM_MEMORY_ENCRYPT_OP");
  EXPECT_EQ(ioctl_name(FileKind::kVcpu, KVM_MEMORY_ENCRYPT_OP), "KVM_MEMORY_ENCRYPT_OP");
}

TEST(Ioctls, NumberThatLinuxLacksHasNoName) {
  for (const FileKind kind : kAll) EXPECT_EQ(ioctl_name(kind, _IO(';', 0xff)), "");
  EXPECT_EQ(ioctl_name(FileKind::kIommufd, IOMMU_VDEVICE_TSM_OP), "");
}

}  // namespace
}  // namespace teeio::abi
