// State of a VM that no lock of Linux's orders here: the explorer must run both orders of two
// who reach it, though they meet nowhere else.

#include "unit/explore/both_orders.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <utility>

#include "base/check.h"
#include "host/kvm/counts.h"
#include "host/kvm/event_fds.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vm_file.h"
#include "host/kvm/x86/vm_state.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "unit/host/kvm/one_eventfd.h"

namespace teeio::kvm::both_orders_test {
namespace {

using explore::test::ends;
using explore::test::together;

constexpr std::uint32_t kLine = test::OneEventFd::kLine;

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

TEST(BothOrders, WhoHasOnlyAVmsMemoryLooksBeforeOrAfterItsLastPut) {
  const auto gone = ends([] {
    hw::PhysicalMemory frames{4U << 20U};
    object::Trace trace;
    Kvm kvm{frames, nullptr, trace};
    auto file = *kvm.create_vm(0, 1);
    const std::shared_ptr<Vm> memory = static_cast<VmFile&>(*file).vm().memory();
    bool is_gone = false;
    together([&] { file.reset(); }, [&] { is_gone = memory->gone(); });
    return is_gone ? 1 : 0;
  });
  EXPECT_EQ(gone, (std::set<int>{0, 1}));
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
