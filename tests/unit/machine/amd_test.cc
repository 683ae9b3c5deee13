// An AMD machine: its IOMMU as programs meet it, and SNP VMs through system calls.

#include <algorithm>
#include <cstring>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/vfio.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

constexpr std::uint64_t kSnpVm = 4;
constexpr std::uint64_t kRegion = std::uint64_t{1} << 40U;  // VFIO_PCI_OFFSET_SHIFT

class AmdTest : public testing::Test {
 protected:
  void open_device() {
    ASSERT_TRUE(vmm.open_device(kPf).has_value());
    ASSERT_TRUE(vmm.bind_iommufd().has_value());
    abi::iommu_ioas_alloc ioas{};
    ioas.size = sizeof(ioas);
    ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, ioas).has_value());
    ioas_id = ioas.out_ioas_id;
    abi::vfio_device_attach_iommufd_pt attach{};
    attach.argsz = sizeof(attach);
    attach.pt_id = ioas_id;
    ASSERT_TRUE(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach).has_value());
  }
  Result<std::int64_t> map(std::uint64_t user, std::uint64_t iova, std::uint64_t length) {
    abi::iommu_ioas_map arg{};
    arg.size = sizeof(arg);
    arg.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    arg.ioas_id = ioas_id;
    arg.user_va = user;
    arg.iova = iova;
    arg.length = length;
    return vmm.ioctl(vmm.iommufd, IOMMU_IOAS_MAP, arg);
  }
  void reg(std::uint64_t offset, std::uint32_t value) {
    ASSERT_TRUE(vmm.pwrite(vmm.vfio, offset, bytes_of(value)).has_value());
  }
  std::uint32_t reg(std::uint64_t offset) {
    std::uint32_t value = 0;
    EXPECT_TRUE(vmm.pread(vmm.vfio, offset, writable_bytes_of(value)).has_value());
    return value;
  }
  Result<std::int64_t> snp(std::uint32_t id, std::uint64_t data) {
    abi::kvm_sev_cmd command{};
    command.id = id;
    command.data = data;
    command.error = kUntouched;
    auto done = vmm.ioctl(vmm.vm, KVM_MEMORY_ENCRYPT_OP, command);
    firmware_error = command.error;
    return done;
  }
  template <class T>
  std::uint64_t put(const T& value) {
    return vmm.store(bytes_of(value));
  }
  int make_gmem(std::uint64_t size) {
    abi::kvm_create_guest_memfd create{};
    create.size = size;
    return static_cast<int>(*vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create));
  }
  Result<std::int64_t> map_file(int fd, std::uint64_t iova, std::uint64_t length) {
    abi::iommu_ioas_map_file arg{};
    arg.size = sizeof(arg);
    arg.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    arg.ioas_id = ioas_id;
    arg.fd = fd;
    arg.iova = iova;
    arg.length = length;
    return vmm.ioctl(vmm.iommufd, IOMMU_IOAS_MAP_FILE, arg);
  }

  std::unique_ptr<Machine> machine = make_machine("amd-sev");
  Vmm vmm{*machine};
  std::uint32_t ioas_id = 0;
  static constexpr std::uint32_t kUntouched = 0xdead;  ///< the firmware was not asked
  std::uint32_t firmware_error = 0;
};

TEST_F(AmdTest, TellsItsFeatureRegisters) {
  open_device();
  abi::iommu_hw_info arg{};
  arg.size = sizeof(arg);
  arg.dev_id = vmm.dev_id;
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_GET_HW_INFO, arg).has_value());
  EXPECT_EQ(arg.out_data_type, static_cast<std::uint32_t>(abi::IOMMU_HW_INFO_TYPE_AMD));
  EXPECT_EQ(arg.data_len, sizeof(abi::iommu_hw_info_amd));
  EXPECT_EQ(*vmm.cat("/sys/kernel/iommu_groups/0/reserved_regions"),
            "0x00000000fee00000 0x00000000feefffff msi\n"
            "0x000000fd00000000 0x000000ffffffffff reserved\n");
}

TEST_F(AmdTest, HyperTransportsRangeCannotBeMapped) {
  open_device();
  const std::uint64_t user = vmm.memory().map(kPageSize);
  EXPECT_EQ(error_of(map(user, 0xfd'0000'0000, kPageSize)), Errno::kInval);
  EXPECT_TRUE(map(user, 0x100'0000'0000, kPageSize).has_value());
  EXPECT_TRUE(map(user, ~std::uint64_t{0xfff}, kPageSize).has_value()) << "the last page";
}

// A card copies a page of the program's memory through the IOMMU's tables.
TEST_F(AmdTest, SharedDmaGoesThroughTheHostsTables) {
  open_device();
  constexpr std::uint64_t kIova = 0x10'0000;
  const std::uint64_t user = vmm.memory().map(4 * kPageSize);
  ASSERT_TRUE(map(user, kIova, 4 * kPageSize).has_value());
  const Bytes text(kPageSize, std::byte{0x6b});
  ASSERT_TRUE(vmm.memory().write(user + kPageSize, text).has_value());
  const Bytes descriptor = Writer()
                               .le(0U)
                               .le(static_cast<std::uint32_t>(kPageSize))
                               .le(kIova + kPageSize)
                               .le(kIova + 2 * kPageSize)
                               .le(std::uint64_t{0})
                               .take();
  ASSERT_TRUE(vmm.memory().write(user, descriptor).has_value());
  const std::uint16_t memory_and_master = 6;
  ASSERT_TRUE(vmm.pwrite(vmm.vfio, 7 * kRegion + 4, bytes_of(memory_and_master)).has_value());
  reg(0x08, 2);
  reg(0x10, static_cast<std::uint32_t>(kIova));
  reg(0x14, 0);
  reg(0x18, 2);
  reg(0x08, 1);
  reg(0x24, 1);
  EXPECT_EQ(reg(0x28), 0U) << "no error";
  EXPECT_EQ(reg(0x30), 1U) << "one is complete";
  Bytes copied(kPageSize);
  ASSERT_TRUE(vmm.memory().read(user + 2 * kPageSize, copied).has_value());
  EXPECT_EQ(copied, text);
  abi::iommu_ioas_unmap unmap{};
  unmap.size = sizeof(unmap);
  unmap.ioas_id = ioas_id;
  unmap.iova = kIova;
  unmap.length = 4 * kPageSize;
  ASSERT_TRUE(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_UNMAP, unmap).has_value());
  reg(0x24, 2);
  EXPECT_NE(reg(0x28), 0U) << "the ring is gone";
}

TEST_F(AmdTest, AnSnpVmIsLaunchedByItsIoctls) {
  const auto kvm = vmm.open("/dev/kvm");
  ASSERT_TRUE(kvm.has_value());
  const auto made = vmm.ioctl(*kvm, KVM_CREATE_VM, kSnpVm);
  ASSERT_TRUE(made.has_value());
  vmm.vm = static_cast<int>(*made);
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_INIT, 0)), Errno::kInval);
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_LAUNCH_START, 0)), Errno::kNoTty);
  EXPECT_EQ(error_of(snp(50, 0)), Errno::kInval);
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_INIT2, 0)), Errno::kFault);
  ASSERT_TRUE(snp(abi::KVM_SEV_INIT2, put(abi::kvm_sev_init{})).has_value());
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_INIT2, put(abi::kvm_sev_init{}))), Errno::kPerm);
  abi::kvm_sev_snp_launch_start start{};
  start.policy = 0x2'00ff'ffU;
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_START, put(start))), Errno::kInval);
  start.policy = 0x2'ffff;
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_START, put(start))), Errno::kIo);
  EXPECT_EQ(firmware_error, 7U) << "SEV_RET_POLICY_FAILURE";
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_START, 0)), Errno::kFault);
  EXPECT_EQ(firmware_error, kUntouched) << "neither this answer nor the last";
  start.policy = 0x2'0000;
  ASSERT_TRUE(snp(abi::KVM_SEV_SNP_LAUNCH_START, put(start)).has_value());
  EXPECT_EQ(firmware_error, 0U);
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_START, put(start))), Errno::kInval) << "again";
  EXPECT_EQ(firmware_error, kUntouched);

  constexpr Gpa kRam{0x10'0000};
  abi::kvm_userspace_memory_region2 slot{};
  slot.slot = 3;
  slot.flags = KVM_MEM_GUEST_MEMFD;
  slot.guest_phys_addr = raw(kRam);
  slot.memory_size = 4 * kPageSize;
  slot.userspace_addr = vmm.memory().map(4 * kPageSize);
  slot.guest_memfd = static_cast<std::uint32_t>(make_gmem(4 * kPageSize));
  ASSERT_TRUE(vmm.set_region(slot).has_value());
  ASSERT_TRUE(vmm.set_private(kRam, 2 * kPageSize).has_value());
  abi::kvm_sev_snp_launch_update update{};
  update.gfn_start = raw(kRam) >> kPageShift;
  update.uaddr = vmm.memory().map(4 * kPageSize);
  update.len = 4 * kPageSize;
  update.type = 7;
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_UPDATE, put(update))), Errno::kInval);
  update.type = KVM_SEV_SNP_PAGE_TYPE_NORMAL;
  const std::uint64_t at = put(update);
  ASSERT_TRUE(snp(abi::KVM_SEV_SNP_LAUNCH_UPDATE, at).has_value());
  ASSERT_TRUE(vmm.memory().read(at, writable_bytes_of(update)).has_value());
  EXPECT_EQ(update.gfn_start, (raw(kRam) >> kPageShift) + 2) << "the private ones are done";
  EXPECT_EQ(update.len, 2 * kPageSize);
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_UPDATE, at)), Errno::kIo) << "not private";
  EXPECT_EQ(firmware_error, 0U) << "sev_gmem_populate_args.fw_error, without an answer";
  abi::kvm_sev_snp_launch_finish finish{};
  finish.id_block_en = 1;
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_FINISH, put(finish))), Errno::kInval);
  EXPECT_EQ(firmware_error, kUntouched);
  finish.id_block_uaddr = finish.id_auth_uaddr = vmm.memory().map(kPageSize);
  EXPECT_EQ(error_of(snp(abi::KVM_SEV_SNP_LAUNCH_FINISH, put(finish))), Errno::kIo);
  EXPECT_EQ(firmware_error, 0xbU) << "SEV_RET_BAD_MEASUREMENT";
  finish.id_block_en = 0;
  finish.vcek_disabled = 2;  // sev_data_snp_launch_finish's is a bit-field
  ASSERT_TRUE(snp(abi::KVM_SEV_SNP_LAUNCH_FINISH, put(finish)).has_value());
  ASSERT_TRUE(vmm.snp_guest().has_value());
  EXPECT_FALSE(vmm.snp_guest()->vcek_disabled);
  EXPECT_TRUE(snp(abi::KVM_SEV_INIT2, 0).error().code == Errno::kPerm);
}

TEST_F(AmdTest, AnSnpGuestsMemoryCanBeMappedForItsDevices) {
  ASSERT_TRUE(vmm.make_vm(kSnpVm).has_value());
  const int gmem = make_gmem(4 * kPageSize);
  open_device();
  EXPECT_EQ(error_of(map_file(gmem, 0x10'0000, 5 * kPageSize)), Errno::kInval);
  EXPECT_TRUE(map_file(gmem, 0x10'0000, 4 * kPageSize).has_value());
  // A hole takes the pages out of the file; the frames stay until they are unmapped.
  ASSERT_TRUE(vmm.close(gmem).has_value());
  vmm.exit();
}

}  // namespace
}  // namespace teeio::machine::test
