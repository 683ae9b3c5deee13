#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "schedule/atomic.h"

namespace teeio::run {

/// What `-v` prints of calls, as strace has it.
struct CallLog {
  bool wanted = false;     ///< a line a call
  int fd = 2;              ///< where to; outlives the Log
  bool clock = false;      ///< `-t`: the time of day when the call was answered
  bool durations = false;  ///< `-T`: how long teeio took for it
  /// Whether a line is for this call, from any task; empty: each is. `ioctl` is the name
  /// of an ioctl.
  std::function<bool(std::string_view call, std::string_view ioctl)> admits = {};
};

/// teeio's own words, one write(2) a line.
class Log {
 public:
  /// `fd`: where they go; outlives this.
  explicit Log(CallLog calls, int fd = 2) : calls_(std::move(calls)), fd_(fd) {}

  /// "teeio: [pid 7] text".
  void warn(pid_t tid, std::string_view text) const;
  void warn(std::string_view text) const;
  /// Whether `-v` asked for a line a call; call() writes it, like strace.
  [[nodiscard]] bool traces_calls() const { return calls_.wanted; }
  /// Whether call() wants to know when the call came in.
  [[nodiscard]] bool takes_times() const { return calls_.durations; }
  /// `text`: "ioctl(768</dev/iommu>, IOMMU_DESTROY, {id=7})"; `took_ns`: for `-T`.
  void call(pid_t tid, std::string_view text, std::string_view outcome,
            std::uint64_t took_ns) const;
  /// Also for `-v`: a file's last descriptor and mapping are gone.
  void release(std::string_view name) const;
  /// Also for `-v`: "[pid 7] +++ exited with 1 +++", as strace has it.
  void ended(pid_t pid, int wait_status) const;

  /// The errno with which a line of ours, or one for `-v`, was lost last; 0: none was.
  [[nodiscard]] int lost_words() const { return lost_words_.load(); }
  [[nodiscard]] int lost_calls() const { return lost_calls_.load(); }

 private:
  void say(std::string line) const;
  void say_of_calls(std::string line) const;
  [[nodiscard]] std::string call_prefix(pid_t tid) const;

  const CallLog calls_;
  const int fd_;
  mutable schedule::Atomic<int> lost_words_{0};
  mutable schedule::Atomic<int> lost_calls_{0};
};

}  // namespace teeio::run
