#include "run/processes.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <string>

#include "run/numbered_entries.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

std::string children_path(pid_t pid, pid_t tid) {
  return proc_path(pid, "task/" + std::to_string(tid) + "/children");
}

/// Every child of this process, whichever of its threads is the parent. Not every
/// kernel has /proc/PID/task/TID/children.
void kill_children() {
  for (const int pid : numbered_entries("/proc"))
    if (const auto stat = process_stat(pid); stat && stat->parent == ::getpid())
      (void)::kill(pid, SIGKILL);
}

}  // namespace

/// The name, in parentheses, may have some itself: what counts is behind the last.
std::optional<ProcessStat> process_stat(pid_t pid) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  ProcessStat stat;
  if (name_end == std::string::npos ||
      std::sscanf(text.c_str() + name_end,
                  ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u",
                  &stat.parent, &stat.threads) != 2)
    return std::nullopt;
  return stat;
}

std::vector<pid_t> descendants() {
  std::vector<pid_t> found{::getpid()};
  if (::access(children_path(::getpid(), ::getpid()).c_str(), R_OK) != 0)
    found = numbered_entries("/proc");
  else
    for (std::size_t i = 0; i < found.size(); ++i)
      for (const int tid : numbered_entries(proc_path(found[i], "task"))) {
        std::istringstream children(read_file(children_path(found[i], tid)));
        for (pid_t pid = 0; children >> pid;)
          if (std::ranges::find(found, pid) == found.end()) found.push_back(pid);
      }
  std::erase(found, ::getpid());
  return found;
}

bool has_memory(pid_t tid) {
  return read_file(proc_path(tid, "status")).find("\nVmSize:") != std::string::npos;
}

pid_t living_thread(pid_t process) {
  if (has_memory(process)) return process;
  for (const int tid : numbered_entries(proc_path(process, "task")))
    if (has_memory(tid)) return tid;
  return process;
}

/// Who dies leaves its children to us, and may be reaped by us or by the thread that
/// waits for the program: a wait without an end would miss the ones it left.
void end_descendants() {
  constexpr int kPauseMs = 1;
  for (;;) {
    kill_children();
    const pid_t ended = ::waitpid(-1, nullptr, __WALL | WNOHANG);
    if (ended < 0 && errno == ECHILD) return;
    if (ended == 0) (void)::poll(nullptr, 0, kPauseMs);
  }
}

}  // namespace teeio::run
