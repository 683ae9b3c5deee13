#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace teeio::run {

/// teeio's own words, on its stderr, one write(2) a line.
class Log {
 public:
  enum class Calls : bool { kSilent, kEach };
  explicit Log(Calls calls) : calls_(calls) {}

  /// "teeio: [pid 7] text".
  void warn(pid_t tid, std::string_view text) const;
  void warn(std::string_view text) const;
  /// Whether `-v` asked for a line a call; call() writes it, like strace.
  [[nodiscard]] bool traces_calls() const { return calls_ == Calls::kEach; }
  void call(pid_t tid, std::string_view text, std::string_view outcome) const;
  /// Also for `-v`: a file's last descriptor and mapping are gone.
  void release(std::string_view name) const;

 private:
  const Calls calls_;
};

}  // namespace teeio::run
