// TDG.VP.VMCALL as KVM answers it: Intel GHCI 1.5; Linux arch/x86/kvm/vmx/tdx.c,
// handle_tdvmcall(), tdx_emulate_mmio() and tdx_map_gpa().

#include <gtest/gtest.h>

#include <memory>

#include "base/check.h"
#include "host/kvm/kvm.h"
#include "host/kvm/tdx/tdx_vm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"
#include "unit/host/kvm/held_cpu.h"

namespace teeio::kvm {
namespace {

using Action = VmOps::GuestCallAction;

constexpr std::uint64_t kMmio = 48, kMapGpa = 0x10001, kQuote = 0x10002;
constexpr std::uint64_t kInvalidOperand = 0x8000'0000'0000'0000, kUnsupported = kInvalidOperand + 3;
constexpr std::uint64_t kShared = tdx::kSharedGpaBit;
constexpr std::uint64_t kUntouched = 0x77;

class HeldCpus final : public hw::CpuFactory {
 public:
  Result<std::unique_ptr<hw::Cpu>> make(hw::GuestMemory&) override {
    return std::make_unique<HeldCpu>();
  }
};

class TdVmcall : public testing::Test {
 protected:
  TdVmcall() {
    kvm_.add_type(type_);
    file_ = *kvm_.create_vm(kVmTypeTdx, 1);
    vcpu_ = *vm().create_vcpu(0);
  }
  ~TdVmcall() override {
    vcpu_.reset();
    file_.reset();
  }
  [[nodiscard]] Vm& vm() { return static_cast<VmFile&>(*file_).vm(); }

  /// The guest's call, with what it has shown in its registers.
  Action call(hw::CpuRegisters registers) {
    Vcpu& vcpu = static_cast<VcpuFile&>(*vcpu_).vcpu();
    registers.rcx = 0xfc00;  // R10 to R15
    vcpu.cpu()->set_registers(registers);
    exit_ = {};
    const Action action = vm().ops().guest_call(vcpu, exit_);
    seen_ = vcpu.cpu()->registers();
    return action;
  }
  /// The call is the guest's mistake, which it is told and nobody else.
  void expect_refused(const hw::CpuRegisters& registers, std::uint64_t answer) {
    EXPECT_EQ(call(registers), Action::kResume) << registers.r11;
    EXPECT_EQ(seen_.rax, 0U) << "TDH.VP.ENTER itself went well";
    EXPECT_EQ(seen_.r10, answer) << registers.r11;
    EXPECT_EQ(seen_.r12, registers.r12);
  }

  hw::PhysicalMemory memory_{std::uint64_t{16} << 20U};
  object::Trace trace_;
  tdx::Module module_{memory_, trace_, {}};
  TdxHost host_{module_, memory_, trace_, 0, 1};
  TdxVmFactory type_{host_};
  HeldCpus cpus_;
  Kvm kvm_{memory_, &cpus_, trace_};
  object::Ref<object::File> file_, vcpu_;
  VcpuExit exit_;
  hw::CpuRegisters seen_;
};

TEST_F(TdVmcall, MmioIsOfOneToEightBytesOfSharedMemory) {
  expect_refused({.r11 = kMmio, .r12 = 3, .r14 = kShared | 0x1000}, kInvalidOperand);
  expect_refused({.r11 = kMmio, .r12 = 0, .r14 = kShared | 0x1000}, kInvalidOperand);
  expect_refused({.r11 = kMmio, .r12 = 4, .r14 = 0x1000}, kInvalidOperand);
  EXPECT_EQ(call({.r11 = kMmio, .r12 = 4, .r13 = 1, .r14 = kShared | 0x1000, .r15 = 9}),
            Action::kExit);
  EXPECT_EQ(exit_.reason, VcpuExit::Reason::kMmio);
  EXPECT_EQ(exit_.gpa, Gpa{0x1000});
  EXPECT_TRUE(exit_.write);
}

TEST_F(TdVmcall, MapGpaTakesWholePages) {
  expect_refused({.r11 = kMapGpa, .r12 = 0x1001, .r13 = 0x1000}, kInvalidOperand);
  expect_refused({.r11 = kMapGpa, .r12 = 0x1000, .r13 = 0x800}, kInvalidOperand);
  expect_refused({.r11 = kMapGpa, .r12 = 0x1000, .r13 = 0}, kInvalidOperand);
  EXPECT_EQ(call({.r11 = kMapGpa, .r12 = kShared | 0x1000, .r13 = 0x2000}), Action::kExit);
  EXPECT_EQ(exit_.reason, VcpuExit::Reason::kHypercall);
  EXPECT_EQ(exit_.args[0], 0x1000U);
  EXPECT_EQ(exit_.args[1], 2U);
}

TEST_F(TdVmcall, OfWhatNobodyKnowsTheGuestIsTold) {
  expect_refused({.r11 = 1}, kUnsupported);
  expect_refused({.r11 = 31}, kUnsupported);
  EXPECT_EQ(call({.r11 = kQuote}), Action::kExit) << "the VMM's";
  EXPECT_EQ(exit_.reason, VcpuExit::Reason::kVendor);
  EXPECT_EQ(call({.r10 = 1, .r11 = 1}), Action::kExit) << "vendor-specific: the VMM's too";
}

// The module lets the guest show no RAX, RCX and RSP, and comes back to it at once.
TEST_F(TdVmcall, AMaskThatTheModuleRefusesIsNoCall) {
  Vcpu& vcpu = static_cast<VcpuFile&>(*vcpu_).vcpu();
  for (const std::uint64_t mask : {1U, 2U, 16U}) {
    vcpu.cpu()->set_registers({.rcx = mask, .r10 = kUntouched, .r11 = 12});
    VcpuExit exit;
    EXPECT_EQ(vm().ops().guest_call(vcpu, exit), Action::kResume);
    EXPECT_EQ(vcpu.cpu()->registers().rax,
              tdx::Status(tdx::Code::kOperandInvalid, tdx::Operand::kRcx).rax());
    EXPECT_EQ(vcpu.cpu()->registers().r10, kUntouched);
  }
}

}  // namespace
}  // namespace teeio::kvm
