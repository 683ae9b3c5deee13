#include "run/dispatch.h"

namespace teeio::run {

/// Linux: copy_process() gives EAGAIN at RLIMIT_NPROC.
Reply on_new_process(Call& call, const Row&) {
  if (call.context().processes.admits()) return Reply::go_on();
  return Reply::of(Error{Errno::kAgain, "the program has as many processes as it may"});
}

/// The kernel does it; from here on who opens a file is asked (permissions.h).
Reply on_new_user(Call& call, const Row&) {
  call.context().other_users.store(true);
  return Reply::go_on();
}

}  // namespace teeio::run
