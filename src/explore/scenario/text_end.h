#pragma once

#include "machine/program.h"
#include "schedule/mutex.h"

namespace teeio::explore {

/// The end of a process: exit_group(2) or a SIGKILL, what comes first. A call that is under
/// way comes to its end, as in Linux where its waits are not killable; the descriptors are
/// closed after the last of them (do_exit() of the last thread drops files_struct's last
/// reference: kernel/exit.c, fs/file.c put_files_struct()), so that no call finds its own closed.
///
/// Locking: for all threads. Only ends that others can come upon are points of the explorer.
class ProcessEnd {
 public:
  /// `others_see_it`: a thread may end the process while another one makes calls.
  ProcessEnd(machine::Program& program, bool others_see_it)
      : program_(program), others_see_it_(others_see_it) {}

  [[nodiscard]] bool has_come();
  /// A call begins, unless the process has ended: then there is none. end_call() follows.
  [[nodiscard]] bool begin_call();
  void end_call();
  void come_to();

 private:
  /// Runs `step`, which says whether the descriptors are to be closed now.
  template <class Step>
  void change(Step step);

  machine::Program& program_;
  const bool others_see_it_;
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  bool has_come_ = false;
  unsigned under_way_ = 0;
};

}  // namespace teeio::explore
