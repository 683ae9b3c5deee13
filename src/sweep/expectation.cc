#include "sweep/expectation.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "run/processes.h"
#include "run/running_time.h"
#include "schedule/task.h"
#include "sweep/output.h"

namespace teeio::sweep {
namespace {

/// Its status, or -1 when it took too long.
int wait_for(pid_t pid, std::uint64_t time_ms) {
  constexpr std::uint64_t kMs = 1'000'000;
  run::RunningTime time;
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (time_ms != 0 && time.look() > time_ms * kMs) return -1;
    (void)::poll(nullptr, 0, 1);
  }
  return status;
}

}  // namespace

std::string ask(const std::string& command, const std::string& spec, int status,
                const std::string& output, const std::string& directory, std::uint64_t time_ms) {
  // Beside the program's directory: what lies in there is the program's.
  const std::string file = directory.empty() ? "/dev/null" : directory + ".output";
  std::ofstream(file, std::ios::binary) << output;
  Output words;
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)::setsid();                                 // its `kill 0` is not for us
    (void)::setenv("TEEIO_INJECT", spec.c_str(), 1);  // NOLINT
    (void)::setenv("TEEIO_STATUS", std::to_string(status).c_str(), 1);  // NOLINT
    (void)::setenv("TEEIO_OUTPUT", file.c_str(), 1);                    // NOLINT
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  const int ended = pid < 0 ? -1 : wait_for(pid, time_ms);
  run::end_descendants();
  if (!directory.empty()) (void)::unlink(file.c_str());
  words.end();
  if (ended == 0) return {};
  if (const std::string said = words.last_line(); !said.empty()) return said;
  if (ended == -1) return "--expect did not end";
  return WIFSIGNALED(ended) ? fmt::format("--expect was ended by signal {}", WTERMSIG(ended))
                            : fmt::format("--expect gave {}", WEXITSTATUS(ended));
}

}  // namespace teeio::sweep
