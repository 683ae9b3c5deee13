// Nothing that a scenario makes is left when it is over: objects that nobody deletes are
// no frames, so that the census does not see them. Each scenario is explored three times;
// the third must leave as many allocations as the second did.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"

namespace teeio::explore {
namespace {

std::int64_t g_allocations = 0;  // an exploration has one OS thread

void* counted(std::size_t size, std::size_t alignment) {
  void* const memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  ++g_allocations;
  return memory;
}

void uncounted(void* memory) {
  if (memory != nullptr) --g_allocations;
  std::free(memory);
}

/// Allocations that an exploration of `scenario` leaves.
std::int64_t left_by(const Scenario& scenario) {
  constexpr std::uint64_t kOrders = 2;
  const std::int64_t before = g_allocations;
  {
    const ScenarioResult result =
        run_scenario(scenario, {.max_schedules = kOrders, .shrink = false});
    if (result.failure) return 0;  // its machine is kept
  }
  return g_allocations - before;
}

TEST(Leaks, NoScenarioLeavesAnAllocation) {
  for (const MachineScenario& built_in : catalogue())
    for (const machine::Config& design : default_designs()) {
      if (!applies(built_in, design) || built_in.expectation.breaks()) continue;
      const Scenario scenario = make_scenario(built_in, design);
      (void)left_by(scenario);
      (void)left_by(scenario);  // what is made once and kept
      EXPECT_EQ(left_by(scenario), 0) << scenario.name;
    }
}

}  // namespace
}  // namespace teeio::explore

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) { return teeio::explore::counted(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return teeio::explore::counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { teeio::explore::uncounted(memory); }
void operator delete(void* memory, std::size_t) noexcept { teeio::explore::uncounted(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { teeio::explore::uncounted(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  teeio::explore::uncounted(memory);
}
// NOLINTEND(misc-new-delete-overloads)
