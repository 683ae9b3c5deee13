// A flush of a vCPU's translations against the guest that uses them: who takes a page away may
// give it to somebody else when the flush is over. Source: Linux virt/kvm/kvm_main.c,
// kvm_make_all_cpus_request() with KVM_REQUEST_WAIT, which waits for each vCPU that is in the
// guest.

#include <gtest/gtest.h>

#include <memory>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/exploration.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"
#include "host/mm/plain_caller.h"
#include "schedule/atomic.h"
#include "schedule/task.h"
#include "unit/host/kvm/held_cpu.h"

namespace teeio::kvm {
namespace {

constexpr Gpa kUsedGpa{0x10'0000};

/// A guest that touches one page again and again, by a translation that it looked up once, until
/// it is kicked; without the page it halts.
class StubbornCpu final : public HeldCpu {
 public:
  StubbornCpu(hw::GuestMemory& memory, schedule::Atomic<int>& uses)
      : memory_(memory), uses_(uses) {}
  hw::CpuExit run() override {
    if (!memory_.lookup(kUsedGpa, hw::GuestAccess::kRead)) return {};
    uses_.store(1);
    {
      const schedule::Lock lock(lock_);
      while (!kicked_) changed_.wait(lock_);
      kicked_ = false;
    }
    uses_.store(0);
    return {.reason = hw::CpuExit::Reason::kKicked};
  }
  void kick() override {
    const schedule::Lock lock(lock_);
    kicked_ = true;
    changed_.notify_all();
  }
  hw::CpuExit finish_instruction() override { return run(); }

 private:
  hw::GuestMemory& memory_;
  schedule::Atomic<int>& uses_;
  schedule::Mutex lock_{schedule::Rank::kUnranked};
  schedule::Condition changed_;
  bool kicked_ TEEIO_GUARDED_BY(lock_) = false;
};

class StubbornCpus final : public hw::CpuFactory {
 public:
  explicit StubbornCpus(schedule::Atomic<int>& uses) : uses_(uses) {}
  Result<std::unique_ptr<hw::Cpu>> make(hw::GuestMemory& memory) override {
    return std::make_unique<StubbornCpu>(memory, uses_);
  }

 private:
  schedule::Atomic<int>& uses_;
};

/// A VM with one vCPU and one page, which is mapped.
class FlushWorld {
 public:
  FlushWorld() {
    file_ = *kvm_.create_vm(0, caller_.mm_id());
    TEEIO_CHECK(set_slot(kPageSize).has_value(), "the memslot is made");
    vcpu_ = *vm().create_vcpu(0);
    TEEIO_CHECK(vm().mmu().fault(caller_, kUsedGpa, hw::GuestAccess::kRead).kind ==
                    FaultOutcome::Kind::kRetry,
                "the page is mapped");
  }
  ~FlushWorld() {
    vcpu_.reset();
    file_.reset();
  }
  FlushWorld(const FlushWorld&) = delete;
  FlushWorld& operator=(const FlushWorld&) = delete;

  [[nodiscard]] Vm& vm() { return static_cast<VmFile&>(*file_).vm(); }
  Result<void> set_slot(std::uint64_t size) {
    if (address_ == 0) address_ = process_.memory().map(kPageSize);
    return vm().set_memory_region(caller_, {.slot = 0,
                                            .guest_phys_addr = raw(kUsedGpa),
                                            .memory_size = size,
                                            .userspace_addr = address_});
  }
  void run() {
    Vcpu& vcpu = static_cast<VcpuFile&>(*vcpu_).vcpu();
    const schedule::Lock lock(vcpu.mutex());
    const auto exit = vcpu.run(caller_, {}, {});
    TEEIO_CHECK(exit && exit->reason == VcpuExit::Reason::kHalt,
                "the page is gone: the guest halts");
  }
  [[nodiscard]] bool in_use() const { return uses_.load() != 0; }

 private:
  schedule::Atomic<int> uses_{0};
  StubbornCpus cpus_{uses_};
  hw::PhysicalMemory memory_{std::uint64_t{1} << 20U};
  object::Trace trace_;
  Kvm kvm_{memory_, &cpus_, trace_};
  mm::PlainProcess process_{1};
  mm::PlainCaller caller_{process_};
  object::Ref<object::File> file_;
  object::Ref<object::File> vcpu_;
  std::uint64_t address_ = 0;
};

TEST(FlushRace, NoGuestUsesAPageWhenItsSlotIsGone) {
  explore::DepthFirst strategy(explore::DepthFirst::Reduction::kSleepSets);
  const auto result = explore::run_schedules(
      strategy,
      [] {
        FlushWorld w;
        schedule::Task guest = schedule::Task::spawn("guest", [&] { w.run(); });
        schedule::Task vmm = schedule::Task::spawn("vmm", [&] {
          const object::DelayedPuts puts;
          TEEIO_CHECK(w.set_slot(0).has_value(), "the slot is deleted");
          TEEIO_CHECK(!w.in_use(), "the guest reaches a page whose slot is gone");
        });
        guest.join();
        vmm.join();
      },
      100'000);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted) << result.schedules;
  EXPECT_GT(result.schedules, 2U);
}

}  // namespace
}  // namespace teeio::kvm
