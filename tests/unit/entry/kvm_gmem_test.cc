// A guest_memfd that programs map: KVM_CREATE_GUEST_MEMFD's flags, and who sees whose bytes.

#include <sys/mman.h>

#include <cstring>

#include "host/mm/plain_caller.h"
#include "unit/entry/kvm_guest.h"

namespace teeio::entry {
namespace {

constexpr std::uint64_t kMmap = GUEST_MEMFD_FLAG_MMAP;
constexpr std::uint64_t kShared = GUEST_MEMFD_FLAG_INIT_SHARED;
constexpr std::uint64_t kGmemGpa = 0x10'0000;
constexpr std::uint64_t kSize = 4 * kPageSize;

Result<std::int64_t> create(KvmVm& vm, std::uint64_t flags) {
  abi::kvm_create_guest_memfd arg{};
  arg.size = kSize;
  arg.flags = flags;
  return vm.vmm.ioctl(vm.vmm.vm, KVM_CREATE_GUEST_MEMFD, arg);
}

/// A guest that copies the first word of the guest_memfd at kGmemGpa to the second one.
struct Copier : Guest {
  explicit Copier(std::uint64_t flags)
      : Guest({0xa1, 0, 0, 0x10, 0, 0xa3, 4, 0, 0x10, 0, 0xf4}), gmem(*create(*this, flags)) {
    EXPECT_TRUE(vmm.make_mappable(fd()).has_value());
    abi::kvm_userspace_memory_region2 region{};
    region.slot = 1;
    region.flags = KVM_MEM_GUEST_MEMFD;
    region.guest_phys_addr = kGmemGpa;
    region.memory_size = kSize;
    region.userspace_addr = own;
    region.guest_memfd = static_cast<std::uint32_t>(gmem);
    EXPECT_TRUE(set(vmm.vm, KVM_SET_USER_MEMORY_REGION2, region).has_value());
  }
  [[nodiscard]] int fd() const { return static_cast<int>(gmem); }
  Result<void> map() { return vmm.mmap(fd(), 0, kSize); }
  std::uint32_t* words() {
    return reinterpret_cast<std::uint32_t*>(vmm.mapped(fd()).touch(0)->data());
  }
  void copy_again() {
    abi::kvm_regs start{};
    start.rip = kCode;
    start.rflags = 2;
    EXPECT_TRUE(set(vmm.vcpu, KVM_SET_REGS, start).has_value());
    EXPECT_EQ(run(), KVM_EXIT_HLT);
  }
  Result<void> fallocate(int mode, std::uint64_t offset, std::uint64_t size) {
    auto file = vmm.file(fd());
    mm::PlainCaller caller(vmm.process());
    return machine->system_calls().fallocate(caller, **file, static_cast<std::uint32_t>(mode),
                                             static_cast<std::int64_t>(offset),
                                             static_cast<std::int64_t>(size));
  }

  std::uint64_t own = vmm.memory().map(kSize);
  std::int64_t gmem;
};

TEST(KvmGmem, CapabilityNamesTheFlagsThatTheVmMayHave) {
  KvmVm ordinary;
  EXPECT_EQ(ordinary.extension(ordinary.vmm.kvm, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
  EXPECT_EQ(ordinary.extension(ordinary.vmm.vm, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
  EXPECT_TRUE(create(ordinary, kShared).has_value());
  EXPECT_EQ(error_of(create(ordinary, 4)), Errno::kInval);
  Vmm td(*ordinary.machine);
  ASSERT_TRUE(td.make_vm().has_value());
  EXPECT_EQ(td.ioctl(td.vm, KVM_CHECK_EXTENSION, std::uint64_t{KVM_CAP_GUEST_MEMFD_FLAGS}), 1);
  abi::kvm_create_guest_memfd arg{};
  arg.size = kSize;
  arg.flags = kShared;
  EXPECT_EQ(error_of(td.ioctl(td.vm, KVM_CREATE_GUEST_MEMFD, arg)), Errno::kInval);
  arg.flags = kMmap;
  EXPECT_TRUE(td.ioctl(td.vm, KVM_CREATE_GUEST_MEMFD, arg).has_value());
}

// kvm_gmem_mmap() and do_mmap() before it.
TEST(KvmGmem, MmapNeedsItsFlagAndIsShared) {
  Copier plain(0);
  EXPECT_EQ(error_of(plain.map()), Errno::kNoDev);
  Copier guest(kMmap | kShared);
  auto file = guest.vmm.file(guest.fd());
  mm::PlainCaller caller(guest.vmm.process());
  const auto map = [&](std::uint32_t prot, std::uint32_t flags) {
    return error_of(guest.machine->system_calls().mmap(caller, **file, 0, kSize, prot, flags));
  };
  EXPECT_EQ(map(PROT_READ, MAP_PRIVATE), Errno::kInval);
  EXPECT_EQ(map(PROT_READ | PROT_EXEC, MAP_SHARED), Errno::kPerm);
  EXPECT_TRUE(guest.map().has_value());
}

TEST(KvmGmem, GuestAndProgramSeeEachOthersWrites) {
  Copier guest(kMmap | kShared);
  ASSERT_TRUE(guest.map().has_value());
  guest.words()[0] = 0x1234'5678;
  guest.copy_again();
  EXPECT_EQ(guest.words()[1], 0x1234'5678U);
}

/// Nothing of the slot is at its userspace_addr (KVM_MEMSLOT_GMEM_ONLY).
TEST(KvmGmem, ProgramsOwnMemoryIsNotTheSlots) {
  Copier guest(kMmap | kShared);
  const std::uint32_t decoy = 7;
  ASSERT_TRUE(guest.vmm.memory().write(guest.own, bytes_of(decoy)).has_value());
  guest.copy_again();
  ASSERT_TRUE(guest.map().has_value());
  EXPECT_EQ(guest.words()[1], 0U);
}

/// And without the flag it is.
TEST(KvmGmem, SlotWithoutMmapHasItsSharedSideInTheProgram) {
  Copier guest(0);
  const std::uint32_t value = 7;
  ASSERT_TRUE(guest.vmm.memory().write(guest.own, bytes_of(value)).has_value());
  guest.copy_again();
  std::uint32_t copied = 0;
  ASSERT_TRUE(guest.vmm.memory().read(guest.own + 4, writable_bytes_of(copied)).has_value());
  EXPECT_EQ(copied, 7U);
}

// kvm_gmem_fault_user_mapping()
TEST(KvmGmem, PagesThatAreNotSharedCannotBeTouched) {
  Copier guest(kMmap);
  ASSERT_TRUE(guest.map().has_value());
  EXPECT_FALSE(guest.vmm.mapped(guest.fd()).touch(0).has_value());
  guest.copy_again();  // the guest has them
}

TEST(KvmGmem, HoleIsZerosToBoth) {
  Copier guest(kMmap | kShared);
  ASSERT_TRUE(guest.map().has_value());
  guest.words()[0] = 5;
  guest.words()[kPageSize / 4] = 6;
  guest.copy_again();
  ASSERT_TRUE(guest.fallocate(3, 0, kPageSize).has_value());
  EXPECT_EQ(guest.words()[0], 0U);
  EXPECT_EQ(guest.words()[1], 0U);
  EXPECT_EQ(guest.words()[kPageSize / 4], 6U);
  guest.words()[0] = 9;
  guest.copy_again();
  EXPECT_EQ(guest.words()[1], 9U);
}

TEST(KvmGmem, ClosedWhileMappedIsAMemoryFaultOfTheGuest) {
  Copier guest(kMmap | kShared);
  guest.copy_again();
  ASSERT_TRUE(guest.vmm.close(guest.fd()).has_value());
  abi::kvm_regs start{};
  start.rip = kCode;
  start.rflags = 2;
  ASSERT_TRUE(guest.set(guest.vmm.vcpu, KVM_SET_REGS, start).has_value());
  EXPECT_EQ(error_of(guest.vmm.ioctl(guest.vmm.vcpu, KVM_RUN, std::uint64_t{0})), Errno::kFault);
  EXPECT_EQ(guest.page().exit_reason, KVM_EXIT_MEMORY_FAULT);
  EXPECT_EQ(guest.page().memory_fault.flags, 0U);
}

}  // namespace
}  // namespace teeio::entry
