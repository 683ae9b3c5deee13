#include <signal.h>

#include "run/dispatch.h"
#include "run/processes.h"

namespace teeio::run {

/// Linux: copy_process() gives EAGAIN at RLIMIT_NPROC.
Reply on_new_process(Call& call, const Row&) {
  if (call.context().processes.admits()) return Reply::go_on();
  return Reply::of(Error{Errno::kAgain, "the program has as many processes as it may"});
}

/// Of process -1, "everybody": the program's own processes but the caller. Not us, nor what else
/// its user runs: a fork() that failed and was not looked at says -1 too. Others are as another
/// user's, which kill_something_info() passes over without a word.
Reply on_kill(Call& call, const Row&) {
  const int signal = call.int_arg(1);
  if (signal < 0 || signal > SIGRTMAX)
    return Reply::of(Error{Errno::kInval, "there is no such signal"});
  for (const pid_t pid : descendants())
    if (pid != call.pid()) (void)::kill(pid, signal);
  return Reply::of(std::int64_t{0});
}

/// The kernel does it; from here on who opens a file is asked (permissions.h).
Reply on_new_user(Call& call, const Row&) {
  call.context().other_users.store(true);
  return Reply::go_on();
}

}  // namespace teeio::run
