#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "entry/system_calls.h"
#include "run/log.h"
#include "run/witness.h"

namespace teeio::run {

struct Options {
  std::vector<std::string> command;  ///< program and arguments; not empty
  CallLog calls = {};                ///< `-v`
  bool host_kvm = false;             ///< leave the real /dev/kvm alone
  int log_fd = 2;                    ///< where our words go
  Witness* witness = nullptr;        ///< may be null
};

/// Runs a program on a machine: `teeio run`.
///
/// Lifetime: the machine outlives it. When run() returns, every descendant of
/// the program has ended and every file it had open has been released.
class Supervisor {
 public:
  // Exit statuses of our own, as env(1) has them.
  static constexpr int kCannotRun = 125;  ///< teeio failed before the program began

  Supervisor(Options options, entry::SystemCalls& machine)
      : options_(std::move(options)), machine_(machine) {}

  /// Gives the program's exit status, 128 + n after signal n, 126 or 127 when
  /// it could not be executed. Call once, while no other thread of this process
  /// holds a lock (it forks). Blocks and unblocks signals of the whole process.
  [[nodiscard]] int run();

 private:
  const Options options_;
  entry::SystemCalls& machine_;
};

}  // namespace teeio::run
