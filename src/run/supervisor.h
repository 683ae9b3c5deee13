#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "entry/system_calls.h"
#include "run/injector.h"
#include "run/log.h"
#include "run/witness.h"

namespace teeio::run {

/// What a program may use before its run is cut off.
struct Limits {
  std::uint64_t time_ms = 0;  ///< 0: no limit
  unsigned processes = 0;     ///< and threads, at a time; then EAGAIN. 0: no limit
  /// Asked some ten times a second for a reason to cut it off, "" as long as there is none.
  std::function<std::string()> look = {};
  [[nodiscard]] bool any() const { return time_ms != 0 || look; }
};

struct Options {
  std::vector<std::string> command;  ///< program and arguments; not empty
  CallLog calls = {};                ///< `-v`
  bool host_kvm = false;             ///< /dev/kvm is the host's own
  int log_fd = 2;                    ///< where our words go
  Witness* witness = nullptr;        ///< may be null
  Injector* injector = nullptr;      ///< may be null
  Limits limits = {};
  bool dies_with_us = false;  ///< the program, when the thread that calls run() ends
  bool own_session = false;   ///< of the program: its group is not ours, and it has no terminal
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

  /// After run(): why it was cut off, and all processes killed; "" if it was not.
  [[nodiscard]] const std::string& cut_off() const { return cut_off_; }
  /// After run(): whether the program wanted more processes than it may have.
  [[nodiscard]] bool ran_out_of_processes() const { return ran_out_of_processes_; }
  /// After run(): the errno with which our words, or lines of `-v`, were lost; 0: none were.
  [[nodiscard]] int lost_words() const { return lost_words_; }
  [[nodiscard]] int lost_calls() const { return lost_calls_; }

 private:
  const Options options_;
  entry::SystemCalls& machine_;
  std::string cut_off_;
  bool ran_out_of_processes_ = false;
  int lost_words_ = 0;
  int lost_calls_ = 0;
};

}  // namespace teeio::run
