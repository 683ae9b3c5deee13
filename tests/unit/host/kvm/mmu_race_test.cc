// A revoke of the memory behind a memslot against guest faults and the slot's
// deletion. Every interleaving of a small world.

#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/exploration.h"
#include "host/dmabuf/dmabuf.h"
#include "host/kvm/kvm.h"
#include "host/kvm/sw_protected.h"
#include "host/kvm/vm_file.h"
#include "host/mm/plain_caller.h"
#include "schedule/task.h"

namespace teeio::kvm {
namespace {

using object::Ref;
using schedule::Task;

constexpr Gpa kGpa{0x10'0000};
constexpr Gpa kMemoryGpa{0x20'0000};
constexpr Hpa kBar{0x3800'0000'0000};

/// A VM with one page of MMIO behind a dma-buf, and a program that owns both.
class World final : public dmabuf::Exporter {
 public:
  enum class Side : std::uint8_t { kShared, kPrivate };
  explicit World(Side side) {
    kvm_.add_type(type_);
    buffer_ = dmabuf::DmaBuf::create(*this, {{kBar, kPageSize}}, dmabuf::DmaBuf::State::kAvailable);
    fd_ = *process_.files().install(Ref<object::File>(buffer_));
    file_ = *kvm_.create_vm(kVmTypeSwProtected, caller_.mm_id());
    TEEIO_CHECK(set_slot(kPageSize).has_value(), "the memslot is made");
    if (side == Side::kPrivate)
      TEEIO_CHECK(vm().set_memory_attributes(kGpa, kPageSize, 8).has_value(), "it is private");
  }
  ~World() override {
    file_.reset();
    process_.files().close_all();
  }

  [[nodiscard]] Vm& vm() { return static_cast<VmFile&>(*file_).vm(); }
  Result<void> set_slot(std::uint64_t size) {
    return vm().set_memory_region(caller_, {.slot = 0,
                                            .flags = size == 0 ? 0 : kMemVfioDmabuf,
                                            .guest_phys_addr = raw(kGpa),
                                            .memory_size = size,
                                            .guest_memfd = fd_});
  }
  /// A page of the program's memory in slot 1, or moves the slot there.
  void add_memory(Gpa start) {
    if (address_ == 0) address_ = process_.memory().map(kPageSize);
    const MemoryRegion region{.slot = 1,
                              .guest_phys_addr = raw(start),
                              .memory_size = kPageSize,
                              .userspace_addr = address_};
    TEEIO_CHECK(vm().set_memory_region(caller_, region).has_value(), "the memslot is set");
  }
  FaultOutcome fault(Gpa page = kGpa) {
    return vm().mmu().fault(caller_, page, hw::GuestAccess::kRead);
  }
  [[nodiscard]] bool mapped(Gpa page = kGpa) {
    return vm().mmu().lookup(page, hw::GuestAccess::kRead).has_value();
  }
  dmabuf::DmaBuf& buffer() { return *buffer_; }

  Bdf function() const override { return {.bus = 1}; }
  object::File* vm_file() override { return file_.get(); }
  void released(dmabuf::DmaBuf&) override {}

 private:
  hw::PhysicalMemory memory_{std::uint64_t{1} << 20U};
  object::Trace trace_;
  Kvm kvm_{memory_, nullptr, trace_};
  SwProtectedFactory type_;
  mm::PlainProcess process_{1};
  mm::PlainCaller caller_{process_};
  Ref<dmabuf::DmaBuf> buffer_;
  Ref<object::File> file_;
  int fd_ = -1;
  std::uint64_t address_ = 0;
};

void explore(const std::function<void()>& scenario) {
  constexpr std::uint64_t kEnough = 100'000;
  explore::DepthFirst strategy(explore::DepthFirst::Reduction::kSleepSets);
  const explore::Exploration result = explore::run_schedules(strategy, scenario, kEnough);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted) << result.schedules;
  testing::Test::RecordProperty("schedules", static_cast<int>(result.schedules));
}

class MmuRace : public testing::TestWithParam<World::Side> {};

TEST_P(MmuRace, NoStaleMappingAfterARevokeReturned) {
  explore([] {
    World w(GetParam());
    Task guest = Task::spawn("guest", [&] {
      (void)w.fault();
      (void)w.fault();
    });
    Task exporter = Task::spawn("exporter", [&] {
      w.buffer().revoke();
      TEEIO_CHECK(!w.mapped(), "the guest reaches revoked memory");
    });
    guest.join();
    exporter.join();
    TEEIO_CHECK(!w.mapped(), "the guest reaches revoked memory");
    TEEIO_CHECK(w.fault().kind == FaultOutcome::Kind::kError, "revoked memory faults");
  });
}

TEST_P(MmuRace, NoMappingIsLeftAfterASlotsDeletion) {
  explore([] {
    World w(GetParam());
    Task guest = Task::spawn("guest", [&] { (void)w.fault(); });
    Task vmm = Task::spawn("vmm", [&] {
      const object::DelayedPuts puts;
      TEEIO_CHECK(w.set_slot(0).has_value(), "the slot is deleted");
    });
    guest.join();
    vmm.join();
    TEEIO_CHECK(!w.mapped(), "a page of a deleted slot is mapped");
  });
}

TEST_P(MmuRace, RevokeAgainstASlotsDeletionAgainstAFault) {
  explore([] {
    World w(GetParam());
    Task guest = Task::spawn("guest", [&] { (void)w.fault(); });
    Task vmm = Task::spawn("vmm", [&] {
      const object::DelayedPuts puts;
      (void)w.set_slot(0);
    });
    Task exporter = Task::spawn("exporter", [&] {
      w.buffer().revoke();
      TEEIO_CHECK(!w.mapped(), "the guest reaches revoked memory");
    });
    guest.join();
    vmm.join();
    exporter.join();
    TEEIO_CHECK(!w.mapped(), "a page of a deleted slot is mapped");
  });
}

TEST_P(MmuRace, FlipOfTheAttributeAgainstAFaultLeavesNoMappingOfTheOtherSide) {
  explore([] {
    World w(GetParam());
    const std::uint64_t other = GetParam() == World::Side::kPrivate ? 0 : 8;
    Task guest = Task::spawn("guest", [&] { (void)w.fault(); });
    Task vmm = Task::spawn("vmm", [&] {
      TEEIO_CHECK(w.vm().set_memory_attributes(kGpa, kPageSize, other).has_value(), "flipped");
    });
    guest.join();
    vmm.join();
    // Back to the first side, which takes only the other side's mappings away:
    // one that the fault left behind would be there again.
    TEEIO_CHECK(w.vm().set_memory_attributes(kGpa, kPageSize, 8 - other).has_value(), "back");
    TEEIO_CHECK(!w.mapped(), "a mapping outlived the flip of its page's attribute");
  });
}

TEST_P(MmuRace, FaultWithoutARaceMapsThePage) {
  World w(GetParam());
  EXPECT_EQ(w.fault().kind, FaultOutcome::Kind::kRetry);
  EXPECT_TRUE(w.mapped());
}

TEST(MmuMove, LeavesNoMappingAtTheSlotsOldPlace) {
  explore([] {
    World w(World::Side::kShared);
    w.add_memory(kMemoryGpa);
    Task guest = Task::spawn("guest", [&] { (void)w.fault(kMemoryGpa); });
    Task vmm = Task::spawn("vmm", [&] { w.add_memory(kMemoryGpa + kPageSize); });
    guest.join();
    vmm.join();
    TEEIO_CHECK(!w.mapped(kMemoryGpa), "a page is mapped where its slot was");
    TEEIO_CHECK(w.fault(kMemoryGpa + kPageSize).kind == FaultOutcome::Kind::kRetry, "it faults");
    TEEIO_CHECK(w.mapped(kMemoryGpa + kPageSize), "the page is at the slot's new place");
  });
}

INSTANTIATE_TEST_SUITE_P(Sides, MmuRace,
                         testing::Values(World::Side::kShared, World::Side::kPrivate),
                         [](const auto& side) {
                           return side.param == World::Side::kShared ? "Shared" : "Private";
                         });

}  // namespace
}  // namespace teeio::kvm
