// State of a VM that no lock of Linux's orders here: the explorer must run both orders of two
// who reach it, though they meet nowhere else.

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/check.h"
#include "explore/dpor.h"
#include "explore/exploration.h"
#include "host/kvm/counts.h"
#include "host/kvm/event_fds.h"
#include "host/kvm/x86/vm_state.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "schedule/atomic.h"
#include "schedule/task.h"
#include "unit/host/kvm/one_eventfd.h"

namespace teeio::kvm::both_orders_test {
namespace {

constexpr std::uint32_t kLine = test::OneEventFd::kLine;

/// What comes of it, over all orders.
std::set<int> ends(const std::function<int()>& body) {
  std::set<int> seen;
  explore::Dpor strategy;
  const auto result = explore::run_schedules(strategy, [&] { seen.insert(body()); }, 10'000);
  EXPECT_TRUE(result.exhausted && !result.bad);
  return seen;
}

/// Each in a move that begins at a primitive of its own, as every call does.
void together(const std::function<void()>& first, const std::function<void()>& second) {
  schedule::Atomic<bool> of_first{false}, of_second{false};
  schedule::Task a = schedule::Task::spawn("first", [&] {
    of_first.store(true);
    first();
  });
  schedule::Task b = schedule::Task::spawn("second", [&] {
    of_second.store(true);
    second();
  });
  a.join();
  b.join();
}

TEST(BothOrders, OfTwoVmsEitherMayTakeAnEventfd) {
  const auto winners = ends([] {
    test::OneEventFd vms;
    // Held so often that no put comes near the last one, which alone would order them.
    const auto a = object::Ref<object::File>(vms.event), b = a, c = a, d = a;
    bool first_has = false, second_has = false;
    together([&] { first_has = vms.first.assign(vms.caller, vms.request).has_value(); },
             [&] { second_has = vms.second.assign(vms.caller, vms.request).has_value(); });
    TEEIO_CHECK(first_has != second_has, "an eventfd has two lines, or none");
    vms.process.files().close_all();
    return first_has ? 1 : 2;
  });
  EXPECT_EQ(winners, (std::set<int>{1, 2}));
}

TEST(BothOrders, AStoreComesBeforeOrAfterItsIoeventfd) {
  const auto taken = ends([] {
    mm::PlainProcess process(1);
    mm::PlainCaller caller(process);
    IoEventFds doorbells;
    const auto event = object::make_ref<mm::PlainEventFd>();
    const IoEventFdRequest request{
        .address = 0x1000, .length = 4, .fd = *caller.install(object::Ref<object::File>(event), 0)};
    bool took = false;
    together([&] { TEEIO_CHECK(doorbells.assign(caller, request).has_value(), "it is taken"); },
             [&] { took = doorbells.written(request.bus, request.address, 4, 1); });
    process.files().close_all();
    return took ? 1 : 0;
  });
  EXPECT_EQ(taken, (std::set<int>{0, 1}));
}

TEST(BothOrders, AnInterruptComesBeforeOrAfterTheChipIsSaved) {
  const auto saved = ends([] {
    x86::Interrupts interrupts;
    TEEIO_CHECK(interrupts.create_kernel().has_value(), "an irqchip is made");
    int requested = 0;
    together([&] { (void)interrupts.set_line(kLine, true, x86::IrqSource::kUser); },
             [&] { requested = interrupts.pic(0)->irr >> kLine & 1; });
    return requested;
  });
  EXPECT_EQ(saved, (std::set<int>{0, 1}));
}

TEST(BothOrders, TheClockIsReadBeforeOrAfterItIsSet) {
  const auto read = ends([] {
    x86::VmState state;
    std::uint64_t clock = 0;
    together([&] { state.set_clock(1); }, [&] { clock = state.clock(); });
    return static_cast<int>(clock);
  });
  EXPECT_EQ(read, (std::set<int>{0, 1}));
}

TEST(BothOrders, AnExitIsCountedBeforeOrAfterTheCountsAreRead) {
  const auto counted = ends([] {
    VcpuCounts counts;
    VcpuCounts::Values values{};
    together([&] { counts.add(VcpuCount::kExits); }, [&] { values = counts.values(); });
    return static_cast<int>(values[0]);
  });
  EXPECT_EQ(counted, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace teeio::kvm::both_orders_test
