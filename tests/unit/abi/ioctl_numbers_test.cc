// KVM's ioctl numbers contain a struct size; these are the values that strace
// prints for real programs on x86-64.
#include <gtest/gtest.h>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/vfio.h"

namespace teeio {  // not teeio::abi: the macros must work from any room
namespace {

TEST(IoctlNumbers, KvmNumbersCarryTheSizesOfLinux) {
  EXPECT_EQ(KVM_CREATE_VM, 0xae01U);
  EXPECT_EQ(KVM_RUN, 0xae80U);
  EXPECT_EQ(KVM_GET_REGS, 0x8090ae81U);
  EXPECT_EQ(KVM_SET_SREGS, 0x4138ae84U);
  EXPECT_EQ(KVM_SET_USER_MEMORY_REGION, 0x4020ae46U);
  EXPECT_EQ(KVM_SET_USER_MEMORY_REGION2, 0x40a0ae49U);
  EXPECT_EQ(KVM_MEMORY_ENCRYPT_OP, 0xc008aebaU);
  EXPECT_EQ(KVM_SET_MEMORY_ATTRIBUTES, 0x4020aed2U);
  EXPECT_EQ(KVM_CREATE_GUEST_MEMFD, 0xc040aed4U);
  EXPECT_EQ(KVM_PRE_FAULT_MEMORY, 0xc040aed5U);
  EXPECT_EQ(KVM_CREATE_DEVICE, 0xc00caee0U);
  EXPECT_EQ(KVM_SET_DEVICE_ATTR, 0x4018aee1U);
}

TEST(IoctlNumbers, VfioAndIommufdShareATypeByteAndNoNumber) {
  EXPECT_EQ(VFIO_DEVICE_BIND_IOMMUFD, 0x3b76U);
  EXPECT_EQ(VFIO_DEVICE_FEATURE, 0x3b75U);
  EXPECT_EQ(IOMMU_DESTROY, 0x3b80U);
  EXPECT_EQ(IOMMU_VDEVICE_ALLOC, 0x3b91U);
  EXPECT_LT(VFIO_DEVICE_TSM_UNBIND, IOMMU_DESTROY);
}

// The RFC's flag must not collide with one that Linux has given out since.
TEST(IoctlNumbers, DmabufMemslotFlagIsStillFree) {
  EXPECT_EQ(
      KVM_MEM_VFIO_DMABUF & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD), 0U);
}

}  // namespace
}  // namespace teeio
