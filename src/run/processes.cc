#include "run/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

#include "run/fd.h"
#include "run/numbered_entries.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

std::string children_path(pid_t pid, pid_t tid) {
  return proc_path(pid, "task/" + std::to_string(tid) + "/children");
}

/// The parent of a process whose folder in /proc is `name`; 0: there is none any more.
pid_t parent_of(int proc, const char* name) {
  std::array<char, 32> path{};
  std::array<char, 512> text{};
  (void)std::snprintf(path.data(), path.size(), "%.16s/stat", name);
  const Fd stat(::openat(proc, path.data(), O_RDONLY | O_CLOEXEC));
  if (::read(stat.get(), text.data(), text.size() - 1) <= 0) return 0;
  const char* const name_end = std::strrchr(text.data(), ')');
  pid_t parent = 0;
  return name_end != nullptr && std::sscanf(name_end, ") %*c %d", &parent) == 1 ? parent : 0;
}

bool descends_from_us(pid_t pid) {
  while (pid > 1) {
    const auto stat = process_stat(pid);
    pid = stat ? stat->parent : 0;
    if (pid == ::getpid()) return true;
  }
  return false;
}

/// Every child of this process, whichever of its threads is the parent. Not every
/// kernel has /proc/PID/task/TID/children. Allocates nothing: memory may be what we die of.
void kill_children() {
  const Fd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  alignas(dirent64) std::array<char, 4096> entries{};
  for (;;) {
    const ssize_t size = ::getdents64(proc.get(), entries.data(), entries.size());
    if (size <= 0) return;
    for (ssize_t at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries.data() + at);
      at += entry->d_reclen;
      const int pid = std::atoi(entry->d_name);
      if (pid > 0 && parent_of(proc.get(), entry->d_name) == ::getpid()) (void)::kill(pid, SIGKILL);
    }
  }
}

}  // namespace

/// The name, in parentheses, may have some itself: what counts is behind the last.
std::optional<ProcessStat> process_stat(pid_t pid) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  ProcessStat stat;
  char state = 0;
  if (name_end == std::string::npos ||
      std::sscanf(text.c_str() + name_end,
                  ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u", &state,
                  &stat.parent, &stat.threads) != 3)
    return std::nullopt;
  stat.is_stopped = state == 'T' || state == 't';
  return stat;
}

std::vector<pid_t> with_descendants(std::vector<pid_t> roots, const std::string& proc) {
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const std::string tasks = proc + '/' + std::to_string(roots[i]) + "/task";
    for (const int tid : numbered_entries(tasks)) {
      std::istringstream children(read_file(tasks + '/' + std::to_string(tid) + "/children"));
      for (pid_t pid = 0; children >> pid;)
        if (std::ranges::find(roots, pid) == roots.end()) roots.push_back(pid);
    }
  }
  return roots;
}

std::vector<pid_t> descendants() {
  std::vector<pid_t> found;
  if (::access(children_path(::getpid(), ::getpid()).c_str(), R_OK) != 0) {
    found = numbered_entries("/proc");
    std::erase_if(found, [](pid_t pid) { return !descends_from_us(pid); });
  } else {
    found = with_descendants({::getpid()}, "/proc");
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
  constexpr int kPauseMs = 1, kMost = 30'000;  // none can be told to end without a descriptor
  for (int pauses = 0; pauses < kMost;) {
    kill_children();
    pid_t ended = 0;
    do {  // all of them: kill_children() reads all of /proc, which is long while many are left
      ended = ::waitpid(-1, nullptr, __WALL | WNOHANG);
    } while (ended > 0);
    if (ended < 0 && errno == ECHILD) return;
    (void)::poll(nullptr, 0, kPauseMs);
    ++pauses;
  }
}

}  // namespace teeio::run
