// A realm of two vCPUs in real instructions: one turns the other on, and the realm off.
#include <gtest/gtest.h>

#include "guest/factory.h"
#include "host/kvm/gmem.h"
#include "host/kvm/kvm.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"
#include "unit/host/kvm/program.h"

namespace teeio::kvm {
namespace {

constexpr std::uint64_t k2M = 2U << 20U;
constexpr Gpa kFirst{0x5000}, kSecond{0x6000};
constexpr Gpa kDevice{0x6000'0000};  // what the realm says to the VMM
constexpr std::uint64_t kPcRegister = 32;
constexpr std::uint32_t kGenericV8 = 5;
constexpr std::uint64_t kPsci0_2 = 4, kPowerOff = 1;

// x9 is the device. CPU_ON of MPIDR 1 at kSecond with 0x55; AFFINITY_INFO of it; SYSTEM_OFF.
// What the first two give goes to the device.
constexpr std::uint32_t kFirstCode[] = {
    0xd2c0'0809, 0xf2ac'0009, 0xd2b8'8000, 0xf280'0060, 0xd280'0021, 0xd28c'0002,
    0xd280'0aa3, 0xd400'0003, 0xf900'0120, 0xd2b0'8000, 0xf280'0080, 0xd280'0021,
    0xd280'0002, 0xd400'0003, 0xf900'0120, 0xd2b0'8000, 0xf280'0100, 0xd400'0003};
// x0, with which it begins, to the device; CPU_OFF.
constexpr std::uint32_t kSecondCode[] = {0xd2c0'0809, 0xf2ac'0009, 0xf900'0120,
                                         0xd2b0'8000, 0xf280'0040, 0xd400'0003};

class RealmPower : public testing::Test {
 protected:
  RealmPower() {
    kvm.add_type(factory);
    file = *kvm.create_vm(kVmTypeArmRealm, program.mm_id());
    gmem = *Gmem::create(object::Ref<Vm>::share(vm()), test::Program::kSize, 0);
    program.files[7] = gmem;
    const MemoryRegion region{.slot = 0,
                              .flags = kMemGuestMemfd,
                              .guest_phys_addr = 0,
                              .memory_size = test::Program::kSize,
                              .userspace_addr = test::Program::kBase,
                              .guest_memfd_offset = 0,
                              .guest_memfd = 7};
    EXPECT_TRUE(vm().set_memory_region(program, region));
    EXPECT_TRUE(vm().set_memory_attributes(Gpa{0}, k2M, 1U << 3U));
    load(kFirst, bytes_of(kFirstCode));
    load(kSecond, bytes_of(kSecondCode));
    for (std::uint32_t id = 0; id < 2; ++id) {
      auto made = vm().create_vcpu(id);
      EXPECT_TRUE(made.has_value());
      vcpus[id] = &static_cast<VcpuFile&>(**made).vcpu();  // whose file is closed at once
      EXPECT_TRUE(
          realm().init_vcpu(*vcpus[id], kGenericV8, id == 0 ? kPsci0_2 : kPsci0_2 | kPowerOff));
    }
    EXPECT_TRUE(realm().set_register(*vcpus[0], kPcRegister, raw(kFirst)));
  }
  ~RealmPower() override {
    gmem.reset();
    program.files.clear();
    file.reset();
    EXPECT_EQ(rmm.granules(), 0U);  // everything has come back
  }
  Vm& vm() { return static_cast<VmFile&>(*file).vm(); }
  RealmVm& realm() { return static_cast<RealmVm&>(vm().ops()); }
  void load(Gpa at, ByteView code) {
    const auto done =
        realm().populate(at, 1, true, [&](std::uint64_t, std::span<std::byte> out) -> Result<void> {
          std::ranges::copy(code, out.begin());
          return {};
        });
    EXPECT_TRUE(done.has_value());
  }
  /// KVM_RUN, for which a signal comes when it has looked for one that often.
  VcpuExit run(std::size_t id, std::uint64_t looks = ~std::uint64_t{0}) {
    program.looks_without_signal = looks;
    const schedule::Lock lock(vcpus[id]->mutex());
    const auto exit = vcpus[id]->run(program, {}, {});
    EXPECT_TRUE(exit.has_value()) << exit.error().why;
    return exit.value_or(VcpuExit{});
  }
  /// What the realm stores to the device next.
  std::uint64_t said(std::size_t id) {
    const VcpuExit exit = run(id);
    EXPECT_EQ(exit.reason, VcpuExit::Reason::kMmio);
    EXPECT_EQ(exit.gpa, kDevice);
    return exit.data;
  }

  hw::PhysicalMemory memory{64U << 20U};
  object::Trace trace;
  rmm::Rmm rmm{memory, trace, {}};
  std::unique_ptr<hw::CpuFactory> cpus = guest::make_arm_factory();
  RealmHost host{rmm, memory, trace, cpus.get()};
  RealmVmFactory factory{host};
  Kvm kvm{memory, nullptr, trace};
  test::Program program;
  object::Ref<object::File> file;
  object::Ref<object::File> gmem;
  Vcpu* vcpus[2] = {};
};

TEST_F(RealmPower, OneVcpuTurnsTheOtherOnAndTheRealmOff) {
  // kvm_arch_vcpu_ioctl_run(): a vCPU that is off waits.
  EXPECT_EQ(run(1, 3).reason, VcpuExit::Reason::kInterrupted);
  EXPECT_EQ(said(0), 0U);  // CPU_ON: success
  EXPECT_FALSE(realm().vcpu_is_off(*vcpus[1]));
  EXPECT_EQ(said(1), 0x55U);
  EXPECT_EQ(run(1, 1).reason, VcpuExit::Reason::kInterrupted);  // CPU_OFF, and it waits
  EXPECT_TRUE(realm().vcpu_is_off(*vcpus[1]));
  EXPECT_EQ(said(0), 1U);  // AFFINITY_INFO: off
  const VcpuExit off = run(0);
  EXPECT_EQ(off.reason, VcpuExit::Reason::kVendor);
  EXPECT_EQ(off.number, std::to_underlying(RealmExit::kSystem));
  EXPECT_EQ(off.args[0], std::to_underlying(SystemEvent::kShutdown));
  EXPECT_EQ(run(0, 3).reason, VcpuExit::Reason::kInterrupted);
}

TEST_F(RealmPower, MemoryWithoutASlotIsNotPopulated) {
  const auto nothing = [](std::uint64_t, std::span<std::byte>) -> Result<void> { return {}; };
  const auto done = realm().populate(Gpa{std::uint64_t{1} << 36U}, 1, true, nothing);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errno::kInval);
}

}  // namespace
}  // namespace teeio::kvm
