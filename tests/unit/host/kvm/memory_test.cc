// Memslots, attributes, guest_memfd and the KVM VFIO device through system calls.

#include "host/kvm/gmem.h"
#include "unit/machine/make_machine.h"

namespace teeio::kvm {
namespace {

using machine::test::error_of;
using machine::test::kMmioGpa;
using machine::test::kPf;
using machine::test::make_machine;
using machine::test::Vmm;

constexpr Gpa kRam{0x10'0000};

struct MemoryTest : testing::Test {
  abi::kvm_userspace_memory_region2 region(std::uint32_t flags, int fd) {
    abi::kvm_userspace_memory_region2 slot{};
    slot.slot = 3;
    slot.flags = flags;
    slot.guest_phys_addr = raw(kRam);
    slot.memory_size = kPageSize;
    slot.userspace_addr = vmm.memory().map(kPageSize);
    slot.guest_memfd = static_cast<std::uint32_t>(fd);
    return slot;
  }
  int make_gmem() {
    abi::kvm_create_guest_memfd create{};
    create.size = kPageSize;
    return static_cast<int>(*vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create));
  }
  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
};

// kvm_arch_prepare_memory_region(): the last page may be the last that there is.
TEST_F(MemoryTest, SlotBeyondThePhysicalAddressesIsRefused) {
  ASSERT_TRUE(vmm.make_vm().has_value());
  auto slot = region(0, 0);
  for (const std::uint64_t gpa : {std::uint64_t{1} << 52U, std::uint64_t{1} << 62U}) {
    slot.guest_phys_addr = gpa;
    EXPECT_EQ(error_of(vmm.set_region(slot)), Errno::kInval);
  }
  slot.guest_phys_addr = (std::uint64_t{1} << 52U) - kPageSize;
  EXPECT_TRUE(vmm.set_region(slot).has_value());
}

TEST_F(MemoryTest, ClosedGuestMemfdLeavesItsSlotWithoutAPrivateSide) {
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.finalize().has_value());
  const int gmem = make_gmem();
  ASSERT_TRUE(vmm.set_region(region(KVM_MEM_GUEST_MEMFD, gmem)).has_value());
  ASSERT_TRUE(vmm.set_private(kRam, kPageSize).has_value());
  EXPECT_TRUE(vmm.pre_fault(kRam).has_value());
  EXPECT_TRUE(vmm.close(gmem).has_value());
  EXPECT_EQ(error_of(vmm.pre_fault(kRam)), Errno::kFault);
}

/// kvm_gmem_free_folio() comes with a folio's last reference.
TEST_F(MemoryTest, PunchedPageOfAGuestMemfdIsTheHostsWhenItsLastPinIsGone) {
  ASSERT_TRUE(vmm.make_vm().has_value());
  const int fd = make_gmem();
  const auto file = *vmm.file(fd);
  Gmem& gmem = static_cast<Gmem&>(*file);
  const auto frames = [&] { return machine->census().at("frames in use"); };
  const std::string none = frames();
  const Hpa page = *gmem.pin(0);
  EXPECT_EQ(*gmem.pin(0), page);
  const std::string one = frames();
  EXPECT_NE(one, none);
  ASSERT_TRUE(gmem.fallocate(Gmem::Fallocate::kPunchHole, 0, kPageSize).has_value());
  EXPECT_EQ(frames(), one);
  gmem.unpin(page);
  EXPECT_EQ(frames(), one) << "somebody has it yet";
  gmem.unpin(page);
  EXPECT_EQ(frames(), none);
}

TEST_F(MemoryTest, PartOfAGuestMemfdBelongsToOneSlotUntilThatIsDeleted) {
  ASSERT_TRUE(vmm.make_vm().has_value());
  const int gmem = make_gmem();
  auto slot = region(KVM_MEM_GUEST_MEMFD, gmem);
  ASSERT_TRUE(vmm.set_region(slot).has_value());
  slot.slot = 4;
  slot.guest_phys_addr += kPageSize;
  EXPECT_EQ(error_of(vmm.set_region(slot)), Errno::kExist);
  abi::kvm_userspace_memory_region2 gone{};
  gone.slot = 3;
  ASSERT_TRUE(vmm.set_region(gone).has_value());
  EXPECT_TRUE(vmm.set_region(slot).has_value());
}

TEST_F(MemoryTest, DmaBufSlotNeedsTheVmThatItsDeviceIsAssociatedWith) {
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());  // without FILE_ADD
  auto slot = region(KVM_MEM_VFIO_DMABUF, *vmm.export_bar(2, kPageSize));
  slot.userspace_addr = 0;
  EXPECT_EQ(error_of(vmm.set_region(slot)), Errno::kInval);
}

TEST_F(MemoryTest, DmaBufSlotCoversItsBufferAndHasNoOtherFlag) {
  ASSERT_TRUE(vmm.prepare(kPf).has_value());
  const int buffer = *vmm.export_bar(2, kPageSize);
  const auto error_with = [&](auto change) {
    auto slot = region(KVM_MEM_VFIO_DMABUF, buffer);
    slot.userspace_addr = 0;
    change(slot);
    return error_of(vmm.set_region(slot));
  };
  EXPECT_EQ(error_with([](auto& s) { s.memory_size *= 2; }), Errno::kInval);
  EXPECT_EQ(error_with([](auto& s) { s.guest_memfd_offset = kPageSize; }), Errno::kInval);
  EXPECT_EQ(error_with([](auto& s) { s.flags |= KVM_MEM_READONLY; }), Errno::kInval);
  EXPECT_EQ(error_with([](auto& s) { s.flags |= KVM_MEM_GUEST_MEMFD; }), Errno::kInval);
  EXPECT_EQ(error_with([&](auto& s) { s.guest_memfd = static_cast<std::uint32_t>(vmm.vfio); }),
            Errno::kInval);
}

TEST_F(MemoryTest, VfioFileIsAddedOnceAndRemovedOnce) {
  ASSERT_TRUE(vmm.make_vm().has_value());
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.associate().has_value());
  EXPECT_EQ(error_of(vmm.associate()), Errno::kExist);
  ASSERT_TRUE(vmm.associate(KVM_DEV_VFIO_FILE_DEL).has_value());
  EXPECT_EQ(error_of(vmm.associate(KVM_DEV_VFIO_FILE_DEL)), Errno::kNoEnt);
  const int vfio = std::exchange(vmm.vfio, vmm.kvm);
  EXPECT_EQ(error_of(vmm.associate()), Errno::kInval);
  vmm.vfio = 999;
  EXPECT_EQ(error_of(vmm.associate()), Errno::kBadF);
  vmm.vfio = vfio;
}

}  // namespace
}  // namespace teeio::kvm
