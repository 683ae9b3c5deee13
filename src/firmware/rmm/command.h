#pragma once

#include <algorithm>

#include "base/check.h"
#include "firmware/rmm/rmm.h"
#include "schedule/fault_point.h"
#include "schedule/task.h"

namespace teeio::rmm {

/// Declares a pointer, or returns the refusal of the call `c`.
#define RMM_FIND(name, expr) \
  auto* const name = (expr); \
  if (name == nullptr) return c.result()
/// Returns the refusal of the call `c` when `condition` holds.
#define RMM_REFUSE_IF(condition, id) \
  if (condition) return c.refuse(id)

/// A call in progress: its arrow, the monitor's mutex, and the checks of its row. A
/// failed check gives null or false; result() says which. One that the explorer makes
/// busy fails its first check, before anything was done.
class Rmm::Command {
 public:
  Command(Rmm& rmm, const Row& row, object::EventFields fields = {})
      : rmm_(rmm),
        row_(row),
        section_(rmm.mutex_, schedule::Section::kByParts),
        call_(rmm.trace_.call(object::Lane::kFirmware, row.name, std::move(fields))) {
    may_fail();
  }
  /// About the function of the PDEV or VDEV at `object`, if there is one.
  Command(Rmm& rmm, const Row& row, Hpa object)
      : rmm_(rmm),
        row_(row),
        section_(rmm.mutex_, schedule::Section::kByParts),
        call_(rmm.trace_.call(object::Lane::kFirmware, row.name, rmm.about(object))) {
    may_fail();
  }

  /// The check of the row with that id does not hold.
  RmiResult refuse(std::string_view id, std::uint64_t x1 = 0, std::uint8_t level = 0) {
    const auto check = std::ranges::find(row_.checks, id, &Check::id);
    TEEIO_CHECK(check != row_.checks.end(), "a command refuses for a reason that its row has not");
    return refuse(*check, check->code, x1, level);
  }
  /// Success of the call, and why its subject failed all the same.
  void remark(std::string_view why) { call_.outcome(std::string(why)); }
  [[nodiscard]] RmiResult result() const { return result_; }
  [[nodiscard]] const Row& row() const { return row_; }

  /// Nothing stands in the way of looking at the arguments: the monitor runs, and is not
  /// made to fail.
  [[nodiscard]] bool begin() {
    rmm_.touch(kPanicked, How::kRead);
    if (rmm_.panicked_) {
      call_.refuse(code_name(Code::kSmcNotSupported), "the monitor has stopped at an assertion");
      result_ = {.code = Code::kSmcNotSupported};
      return false;
    }
    if (!injected_) return true;
    call_.refuse(code_name(injected_->code), injected_->why);
    result_ = {.code = injected_->code};
    return false;
  }
  /// begin(), and what all commands about PDEVs and VDEVs look at first.
  [[nodiscard]] bool begin(std::initializer_list<Hpa> addresses) {
    if (!begin()) return false;
    if (!rmm_.settings_.device_assignment) return (void)refuse("feature"), false;
    for (const Hpa address : addresses)
      if (!is_page_aligned(raw(address))) return (void)refuse("aligned"), false;
    return true;
  }

  [[nodiscard]] bool granule(Hpa address, GranuleState wanted, std::string_view id) {
    if (is_page_aligned(raw(address)) && rmm_.state_of(address) == wanted) return true;
    return (void)refuse(id), false;
  }
  template <class T>
  [[nodiscard]] T* find(schedule::RecordedMap<std::uint64_t, T>& objects, Hpa address,
                        GranuleState kind, std::string_view id) {
    return granule(address, kind, id) ? &objects.at(raw(address)) : nullptr;
  }
  Realm* realm(Hpa rd, std::string_view id = "rd") {
    return find(rmm_.realms_, rd, GranuleState::kRd, id);
  }
  Rec* rec(Hpa rec, std::string_view id = "rec") {
    return find(rmm_.recs_, rec, GranuleState::kRec, id);
  }
  Pdev* pdev(Hpa pdev, std::string_view id = "pdev") {
    return find(rmm_.pdevs_, pdev, GranuleState::kPdev, id);
  }
  Vdev* vdev(Hpa vdev) { return find(rmm_.vdevs_, vdev, GranuleState::kVdev, "vdev"); }
  /// A VDEV of that realm and PDEV, which are looked for together.
  Vdev* vdev(Hpa rd, Hpa pdev_at, Hpa vdev_at) {
    if (realm(rd, "rd_pdev") == nullptr || pdev(pdev_at, "rd_pdev") == nullptr) return nullptr;
    Vdev* found = vdev(vdev_at);
    if (found == nullptr) return nullptr;
    if (found->rd != rd) return (void)refuse("realm"), nullptr;
    if (found->pdev != pdev_at) return (void)refuse("pdev"), nullptr;
    return found;
  }
  /// A page of the host's; empty: it is none.
  [[nodiscard]] Bytes page(Hpa address, std::string_view id) {
    Bytes bytes(kPageSize);
    if (is_page_aligned(raw(address)) && rmm_.is_hosts(address) &&
        rmm_.memory_.read(address, bytes))
      return bytes;
    (void)refuse(id);
    return {};
  }

 private:
  struct Injected {
    Code code;
    std::string_view why;
  };
  void may_fail() {
    using schedule::Fault;
    using schedule::FaultPlace;
    if (!row_.fails.empty() && schedule::choose(2, row_.fails) != 0)
      injected_ = {Code::kBusy, "the explorer made this command fail"};
    else if (schedule::fault_at(FaultPlace::kFirmware, row_.name, Fault::kBusy))
      injected_ = {Code::kBusy, "made busy by --inject"};
    else if (schedule::fault_at(FaultPlace::kFirmware, row_.name, Fault::kRefuse))
      injected_ = {Code::kInput, "refused by --inject"};
  }
  RmiResult refuse(const Check& check, Code code, std::uint64_t x1, std::uint8_t level) {
    call_.refuse(row_.status_name(code), check.refused_when);
    result_ = {.code = code, .level = level, .x1 = x1};
    result_.refused_by = &check;
    return result_;
  }

  Rmm& rmm_;
  const Row& row_;
  const schedule::Section section_;
  object::Trace::Call call_;
  RmiResult result_{};
  std::optional<Injected> injected_;
};

}  // namespace teeio::rmm
