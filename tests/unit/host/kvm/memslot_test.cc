// KVM_SET_USER_MEMORY_REGION2: each refusal by its errno, and what a slot may become.
// Source: Linux virt/kvm/kvm_main.c, kvm_set_memory_region() and
// kvm_check_memory_region_flags(); virt/kvm/guest_memfd.c, kvm_gmem_bind().

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "unit/machine/make_machine.h"

namespace teeio::kvm {
namespace {

using machine::test::error_of;
using machine::test::make_machine;
using machine::test::Vmm;
using Region = abi::kvm_userspace_memory_region2;

constexpr std::uint64_t kSlotGpa = 0x10'0000, kFarGpa = 0x80'0000;
constexpr std::uint64_t kLastPageOfAll = ~std::uint64_t{0} - kPageSize + 1;
constexpr std::uint64_t kTaskEnd = 0x7fff'ffff'f000;  // TASK_SIZE_MAX

struct MemslotTest : testing::Test {
  void SetUp() override { ASSERT_TRUE(vmm.make_vm().has_value()); }
  Region region(std::uint64_t pages = 2) {
    Region slot{};
    slot.slot = 3;
    slot.guest_phys_addr = kSlotGpa;
    slot.memory_size = pages * kPageSize;
    slot.userspace_addr = address;
    return slot;
  }
  Errno error_with(const std::function<void(Region&)>& change) {
    Region slot = region();
    change(slot);
    return error_of(vmm.set_region(slot));
  }
  int make_gmem(std::uint64_t pages) {
    abi::kvm_create_guest_memfd create{};
    create.size = pages * kPageSize;
    return static_cast<int>(*vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create));
  }
  std::unique_ptr<machine::Machine> machine = make_machine();
  Vmm vmm{*machine};
  std::uint64_t address = vmm.memory().map(4 * kPageSize);
};

TEST_F(MemslotTest, EachWrongFieldIsEinval) {
  const std::pair<std::string, std::function<void(Region&)>> wrong[] = {
      {"unknown flag", [](auto& s) { s.flags = 1U << 20U; }},
      {"flags that do not go together",
       [](auto& s) { s.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY; }},
      {"size not of pages", [](auto& s) { s.memory_size += 1; }},
      {"guest address not of a page", [](auto& s) { s.guest_phys_addr += 1; }},
      {"program's address not of a page", [](auto& s) { s.userspace_addr += 1; }},
      {"past the program's addresses", [](auto& s) { s.userspace_addr = kTaskEnd - kPageSize; }},
      {"no such slot", [](auto& s) { s.slot = 32764; }},
      {"wraps around", [](auto& s) { s.guest_phys_addr = kLastPageOfAll; }},
      {"too many pages",
       [](auto& s) {
         s.userspace_addr = 0;
         s.memory_size = std::uint64_t{1} << 43U;
       }},
      {"nothing to delete", [](auto& s) { s.memory_size = 0; }},
  };
  for (const auto& [name, change] : wrong) EXPECT_EQ(error_with(change), Errno::kInval) << name;
}

TEST_F(MemslotTest, TheLastSlotAndTheProgramsLastAddressMayBeUsed) {
  Region slot = region();
  slot.slot = 32763;  // KVM_USER_MEM_SLOTS - 1
  EXPECT_TRUE(vmm.set_region(slot).has_value());
}

TEST_F(MemslotTest, OverlapIsEexistAndNeighboursAreNot) {
  ASSERT_TRUE(vmm.set_region(region()).has_value());
  Region other = region();
  other.slot = 4;
  for (const std::uint64_t at : {kSlotGpa - kPageSize, kSlotGpa, kSlotGpa + kPageSize}) {
    other.guest_phys_addr = at;
    EXPECT_EQ(error_of(vmm.set_region(other)), Errno::kExist) << at;
  }
  for (const std::uint64_t at : {kSlotGpa - 2 * kPageSize, kSlotGpa + 2 * kPageSize}) {
    other.guest_phys_addr = at;
    EXPECT_TRUE(vmm.set_region(other).has_value()) << at;
    ++other.slot;
  }
}

TEST_F(MemslotTest, MovesOverItselfButNotOverAnother) {
  ASSERT_TRUE(vmm.set_region(region()).has_value());
  Region far = region();
  far.slot = 4;
  far.guest_phys_addr = kFarGpa;
  ASSERT_TRUE(vmm.set_region(far).has_value());
  Region moved = region();
  moved.guest_phys_addr = kSlotGpa + kPageSize;
  EXPECT_TRUE(vmm.set_region(moved).has_value()) << "a page further, over its own second page";
  moved.guest_phys_addr = kFarGpa + kPageSize;
  EXPECT_EQ(error_of(vmm.set_region(moved)), Errno::kExist);
  moved.guest_phys_addr = kFarGpa + 2 * kPageSize;
  EXPECT_TRUE(vmm.set_region(moved).has_value());
}

TEST_F(MemslotTest, ChangesNeitherSizeNorBackingNorKind) {
  ASSERT_TRUE(vmm.set_region(region()).has_value());
  EXPECT_EQ(error_with([](auto& s) { s.memory_size = kPageSize; }), Errno::kInval);
  EXPECT_EQ(error_with([](auto& s) { s.userspace_addr += kPageSize; }), Errno::kInval);
  EXPECT_EQ(error_with([](auto& s) { s.flags = KVM_MEM_READONLY; }), Errno::kInval);
  EXPECT_EQ(error_with([](auto& s) { s.flags = KVM_MEM_GUEST_MEMFD; }), Errno::kInval);
  EXPECT_TRUE(vmm.set_region(region()).has_value()) << "as it is";
}

TEST_F(MemslotTest, SlotsOfAGuestMemfdMayBeNeighbours) {
  const auto gmem = static_cast<std::uint32_t>(make_gmem(4));
  const auto part = [&](std::uint32_t number, std::uint64_t first_page) {
    Region slot = region(1);
    slot.slot = number;
    slot.flags = KVM_MEM_GUEST_MEMFD;
    slot.guest_phys_addr = kFarGpa + number * kPageSize;
    slot.guest_memfd = gmem;
    slot.guest_memfd_offset = first_page * kPageSize;
    return vmm.set_region(slot);
  };
  EXPECT_TRUE(part(1, 1).has_value());
  EXPECT_TRUE(part(2, 2).has_value()) << "behind it";
  EXPECT_TRUE(part(3, 0).has_value()) << "before it";
  EXPECT_EQ(error_of(part(4, 2)), Errno::kExist);
  EXPECT_TRUE(part(5, 3).has_value()) << "the last page";
  EXPECT_EQ(error_of(part(6, 4)), Errno::kInval) << "beyond the end";
}

TEST_F(MemslotTest, AGuestMemfdHasAPositiveNumberOfPagesAndNoFlag) {
  const auto error_of_size = [&](std::uint64_t size, std::uint64_t flags) {
    abi::kvm_create_guest_memfd create{};
    create.size = size;
    create.flags = flags;
    return error_of(vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create));
  };
  EXPECT_EQ(error_of_size(0, 0), Errno::kInval);
  EXPECT_EQ(error_of_size(1, 0), Errno::kInval);
  EXPECT_EQ(error_of_size(std::uint64_t{1} << 63U, 0), Errno::kInval);
  EXPECT_EQ(error_of_size(kPageSize, std::uint64_t{1} << 40U), Errno::kInval);
}

struct TdMemory : MemslotTest {
  /// KVM_TDX_INIT_MEM_REGION of a page of zeros.
  Errno init_page() {
    abi::kvm_tdx_init_mem_region region{};
    region.source_addr = address;
    region.gpa = kSlotGpa;
    region.nr_pages = 1;
    const auto done = vmm.tdx(vmm.vcpu, abi::KVM_TDX_INIT_MEM_REGION, vmm.store(bytes_of(region)));
    return done ? Errno{} : error_of(done);
  }
};

TEST_F(TdMemory, ATdsCpuidIsReadUntilFinalizeAndBeforeInitVcpu) {
  ASSERT_TRUE(vmm.make_vcpu().has_value());
  const auto leaves = [&](std::uint32_t room) {
    Bytes list(8 + 40 * std::size_t{256});  // struct kvm_cpuid2, and struct kvm_cpuid_entry2
    std::memcpy(list.data(), &room, sizeof(room));
    return vmm.tdx(vmm.vcpu, abi::KVM_TDX_GET_CPUID, vmm.store(list));
  };
  EXPECT_TRUE(leaves(256).has_value()) << "as QEMU does";
  EXPECT_EQ(error_of(leaves(0)), Errno::kTooBig);
  ASSERT_TRUE(vmm.tdx(vmm.vcpu, abi::KVM_TDX_INIT_VCPU, 0).has_value());
  EXPECT_TRUE(leaves(256).has_value());
  ASSERT_TRUE(vmm.tdx(vmm.vm, abi::KVM_TDX_FINALIZE_VM, 0).has_value());
  EXPECT_EQ(error_of(leaves(256)), Errno::kInval);
}

TEST_F(TdMemory, InitialPagesComeBetweenInitVcpuAndFinalize) {
  ASSERT_TRUE(vmm.make_vcpu().has_value());
  EXPECT_EQ(init_page(), Errno::kInval) << "before KVM_TDX_INIT_VCPU";
  ASSERT_TRUE(vmm.tdx(vmm.vcpu, abi::KVM_TDX_INIT_VCPU, 0).has_value());
  EXPECT_EQ(init_page(), Errno::kInval) << "no guest_memfd is there";
  Region slot = region();
  slot.flags = KVM_MEM_GUEST_MEMFD;
  slot.guest_memfd = static_cast<std::uint32_t>(make_gmem(2));
  ASSERT_TRUE(vmm.set_region(slot).has_value());
  EXPECT_EQ(init_page(), Errno::kInval) << "the page is not private";
  abi::kvm_memory_attributes attributes{};
  attributes.address = kSlotGpa;
  attributes.size = kPageSize;
  attributes.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
  ASSERT_TRUE(vmm.ioctl(vmm.vm, KVM_SET_MEMORY_ATTRIBUTES, attributes).has_value());
  EXPECT_EQ(init_page(), Errno{}) << "it is added";
  EXPECT_EQ(init_page(), Errno::kIo) << "it was added already";
  ASSERT_TRUE(vmm.tdx(vmm.vm, abi::KVM_TDX_FINALIZE_VM, 0).has_value());
  EXPECT_EQ(init_page(), Errno::kInval) << "after KVM_TDX_FINALIZE_VM";
}

}  // namespace
}  // namespace teeio::kvm
