#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

namespace teeio::run {

/// The stack of a program's thread that waits in a system call, innermost first:
/// "open_vm+0x3f (my-vmm+0x12f3)", or "my-vmm+0x12f3" where no symbol says more. The same
/// program, the same words: addresses are those of its files. Empty where it cannot be had
/// (the thread waits in no call, cannot be inspected, or is not of x86-64).
///
/// By saved frame pointers where functions keep them, else by return addresses: of the words on
/// the stack those that follow a call of the function below, so that the tables of unwinding,
/// which a program need not have, are not asked. A function that left by a jump (a tail call)
/// is missing, and an old return address that fits may be one too many.
[[nodiscard]] std::vector<std::string> program_stack(pid_t tid);

/// The innermost frame of the program's own: behind the C and C++ library's; "" of none.
[[nodiscard]] std::string stack_top(std::span<const std::string> stack);

}  // namespace teeio::run
