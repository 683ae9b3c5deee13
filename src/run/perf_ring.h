#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <span>

#include "run/fd.h"

namespace teeio::run {

/// What perf_event_open(2) gives of one thread on one processor, and of the threads and processes
/// that descend from it (inherit). Newer records go over older ones.
class PerfRing {
 public:
  /// `bytes`: a power of two of pages.
  PerfRing(perf_event_attr attr, pid_t tid, int processor, std::size_t bytes);
  PerfRing(PerfRing&& other) noexcept;
  PerfRing& operator=(PerfRing&&) = delete;
  ~PerfRing();

  [[nodiscard]] bool ok() const { return memory_ != nullptr; }
  [[nodiscard]] int error() const { return error_; }  ///< errno, unless ok()
  /// Notes nothing any more: whom it was for has ended, or (remove_on_exec) is another program.
  [[nodiscard]] bool ended() const;

  /// Shows `look` the records, the newest first, until it says false. True: it did, or
  /// there was none that is overwritten.
  bool visit(const std::function<bool(std::span<const std::byte>)>& look) const;

 private:
  Fd fd_;
  int error_ = 0;
  std::size_t bytes_;
  std::byte* memory_ = nullptr;
};

}  // namespace teeio::run
