// KVM_GET_STATS_FD and KVM_GET_FPU: Linux virt/kvm/binary_stats.c, arch/x86/kvm/x86.c.

#include <algorithm>
#include <cstring>
#include <map>

#include "unit/entry/kvm_vm.h"

namespace teeio::entry::kvm_stats_test {
namespace {

struct Statistics {
  std::string id;
  std::map<std::string, std::uint64_t> values;
};

/// Reads them as a program does: the header says where all else is.
Statistics read_statistics(Vmm& vmm, int fd) {
  Statistics found;
  abi::kvm_stats_header header{};
  EXPECT_EQ(vmm.pread(fd, 0, writable_bytes_of(header)).value_or(0), sizeof header);
  EXPECT_EQ(header.flags, 0U);
  EXPECT_EQ(header.name_size, 48U);
  std::string name(header.name_size, '\0');
  const auto text = std::as_writable_bytes(std::span(name));
  EXPECT_TRUE(vmm.pread(fd, header.id_offset, text).has_value());
  found.id = name.c_str();
  const std::uint64_t one = sizeof(abi::kvm_stats_desc) + header.name_size;
  EXPECT_EQ(header.data_offset, header.desc_offset + header.num_desc * one);
  for (std::uint32_t i = 0; i < header.num_desc; ++i) {
    struct {
      std::uint32_t flags;
      std::int16_t exponent;
      std::uint16_t size;
      std::uint32_t offset, bucket_size;
    } descriptor{};
    const std::uint64_t at = header.desc_offset + i * one;
    EXPECT_TRUE(vmm.pread(fd, at, writable_bytes_of(descriptor)).has_value());
    EXPECT_TRUE(vmm.pread(fd, at + sizeof descriptor, text).has_value());
    EXPECT_EQ(descriptor.size, 1);
    std::uint64_t value = 0;
    EXPECT_EQ(
        vmm.pread(fd, header.data_offset + descriptor.offset, writable_bytes_of(value)).value_or(0),
        sizeof value);
    found.values[name.c_str()] = value;
  }
  std::byte end{};
  EXPECT_EQ(vmm.pread(fd, header.data_offset + 8ULL * header.num_desc, {&end, 1}).value_or(1), 0U);
  return found;
}

int stats_fd(Vmm& vmm, int of) {
  return static_cast<int>(vmm.ioctl(of, KVM_GET_STATS_FD, std::uint64_t{0}).value_or(-1));
}

TEST(KvmStatistics, OfAVmAndItsVcpuSayWhoseTheyAre) {
  KvmVm vm;
  vm.add_vcpu();
  EXPECT_EQ(vm.extension(vm.vmm.kvm, KVM_CAP_BINARY_STATS_FD), 1);
  const Statistics of_vm = read_statistics(vm.vmm, stats_fd(vm.vmm, vm.vmm.vm));
  EXPECT_TRUE(of_vm.id.starts_with("kvm-"));
  EXPECT_TRUE(of_vm.values.contains("pages_4k"));
  const Statistics of_vcpu = read_statistics(vm.vmm, stats_fd(vm.vmm, vm.vmm.vcpu));
  EXPECT_TRUE(of_vcpu.id.ends_with("/vcpu-0"));
  EXPECT_EQ(of_vcpu.values.at("exits"), 0U);
}

TEST(KvmStatistics, CountWhatTheGuestDoes) {
  KvmVm vm;
  constexpr std::uint64_t kBytes = 4 * kPageSize;
  abi::kvm_userspace_memory_region slot{};
  slot.memory_size = kBytes;
  slot.userspace_addr = vm.vmm.memory().map(kBytes);
  ASSERT_TRUE(vm.vmm.ioctl(vm.vmm.vm, KVM_SET_USER_MEMORY_REGION, slot).has_value());
  const std::uint8_t code[] = {0xe6, 0x80, 0xf4};  // out 0x80, al; hlt
  ASSERT_TRUE(vm.vmm.memory()
                  .write(slot.userspace_addr + kPageSize, std::as_bytes(std::span(code)))
                  .has_value());
  vm.add_vcpu();
  ASSERT_TRUE(vm.vmm.make_mappable(vm.vmm.vcpu).has_value());
  auto sregs = vm.get<abi::kvm_sregs>(vm.vmm.vcpu, KVM_GET_SREGS);
  sregs.cr0 |= 1;
  for (abi::kvm_segment* segment : {&sregs.cs, &sregs.ds, &sregs.es, &sregs.ss}) {
    segment->base = 0;
    segment->limit = 0xffff'ffff;
    segment->g = segment->db = 1;
    segment->selector = segment == &sregs.cs ? 8 : 16;
  }
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_SREGS, sregs).has_value());
  abi::kvm_regs regs{};
  regs.rip = kPageSize;
  regs.rflags = 2;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_REGS, regs).has_value());
  const int fd = stats_fd(vm.vmm, vm.vmm.vcpu), of_vm = stats_fd(vm.vmm, vm.vmm.vm);
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(vm.vmm.ioctl(vm.vmm.vcpu, KVM_RUN, std::uint64_t{0}).has_value());
  const Statistics now = read_statistics(vm.vmm, fd);
  EXPECT_EQ(now.values.at("io_exits"), 1U);
  EXPECT_EQ(now.values.at("halt_exits"), 1U);
  EXPECT_EQ(now.values.at("mmio_exits"), 0U);
  EXPECT_EQ(now.values.at("pf_taken"), 1U) << "the page of the code";
  EXPECT_EQ(now.values.at("exits"), 3U);
  EXPECT_EQ(read_statistics(vm.vmm, of_vm).values.at("pages_4k"), 1U);
}

// kvm_get_kvm(): the VM lives as long as they can be read.
TEST(KvmStatistics, OutliveTheVmsDescriptors) {
  KvmVm vm;
  vm.add_vcpu();
  const int of_vm = stats_fd(vm.vmm, vm.vmm.vm), of_vcpu = stats_fd(vm.vmm, vm.vmm.vcpu);
  vm.vmm.close_vm_files();
  EXPECT_TRUE(read_statistics(vm.vmm, of_vm).values.contains("pages_4k"));
  EXPECT_EQ(read_statistics(vm.vmm, of_vcpu).values.at("exits"), 0U);
}

TEST(KvmFpu, ReadsBackAndIsThePartOfXsaveThatItIs) {
  KvmVm vm;
  vm.add_vcpu();
  auto fpu = vm.get<abi::kvm_fpu>(vm.vmm.vcpu, KVM_GET_FPU);
  EXPECT_EQ(fpu.fcw, 0x37f);
  EXPECT_EQ(fpu.mxcsr, 0U) << "kvm_arch_vcpu_ioctl_get_fpu() does not tell it";
  fpu.fcw = 0x27f;
  fpu.fsw = 0x1234;
  fpu.ftwx = 0x81;
  fpu.last_opcode = 0x345;
  fpu.last_ip = 0x1111'2222'3333'4444;
  fpu.last_dp = 0x5555'6666'7777'8888;
  fpu.fpr[7][9] = 0x42;
  fpu.xmm[15][15] = 0x99;
  fpu.mxcsr = 0x1f81;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_FPU, fpu).has_value());
  const auto back = vm.get<abi::kvm_fpu>(vm.vmm.vcpu, KVM_GET_FPU);
  fpu.mxcsr = 0;
  EXPECT_EQ(std::memcmp(&back, &fpu, sizeof fpu), 0);
  // Neither component is in use by that: a Linux 7.3 was asked.
  auto area = vm.get<abi::kvm_xsave>(vm.vmm.vcpu, KVM_GET_XSAVE);
  EXPECT_EQ(area.region[128], 0U);
  EXPECT_EQ(area.region[0] & 0xffffU, 0x37fU);
  area.region[128] = 3;
  area.region[0] = 0x7f;
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_XSAVE, area).has_value());
  ASSERT_TRUE(vm.set(vm.vmm.vcpu, KVM_SET_FPU, fpu).has_value());
  area = vm.get<abi::kvm_xsave>(vm.vmm.vcpu, KVM_GET_XSAVE);
  std::array<std::uint8_t, sizeof area> bytes{};
  std::memcpy(bytes.data(), &area, sizeof area);
  EXPECT_EQ(bytes[0] | bytes[1] << 8, 0x27f);
  EXPECT_EQ(bytes[4], 0x81);
  EXPECT_EQ(bytes[24] | bytes[25] << 8, 0x1f80) << "MXCSR stays";
  EXPECT_EQ(bytes[32 + 7 * 16 + 9], 0x42);
  EXPECT_EQ(bytes[160 + 15 * 16 + 15], 0x99);
}

}  // namespace
}  // namespace teeio::entry::kvm_stats_test
