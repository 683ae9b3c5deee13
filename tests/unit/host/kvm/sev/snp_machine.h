#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>

#include "firmware/sev/attestation.h"
#include "firmware/sev/launch.h"
#include "guest/factory.h"
#include "host/kvm/gmem.h"
#include "host/kvm/kvm.h"
#include "host/kvm/sev/msrs.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"
#include "unit/host/kvm/program.h"

namespace teeio::kvm::test {

/// A host with an SNP VM: 4 MiB of guest memory at 0, the lower half private, with the
/// program's memory as its shared side.
class SnpMachine : public testing::Test {
 protected:
  static constexpr std::uint64_t k2M = 2U << 20U;
  static constexpr Gpa kTables{0x1000};  ///< three pages of page tables
  static constexpr Gpa kCode{0x5000};
  static constexpr Gpa kGhcb{k2M};  ///< shared
  static constexpr std::uint64_t kPolicy = sev::kPolicyMustBeOne;
  static constexpr std::uint64_t kCBit = std::uint64_t{1} << kEncryptionBit;

  SnpMachine() {
    trace.keep_events(true);
    kvm.add_type(factory);
    EXPECT_TRUE(psp_host.snp_init(true));
    open();
  }
  ~SnpMachine() override { close(); }

  void open() {
    file = *kvm.create_vm(kVmTypeSnp, program.mm_id());
    gmem = *Gmem::create(object::Ref<Vm>::share(vm()), Program::kSize, 0);
    program.files[7] = gmem;
    MemoryRegion region{.slot = 0,
                        .flags = kMemGuestMemfd,
                        .guest_phys_addr = 0,
                        .memory_size = Program::kSize,
                        .userspace_addr = Program::kBase,
                        .guest_memfd_offset = 0,
                        .guest_memfd = 7};
    ASSERT_TRUE(vm().set_memory_region(program, region));
    ASSERT_TRUE(vm().set_memory_attributes(Gpa{0}, k2M, 1U << 3U));
  }
  void close() {
    vcpu = nullptr;
    gmem.reset();
    program.files.clear();
    file.reset();
  }
  Vm& vm() { return static_cast<VmFile&>(*file).vm(); }
  SevVm& guest() { return static_cast<SevVm&>(vm().ops()); }
  hw::Cpu& cpu() { return *vcpu->cpu(); }

  void make_vcpu() {
    auto made = vm().create_vcpu(0);
    ASSERT_TRUE(made.has_value());
    vcpu = &static_cast<VcpuFile&>(**made).vcpu();  // whose file is closed at once
  }
  /// A page of private memory from these words or bytes.
  Result<std::uint64_t> load(Gpa at, Bytes contents,
                             sev::LaunchPage type = sev::LaunchPage::kNormal) {
    contents.resize(kPageSize);
    return guest().launch_update(
        at, 1, type,
        [&](std::uint64_t, std::span<std::byte> out) -> Result<void> {
          std::memcpy(out.data(), contents.data(), out.size());
          return {};
        },
        answer);
  }
  /// Long mode: the first 2 MiB are private, the second shared, both where they are.
  void load_tables() {
    const auto entry = [](std::uint64_t value) { return Writer().le(value).take(); };
    EXPECT_TRUE(load(kTables, entry(raw(kTables) + 0x1000 + 3 + kCBit)));
    EXPECT_TRUE(load(kTables + 0x1000, entry(raw(kTables) + 0x2000 + 3 + kCBit)));
    EXPECT_TRUE(
        load(kTables + 0x2000, Writer().le(std::uint64_t{0x83} + kCBit).le(k2M + 0x83).take()));
  }
  void set_long_mode() {
    std::array<std::byte, 312> special{};
    ASSERT_TRUE(cpu().get_special(special));
    const auto put = [&](std::size_t at, std::uint64_t value, std::size_t size = 8) {
      std::memcpy(special.data() + at, &value, size);
    };
    for (std::size_t segment = 0; segment < 6; ++segment) {
      const std::size_t at = segment * 24;
      put(at, 0);
      put(at + 8, 0xffff'ffff, 4);
      put(at + 12, segment == 0 ? 8 : 16, 2);
      put(at + 14, segment == 0 ? 11 : 3, 1);
      put(at + 15, 1, 1);                     // present
      put(at + 17, segment == 0 ? 0 : 1, 1);  // db
      put(at + 18, 1, 1);                     // s
      put(at + 19, segment == 0 ? 1 : 0, 1);  // l
      put(at + 20, 1, 1);                     // g
    }
    put(224, 0x8001'0011);           // cr0: PG, WP, ET, PE
    put(240, raw(kTables) + kCBit);  // cr3
    put(248, 0x20);                  // cr4: PAE
    put(264, 0x500);                 // efer: LMA, LME
    ASSERT_TRUE(cpu().set_special(special));
    hw::CpuRegisters regs;
    regs.rip = raw(kCode);
    cpu().set_registers(regs);
  }
  /// From KVM_SEV_INIT2 to LAUNCH_FINISH, with this code.
  void launch(std::initializer_list<unsigned char> code) {
    ASSERT_TRUE(guest().init2(0, 0, 2, answer));
    make_vcpu();
    ASSERT_TRUE(guest().launch_start(kPolicy, Bytes(16), 0, answer));
    load_tables();
    Bytes bytes;
    for (const unsigned char byte : code) bytes.push_back(std::byte{byte});
    ASSERT_TRUE(load(kCode, bytes));
    set_long_mode();
    ASSERT_TRUE(guest().launch_finish({}, answer));
  }
  Result<hw::CpuRegisters> registers() {
    const schedule::Lock lock(vcpu->mutex());
    return vcpu->registers();
  }
  Result<VcpuExit> run(const VcpuCompletion& completion = {}) {
    const schedule::Lock lock(vcpu->mutex());
    return vcpu->run(program, completion, {});
  }
  /// A 2 MiB entry of the guest's, in which the frame of `page` lies where `page` does in its own
  /// 2 MiB. Precondition: nobody has touched `page` yet.
  Hpa make_large_entry(Gpa page) {
    const std::uint64_t offset = raw(page) % sev::kRmp2M;
    Hpa next = *memory.alloc_page() + kPageSize;
    while (raw(next) % sev::kRmp2M != 0) next = *memory.alloc_page() + kPageSize;
    const Hpa base = next;
    for (std::uint64_t at = 0; at < offset; at += kPageSize)
      EXPECT_EQ(*memory.alloc_page(), base + at);
    EXPECT_EQ(*frame(page), base + offset);
    for (std::uint64_t at = offset + kPageSize; at < sev::kRmp2M; at += kPageSize)
      EXPECT_EQ(*memory.alloc_page(), base + at);
    EXPECT_EQ(rmp.update(base, {.assigned = true,
                                .size = sev::RmpSize::k2M,
                                .asid = guest().asid(),
                                .gpa = Gpa{raw(page) - offset}}),
              sev::RmpStatus::kSuccess);
    return base;
  }
  sev::RmpEntry entry_of(Gpa page) { return rmp.entry(*frame(page)); }
  Result<Hpa> frame(Gpa page) { return static_cast<Gmem&>(*gmem).page(raw(page)); }
  std::uint64_t shared_u64(std::uint64_t gpa) {
    std::uint64_t value = 0;
    std::memcpy(&value, program.bytes.data() + gpa, sizeof value);
    return value;
  }
  void put_shared(std::uint64_t gpa, std::uint64_t value) {
    std::memcpy(program.bytes.data() + gpa, &value, sizeof value);
  }

  hw::PhysicalMemory memory{64U << 20U};
  object::Trace trace;
  sev::Rmp rmp{memory};
  sev::IoGuard guard{trace};
  sev::Platform psp{memory, trace, rmp, {}};
  sev::Launch commands{psp, guard};
  PspHost psp_host{psp, memory, trace};
  sev::Attestation attestation{psp};
  SevHost host{psp_host, 2, [this] { return attestation.endorsement(); }};
  SevVmFactory factory{host};
  std::unique_ptr<hw::CpuFactory> cpus = guest::make_unicorn_factory();
  Kvm kvm{memory, cpus.get(), trace};
  Program program;
  object::Ref<object::File> file;
  object::Ref<object::File> gmem;
  Vcpu* vcpu = nullptr;
  FirmwareAnswer answer;  ///< of the last build call
};

}  // namespace teeio::kvm::test
