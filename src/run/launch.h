#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "run/fd.h"
#include "run/process_state.h"

namespace teeio::run {

/// A process that has the filter and waits, at its first trapped call, to
/// become the program.
struct Launched {
  pid_t pid = -1;
  Fd listener;
  std::string problem;  ///< why there is none, as a sentence; empty: all is well
};

/// Forks a child that puts itself under the filter, hands the listener over,
/// and executes `command` (looked up in PATH). It leaves with 127 when there is
/// no such program, 126 when it cannot be executed.
/// The program gets the signal state that `process` found.
/// `limits_processes`: new processes of the program are asked for. `dies_with_us`: SIGKILL for
/// it when the calling thread ends. `own_session`: what it sends to its process group (`kill 0`)
/// does not come to ours, and it has no terminal. `host_kvm`: its /dev/kvm is the host's own.
struct LaunchOptions {
  bool limits_processes = false;
  bool dies_with_us = false;
  bool own_session = false;
  bool host_kvm = false;
};
[[nodiscard]] Launched launch(const std::vector<std::string>& command, const ProcessState& process,
                              LaunchOptions options = {});

}  // namespace teeio::run
