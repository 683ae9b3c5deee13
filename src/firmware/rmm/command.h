#pragma once

#include "firmware/rmm/rmm.h"
#include "schedule/fault_point.h"
#include "schedule/task.h"

namespace teeio::rmm {

/// The name in traces of a host command that may be busy, and what the explorer calls
/// that; both literals.
struct CommandName {
  std::string_view name;
  std::string_view fails;
};
#define RMI_NAME(text) ::teeio::rmm::CommandName{text, text " fails"}

/// Declares a pointer, or returns the refusal of the call `c`.
#define RMM_FIND(name, expr) \
  auto* const name = (expr); \
  if (name == nullptr) return c.result()

/// A host call in progress: its arrow, the monitor's mutex, and the look-up of
/// granules by kind. A failed check gives null or false; result() says which. One that
/// the explorer makes busy fails its first look-up, before anything was done.
class Rmm::Command {
 public:
  Command(Rmm& rmm, std::string_view name, object::EventFields fields = {})
      : rmm_(rmm),
        lock_(rmm.mutex_),
        call_(rmm.trace_.call(object::Lane::kFirmware, name, std::move(fields))) {}
  /// About the function of the PDEV or VDEV at `object`, if there is one.
  Command(Rmm& rmm, std::string_view name, Hpa object)
      : rmm_(rmm),
        lock_(rmm.mutex_),
        call_(rmm.trace_.call(object::Lane::kFirmware, name, rmm.about(object))) {}

  Command(Rmm& rmm, CommandName name, object::EventFields fields = {})
      : Command(rmm, name.name, std::move(fields)) {
    may_fail(name);
  }
  Command(Rmm& rmm, CommandName name, Hpa object) : Command(rmm, name.name, object) {
    may_fail(name);
  }

  RmiResult refuse(Code code, std::string_view why, std::uint64_t x1 = 0) {
    call_.refuse(code_name(code), why);
    return result_ = {.code = code, .x1 = x1};
  }
  /// Success of the call, and why its subject failed all the same.
  void remark(std::string_view why) { call_.outcome(std::string(why)); }
  [[nodiscard]] RmiResult result() const { return result_; }

  [[nodiscard]] bool granule(Hpa address, GranuleState wanted) {
    if (injected_) return static_cast<void>(refuse(injected_->code, injected_->why)), false;
    if (is_page_aligned(raw(address)) && rmm_.state_of(address) == wanted) return true;
    return static_cast<void>(refuse(Code::kInput, "the granule is not of that kind")), false;
  }
  template <class T>
  [[nodiscard]] T* find(std::map<std::uint64_t, T>& objects, Hpa address, GranuleState kind) {
    return granule(address, kind) ? &objects.at(raw(address)) : nullptr;
  }
  Realm* realm(Hpa rd) { return find(rmm_.realms_, rd, GranuleState::kRd); }
  Rec* rec(Hpa rec) { return find(rmm_.recs_, rec, GranuleState::kRec); }
  Pdev* pdev(Hpa pdev) { return find(rmm_.pdevs_, pdev, GranuleState::kPdev); }
  /// A VDEV with its realm and PDEV; another realm's is refused with `foreign`.
  Vdev* vdev(Hpa rd, Hpa pdev_at, Hpa vdev_at, Code foreign) {
    if (realm(rd) == nullptr || pdev(pdev_at) == nullptr) return nullptr;
    Vdev* vdev = find(rmm_.vdevs_, vdev_at, GranuleState::kVdev);
    if (vdev == nullptr) return nullptr;
    if (vdev->rd == rd && vdev->pdev == pdev_at) return vdev;
    (void)refuse(vdev->rd != rd ? foreign : Code::kDevice, "the VDEV is another's");
    return nullptr;
  }

 private:
  struct Injected {
    Code code;
    std::string_view why;
  };
  void may_fail(const CommandName& name) {
    using schedule::Fault;
    using schedule::FaultPlace;
    if (schedule::choose(2, name.fails) != 0)
      injected_ = {Code::kBusy, "the explorer made this command fail"};
    else if (schedule::fault_at(FaultPlace::kFirmware, name.name, Fault::kBusy))
      injected_ = {Code::kBusy, "made busy by --inject"};
    else if (schedule::fault_at(FaultPlace::kFirmware, name.name, Fault::kRefuse))
      injected_ = {Code::kInput, "refused by --inject"};
  }

  Rmm& rmm_;
  const schedule::Lock lock_;
  object::Trace::Call call_;
  RmiResult result_{};
  std::optional<Injected> injected_;
};

}  // namespace teeio::rmm
