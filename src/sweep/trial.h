#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "machine/machine.h"
#include "rules/selection.h"
#include "run/injector.h"
#include "sweep/outcome.h"

namespace teeio::sweep {

/// What all runs of a sweep have in common.
struct TrialOptions {
  std::vector<std::string> command = {};
  bool host_kvm = false;
  rules::Selection rules = {};
  std::uint64_t time_ms = 0;      ///< when a run is cut off
  unsigned processes = 512;       ///< and threads that the program may have at a time
  std::uint64_t disk_mib = 1024;  ///< that may become less free while a run goes on
  std::string temporary = {};     ///< where runs have their TMPDIRs; an existing directory
  std::string expect = {};        ///< a command of sh(1) that says whether a run will do; "": none
};

/// Runs the program on `machine`, which is as at boot and is used up, with what `injector`
/// has for it. Its input is empty; of its output the first 64 KiB are kept. It gets a
/// TMPDIR of its own, which goes with it, and makes no core dumps.
///
/// Precondition: this process is one of its own, without other threads.
[[nodiscard]] Outcome run_trial(machine::Machine& machine, const TrialOptions& options,
                                run::Injector& injector, const std::string& spec);

}  // namespace teeio::sweep
