#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace teeio::run {

/// teeio's own words, one write(2) a line.
class Log {
 public:
  enum class Calls : bool { kSilent, kEach };
  /// `fd`: where they go; outlives this.
  explicit Log(Calls calls, int fd = 2) : calls_(calls), fd_(fd) {}

  /// "teeio: [pid 7] text".
  void warn(pid_t tid, std::string_view text) const;
  void warn(std::string_view text) const;
  /// Whether `-v` asked for a line a call; call() writes it, like strace.
  [[nodiscard]] bool traces_calls() const { return calls_ == Calls::kEach; }
  void call(pid_t tid, std::string_view text, std::string_view outcome) const;
  /// Also for `-v`: a file's last descriptor and mapping are gone.
  void release(std::string_view name) const;
  /// Also for `-v`: "[pid 7] +++ exited with 1 +++", as strace has it.
  void ended(pid_t pid, int wait_status) const;

 private:
  void write_line(std::string line) const;

  const Calls calls_;
  const int fd_;
};

}  // namespace teeio::run
