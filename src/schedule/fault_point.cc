#include "schedule/fault_point.h"

#include "schedule/controller.h"

namespace teeio::schedule {
namespace {

constinit FaultPlan* g_plan = nullptr;  // written while no task runs

}  // namespace

void set_fault_plan(FaultPlan* plan) { g_plan = plan; }

bool fault_at(FaultPlace place, std::string_view name, Fault fault) {
  if (g_plan == nullptr || controller() != nullptr) return false;
  return g_plan->happens(place, name, fault);
}

}  // namespace teeio::schedule
