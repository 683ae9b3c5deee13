#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "entry/system_calls.h"
#include "host/sysfs/host.h"
#include "machine/config.h"
#include "object/trace.h"
#include "schedule/fault_point.h"

namespace teeio::machine {

/// One host with everything in it, made from a Config: hardware, devices,
/// firmware, the kernel side, and the system calls on top.
///
/// Lifetime: outlives every open file. Files must be closed before it goes.
class Machine {
 public:
  /// Errors: ENOMEM, or what boot steps of the firmware refuse; `why` says which.
  static Result<std::unique_ptr<Machine>> create(const Config& config);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] entry::SystemCalls& system_calls();
  [[nodiscard]] object::Trace& trace();
  [[nodiscard]] const Config& config() const;
  /// Leaves /dev/kvm to the real host. Before the first call.
  void leave_kvm_to_host();

  /// Connects every card that has a DSM to the machine's TSM, as an administrator's
  /// start-up script does. Errors: as a write to tsm/connect.
  Result<void> connect_cards();
  /// The opposite, card by card. Errors: as a write to tsm/disconnect.
  Result<void> disconnect_cards();
  /// New IDE keys for every connected card: PciTsm::refresh_keys().
  Result<void> refresh_keys();
  /// A write to the function's `remove`.
  void remove_function(Bdf bdf);
  /// The TSM's driver is unloaded (tsm_unregister()): what it had bound is unbound,
  /// what it had connected is disconnected; and loaded again.
  void remove_tsm();
  void restore_tsm();
  [[nodiscard]] bool has_tsm();
  /// Disconnects every card from its TSM, as the host's own shutdown does: what a
  /// program has connected stays connected after it, and is no leak.
  void shut_down();

  /// What a run may not change for good, as "name" → "value": frames in use,
  /// objects, streams, TDI states … Two of them are compared at the end of a run.
  [[nodiscard]] std::map<std::string, std::string> census();
  /// Names where something can be made to go wrong there: of firmware commands, or of
  /// messages to devices.
  [[nodiscard]] std::vector<std::string_view> fault_names(schedule::FaultPlace place) const;
  /// The PCI tree, a line a function, for `teeio machine show`.
  [[nodiscard]] std::string show();

 private:
  struct Impl;
  explicit Machine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace teeio::machine
