// A vCPU whose engine finds no memory: the call that needs it gives ENOMEM, a later one works.

#include <gtest/gtest.h>

#include <memory>

#include "host/kvm/kvm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"
#include "host/mm/plain_caller.h"
#include "unit/host/kvm/held_cpu.h"

namespace teeio::kvm {
namespace {

class ScarceCpu final : public HeldCpu {
 public:
  explicit ScarceCpu(const bool& memory) : memory_(memory) {}
  Result<void> open() override {
    if (!memory_) return fail(Errno::kNoMem, "no memory for an engine");
    return {};
  }

 private:
  const bool& memory_;
};

class ScarceCpus final : public hw::CpuFactory {
 public:
  explicit ScarceCpus(const bool& memory) : memory_(memory) {}
  Result<std::unique_ptr<hw::Cpu>> make(hw::GuestMemory&) override {
    return std::make_unique<ScarceCpu>(memory_);
  }

 private:
  const bool& memory_;
};

TEST(ScarceEngine, RefusesUntilThereIsMemory) {
  bool memory = false;
  ScarceCpus cpus{memory};
  hw::PhysicalMemory ram{std::uint64_t{1} << 20U};
  object::Trace trace;
  Kvm kvm{ram, &cpus, trace};
  mm::PlainProcess process{1};
  mm::PlainCaller caller{process};
  object::Ref<object::File> file = *kvm.create_vm(0, caller.mm_id());
  object::Ref<object::File> vcpu_file = *static_cast<VmFile&>(*file).vm().create_vcpu(0);
  Vcpu& vcpu = static_cast<VcpuFile&>(*vcpu_file).vcpu();
  {
    const schedule::Lock lock(vcpu.mutex());
    EXPECT_EQ(vcpu.run(caller, {}, {}).error().code, Errno::kNoMem);
    EXPECT_EQ(vcpu.registers().error().code, Errno::kNoMem);
    EXPECT_EQ(vcpu.set_registers({}).error().code, Errno::kNoMem);
    memory = true;
    EXPECT_TRUE(vcpu.set_registers({.rax = 7}).has_value());
    EXPECT_EQ(vcpu.registers()->rax, 7U);
    EXPECT_EQ(vcpu.run(caller, {}, {})->reason, VcpuExit::Reason::kHalt);
  }
  vcpu_file.reset();
  file.reset();
}

}  // namespace
}  // namespace teeio::kvm
