#include <fmt/format.h>

#include "rules/rule.h"

namespace teeio::rules {
namespace {

using object::Event;
using object::Fact;

/// R3, R5 and R6: who must be there longer than whom.
class LifetimeRules final : public Rule {
 public:
  void on_fact(const Event& event, Judgement& judge) override {
    if (event.fact == Fact::kVmDestroyed)
      vm_destroyed(event, judge);
    else if (event.fact == Fact::kVmFileReleased)
      vm_file_released(event, judge);
    else if (event.fact == Fact::kIdeviceDestroyed)
      idevice_destroyed(event, judge);
    else if (event.fact == Fact::kViommuDestroyed)
      viommu_destroyed(event, judge);
    else if (event.fact == Fact::kRefLeaked)
      leaked(event, judge);
    else if (event.fact == Fact::kUsedAfterPut)
      judge.broken(RuleId::kR5, event, fmt::format("{}: used after its last put", subject(event)),
                   {});
  }

 private:
  static std::string subject(const Event& event) {
    return event.detail.empty() ? std::string(event.name) : event.detail;
  }

  static void vm_destroyed(const Event& event, Judgement& judge) {
    for (const auto& [bdf, f] : judge.world().functions()) {
      if (f.bound_vm != event.vm && f.metadata_vm != event.vm) continue;
      judge.broken(RuleId::kR3, event,
                   fmt::format("VM {}: destroyed while {} is {}", event.vm, bdf.str(),
                               f.bound_vm == event.vm ? "bound to it" : "known to its firmware"),
                   {f.metadata, f.bound});
    }
    for (const auto& [serial, vdevice] : judge.world().vdevices()) {
      const auto viommu = judge.world().viommus().find(vdevice.viommu);
      if (viommu == judge.world().viommus().end() || viommu->second.vm != event.vm) continue;
      judge.broken(RuleId::kR3, event,
                   fmt::format("VM {}: destroyed while vDEVICE {} exists", event.vm, serial),
                   {viommu->second.created, vdevice.created});
    }
  }

  static void vm_file_released(const Event& event, Judgement& judge) {
    for (const auto& [serial, viommu] : judge.world().viommus())
      if (event.vm != 0 && viommu.vm == event.vm)
        judge.broken(RuleId::kR6, event,
                     fmt::format("vIOMMU {}: VM {}'s file is gone before it", serial, event.vm),
                     {viommu.created});
    for (const auto& [bdf, f] : judge.world().functions())
      if (event.vm != 0 && f.bound_vm == event.vm)
        judge.broken(RuleId::kR6, event,
                     fmt::format("{}: VM {}'s file is gone while it is bound", bdf.str(), event.vm),
                     {f.bound});
  }

  static void idevice_destroyed(const Event& event, Judgement& judge) {
    for (const auto& [serial, vdevice] : judge.world().vdevices())
      if (vdevice.idevice == event.a)
        judge.broken(RuleId::kR6, event,
                     fmt::format("vDEVICE {}: its idevice {} is gone before it", serial, event.a),
                     {vdevice.created});
  }

  static void viommu_destroyed(const Event& event, Judgement& judge) {
    for (const auto& [serial, vdevice] : judge.world().vdevices())
      if (vdevice.viommu == event.a)
        judge.broken(RuleId::kR6, event,
                     fmt::format("vDEVICE {}: its vIOMMU {} is gone before it", serial, event.a),
                     {vdevice.created});
  }

  static void leaked(const Event& event, Judgement& judge) {
    judge.broken(RuleId::kR5, event,
                 fmt::format("{}: {} reference{} left at its end", subject(event), event.a,
                             event.a == 1 ? "" : "s"),
                 {});
  }
};

}  // namespace

std::unique_ptr<Rule> make_lifetime_rules() { return std::make_unique<LifetimeRules>(); }

}  // namespace teeio::rules
