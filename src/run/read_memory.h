#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace teeio::run {

/// A system call on another's memory was refused as such, as containers do: Docker's profile has
/// process_vm_readv() and process_vm_writev() for CAP_SYS_PTRACE alone
/// (moby, profiles/seccomp/default_linux.go). /proc/PID/mem is open to an ancestor all the same.
[[nodiscard]] bool is_forbidden(ssize_t done);

/// Reads memory of a descendant by process_vm_readv() or, where that is forbidden, /proc/PID/mem.
/// Gives the bytes that were read, from the first on; -1 and errno if there is none.
[[nodiscard]] ssize_t read_memory(pid_t tid, std::uint64_t address, std::span<std::byte> out);

}  // namespace teeio::run
