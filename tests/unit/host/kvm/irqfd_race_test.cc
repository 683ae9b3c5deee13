// An eventfd that goes from one VM to another while the first looks at its own. Source: Linux
// virt/kvm/eventfd.c, irqfd_shutdown(): when it is over nothing more is taken.

#include <gtest/gtest.h>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/exploration.h"
#include "host/kvm/event_fds.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "schedule/task.h"
#include "unit/host/kvm/one_eventfd.h"

namespace teeio::kvm::irqfd_race_test {
namespace {

bool requested(x86::Interrupts& interrupts) {
  return (interrupts.pic(0)->irr >> test::OneEventFd::kLine & 1U) != 0;
}

/// `end` takes the eventfd from the first VM.
void explore_end(void (*end)(IrqFds& first, mm::Caller& caller, const IrqFdRequest& request)) {
  explore::DepthFirst strategy(explore::DepthFirst::Reduction::kSleepSets);
  const auto result = explore::run_schedules(
      strategy,
      [end] {
        test::OneEventFd vms;
        auto& [process, caller, before, after, taken, first, second, event, request] = vms;
        TEEIO_CHECK(first.assign(caller, request).has_value(), "the first VM has the eventfd");
        schedule::Task vcpu = schedule::Task::spawn("vcpu", [&] { first.poll(); });
        schedule::Task vmm = schedule::Task::spawn("vmm", [&] {
          const object::DelayedPuts puts;
          end(first, caller, request);
          TEEIO_CHECK(second.assign(caller, request).has_value(), "the second VM has it");
          (*event->eventfd())->signal();
          second.poll();
          TEEIO_CHECK(requested(after), "an interrupt of the second VM was taken by the first");
        });
        vcpu.join();
        vmm.join();
        TEEIO_CHECK(!requested(before), "the first VM has the interrupt");
        process.files().close_all();
      },
      100'000);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted) << result.schedules;
  EXPECT_GT(result.schedules, 2U);
}

TEST(IrqFdRace, WhatIsSignalledForItsNextVmIsNotTakenByTheOneThatWasClosed) {
  explore_end([](IrqFds& first, mm::Caller&, const IrqFdRequest&) { first.release(); });
}

TEST(IrqFdRace, NorByTheOneThatHasDeassignedIt) {
  explore_end([](IrqFds& first, mm::Caller& caller, const IrqFdRequest& request) {
    TEEIO_CHECK(first.deassign(caller, request).has_value(), "it is deassigned");
  });
}

}  // namespace
}  // namespace teeio::kvm::irqfd_race_test
