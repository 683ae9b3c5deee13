#include "schedule/fault_point.h"

#include "schedule/controller.h"

namespace teeio::schedule {
namespace {

// Written while no task runs.
constinit FaultPlan* g_plan = nullptr;
constinit FaultPlan* g_host_plan = nullptr;

Result<void> allocate_as(std::string_view what, Fault fault) {
  if (!fault_at(FaultPlace::kHost, what, fault)) return {};
  return fail(Errno::kNoMem, "a fault was injected: no memory");
}

}  // namespace

void set_fault_plan(FaultPlan* plan) { g_plan = plan; }
void set_host_fault_plan(FaultPlan* plan) { g_host_plan = plan; }

bool fault_at(FaultPlace place, std::string_view name, Fault fault) {
  FaultPlan* const plan = place == FaultPlace::kHost ? g_host_plan : g_plan;
  if (plan == nullptr || controller() != nullptr) return false;
  return plan->happens(place, name, fault);
}

Result<void> allocate(std::string_view what) { return allocate_as(what, Fault::kNoMemory); }
Result<void> allocate_page(std::string_view what) { return allocate_as(what, Fault::kNoPage); }

}  // namespace teeio::schedule
