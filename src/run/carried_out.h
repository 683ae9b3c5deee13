#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "base/result.h"

namespace teeio::run {

/// ESRCH, which no call of the machine gives.
inline constexpr auto kNoThread = static_cast<Errno>(3);

/// Has thread `tid` of the program, whose trapped call waits for us, carry out
/// fchdir(`fd`) and close(`fd`) on its own; its trapped call then returns what fchdir did.
/// `answer` lets the trapped call return and is called once, if and only if the thread
/// could be attached to.
///
/// Only a thread changes its own working directory, which its threads share (CLONE_FS)
/// and its children inherit. So the thread is stopped on its way back to the program
/// (ptrace(2)) and sent into the kernel again. Signals that arrive meanwhile are sent
/// again behind it.
///
/// Errors: EPERM when the thread must not be traced: another tracer, Yama, no permission;
/// ESRCH when it died.
Result<std::int64_t> carry_out_fchdir(pid_t process, pid_t tid, int fd,
                                      const std::function<void()>& answer);

}  // namespace teeio::run
