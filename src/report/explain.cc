#include "report/explain.h"

#include <fmt/format.h>

#include "report/select.h"

namespace teeio::report {
namespace {

using object::Event;
using object::Fact;
using object::Lane;

/// A call of the program's own, not one that it led to.
bool is_entry(const Event& event) { return event.parent == 0 && event.from == Lane::kVmm; }

bool is_one_of(std::string_view why, std::initializer_list<std::string_view> sentences) {
  for (const std::string_view sentence : sentences)
    if (why == sentence) return true;
  return false;
}

}  // namespace

void Explainer::on_event(const Event& event) {
  const schedule::RawLockGuard guard(lock_);
  if (event.fact != Fact::kNone) return on_state(event);
  calls_[event.seq] = {.parent = event.parent,
                       .name = event.name,
                       .function = event.function,
                       .refused_inside = {},
                       .refused_name = {}};
  // What an outer call is about, an inner one often says first.
  if (const auto outer = calls_.find(event.parent);
      outer != calls_.end() && event.function && !outer->second.function)
    outer->second.function = event.function;
}

void Explainer::on_state(const Event& event) {
  if (event.fact == Fact::kVmDead) dead_vms_[event.vm] = {event.seq, event.name};
  if (!event.function) return;
  Function& f = functions_[*event.function];
  if (event.fact == Fact::kIdeviceCreated) {
    f.opened = event.seq;
    f.opened_vm = event.vm;
    f.revoked.clear();  // those of the file before
    last_opened_ = event.function;
  } else if (event.fact == Fact::kIdeviceDestroyed) {
    f.opened = 0;
  } else if (event.fact == Fact::kVdeviceCreated) {
    f.vdevice = event.seq;
  } else if (event.fact == Fact::kVdeviceDestroyed) {
    f.vdevice = 0;
  } else if (event.fact == Fact::kBound) {
    f.bound = event.seq;
    f.bound_vm = event.vm;
  } else if (event.fact == Fact::kUnbound) {
    f.bound = 0;
    f.unbound = event.seq;
  } else if (event.fact == Fact::kHostMapped && !is_in_release(event)) {
    f.revoked.erase(event.a);
  } else if (event.fact == Fact::kHostMapRevoked && !is_in_release(event)) {
    const auto call = calls_.find(event.parent);
    f.revoked[event.a] = {*event.function, event.a, event.seq,
                          std::string(call == calls_.end() ? "nobody" : call->second.name)};
  }
}

void Explainer::on_outcome(const Event& event) {
  const schedule::RawLockGuard guard(lock_);
  const auto at = calls_.find(event.seq);
  if (at == calls_.end()) return;
  const OpenCall call = std::move(at->second);
  calls_.erase(at);
  const auto outer = calls_.find(event.parent);
  if (!event.refused) {
    if (outer != calls_.end() && outer->second.refused_name == event.name) {  // it was tried again
      outer->second.refused_inside.clear();
      outer->second.refused_name = {};
    }
    if (!event.function || event.to != Lane::kHostTsm) return;
    Function& f = functions_[*event.function];
    if (event.name == "connect") f.connected = event.seq;
    if (event.name == "disconnect") f.disconnected = event.seq;
    return;
  }
  const bool has_firmware_reason =
      (event.to == Lane::kFirmware || event.to == Lane::kDevice) && !event.why.empty();
  std::string why = has_firmware_reason ? fmt::format("event {}: {} = {}: {}", event.seq,
                                                      event.name, event.outcome, event.why)
                                        : call.refused_inside;
  if (outer != calls_.end() && !is_expected(event) && !why.empty() &&
      (outer->second.refused_inside.empty() || outer->second.refused_name == event.name)) {
    outer->second.refused_inside = std::move(why);
    outer->second.refused_name = event.name;
  }
  if (is_entry(event)) refusals_[event.origin.tid] = {event.seq, event.why, cause_of(event, call)};
}

/// A file whose last mapping is gone takes nothing from anybody, and an unbind by
/// the closing of a dead process's files brings nothing back to it.
bool Explainer::is_in_release(const Event& event) const {
  for (auto call = calls_.find(event.parent); call != calls_.end();
       call = calls_.find(call->second.parent))
    if (call->second.name.ends_with("release")) return true;
  return false;
}

std::optional<Bdf> Explainer::subject_of(const Event& event, const OpenCall& call) const {
  if (event.function) return event.function;
  if (call.function) return call.function;
  return last_opened_;
}

std::string Explainer::cause_of(const Event& event, const OpenCall& call) const {
  if (!call.refused_inside.empty()) return call.refused_inside;
  if (event.why.starts_with("the VM is dead") && !dead_vms_.empty()) {
    const auto& [vm, dead] = *dead_vms_.rbegin();
    return fmt::format("VM {} died at event {}: {}", vm, dead.seq, dead.why);
  }
  const auto bdf = subject_of(event, call);
  if (!bdf) return {};
  const auto f = functions_.find(*bdf);
  return f == functions_.end() ? std::string{} : cause_in(*bdf, f->second, event.why);
}

std::string Explainer::cause_in(Bdf bdf, const Function& f, std::string_view why) const {
  const std::string name = bdf.str();
  if (is_one_of(why, {"the vIOMMU has no VM", "the vDEVICE has no VM"}) && f.opened != 0 &&
      f.opened_vm == 0)
    return fmt::format(
        "{} was bound to its iommufd at event {}, before the VM's file was added: "
        "KVM_DEV_VFIO_FILE_ADD comes first",
        name, f.opened);
  if (is_one_of(why, {"the device is bound to a VM: unbind it first",
                      "the device is bound: its registers are the guest's",
                      "the device is bound: its memory is the guest's",
                      "the TDI is bound to another VM", "the device is bound already"}) &&
      f.bound != 0)
    return fmt::format("{} was bound to VM {} at event {}", name, f.bound_vm, f.bound);
  if (why == "the TDI is not bound" && f.bound == 0)
    return f.unbound == 0 ? fmt::format("{} was never bound to a VM", name)
                          : fmt::format("{} was unbound at event {}", name, f.unbound);
  if (is_one_of(why, {"the device is not connected to a TSM", "the device is not connected"}))
    return f.disconnected == 0
               ? fmt::format("{} was never connected: write tsm0 to its tsm/connect", name)
               : fmt::format("{} was disconnected at event {}", name, f.disconnected);
  if (why == "the device is connected already" && f.connected != 0)
    return fmt::format("{} was connected at event {}", name, f.connected);
  if (is_one_of(why, {"another file has the device", "the device file is bound already"}) &&
      f.opened != 0)
    return fmt::format("{} was bound to an iommufd at event {}", name, f.opened);
  if (why == "the device has a vDEVICE already" && f.vdevice != 0)
    return fmt::format("{} has had its vDEVICE since event {}", name, f.vdevice);
  return {};
}

std::optional<Explainer::Refusal> Explainer::take(std::int32_t tid, std::string_view why) {
  const schedule::RawLockGuard guard(lock_);
  const auto at = refusals_.find(tid);
  if (at == refusals_.end()) return std::nullopt;
  Refusal refusal = std::move(at->second);
  refusals_.erase(at);
  if (refusal.why != why) return std::nullopt;
  return refusal;
}

std::vector<Explainer::Revoked> Explainer::revoked() {
  const schedule::RawLockGuard guard(lock_);
  std::vector<Revoked> out;
  for (const auto& [bdf, f] : functions_)
    for (const auto& [bar, revoked] : f.revoked) out.push_back(revoked);
  return out;
}

}  // namespace teeio::report
