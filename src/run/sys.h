#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace teeio::run {

// System calls without a wrapper in Debian 12's C library, and small helpers
// around those that have one. They return as system calls do: -1 and errno.
int pidfd_open(pid_t pid, unsigned flags);
int pidfd_getfd(int pidfd, int fd);
/// PIDFD_THREAD (Linux 6.9): a pidfd of one thread.
inline constexpr unsigned kPidfdThread = 0200;
int openat2_path(int dir, const char* path, std::uint64_t flags, std::uint64_t resolve);

/// The current errno as an Error; `why` is a literal.
[[nodiscard]] Error last_error(std::string_view why);

/// ENOMEM, with why a file behind the run's devices did not grow: of the current errno.
[[nodiscard]] Error no_room();

/// Whoever made the call waits for no answer: nobody's mistake, and nobody is told. In Linux's
/// own words ESRCH or ENOENT, which no call of the machine gives.
inline constexpr Error kCallerIsGone{
    Errno::kIntr, "the caller was killed, or met a signal, before it had its answer"};

/// The target of a symbolic link; empty if it is none or cannot be read.
[[nodiscard]] std::string read_link(const std::string& path);
[[nodiscard]] std::string read_link_at(int dir, const std::string& path);
/// All of a small file, such as those in /proc; empty if it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

/// "/proc/<tid>/<rest>".
[[nodiscard]] std::string proc_path(pid_t tid, std::string_view rest);

}  // namespace teeio::run
