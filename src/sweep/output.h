#pragma once

#include <string>

#include "base/fd.h"
#include "schedule/task.h"

namespace teeio::sweep {

/// Stands in for this process's standard files: the input is empty, and what is written
/// is read by a task that keeps the beginning. So a program can write without end.
///
/// Lifetime: the standard files are lost for good.
class Output {
 public:
  static constexpr std::size_t kKept = std::size_t{64} * 1024;

  Output();
  ~Output() { end(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// When nobody writes any more. Waits for what is still to be read.
  void end();
  /// After end().
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The last line that was written and not empty, as far as it was kept; printable, and cut
  /// where it is too long for a report.
  [[nodiscard]] std::string last_line() const;

 private:
  Fd from_;
  std::string text_;
  std::string tail_;  ///< the end, of what is longer than kKept
  schedule::Task reader_;
  bool ended_ = false;
};

}  // namespace teeio::sweep
