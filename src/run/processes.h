#pragma once

#include <sys/types.h>

#include <optional>

namespace teeio::run {

/// Of proc_pid_stat(5).
struct ProcessStat {
  pid_t parent = 0;
  unsigned threads = 0;
};
/// nullopt: there is no such process any more.
[[nodiscard]] std::optional<ProcessStat> process_stat(pid_t pid);

/// Kills and reaps every descendant of this process, which must be their subreaper.
void end_descendants();

}  // namespace teeio::run
