#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace teeio::run {

/// Of proc_pid_stat(5).
struct ProcessStat {
  pid_t parent = 0;
  unsigned threads = 0;
  bool is_stopped = false;  ///< by a signal, or whoever traces it
};
/// nullopt: there is no such process any more.
[[nodiscard]] std::optional<ProcessStat> process_stat(pid_t pid);

/// A thread of the process that has its address space still: the first one may have left by
/// itself (pthread_exit() in main()), and /proc shows nothing of it then. `process` if none has.
[[nodiscard]] pid_t living_thread(pid_t process);
/// Whether /proc shows an address space of it.
[[nodiscard]] bool has_memory(pid_t tid);

/// `roots` and all that descend from them, as the files of `proc` (/proc) say; `roots` alone where
/// the kernel has no /proc/PID/task/TID/children.
[[nodiscard]] std::vector<pid_t> with_descendants(std::vector<pid_t> roots,
                                                  const std::string& proc);

/// Every descendant of this process, which should be their subreaper. Costs what they are, where
/// the kernel has /proc/PID/task/TID/children; else all of the host's are asked.
[[nodiscard]] std::vector<pid_t> descendants();

/// Kills and reaps every descendant of this process, which must be their subreaper.
void end_descendants();

}  // namespace teeio::run
