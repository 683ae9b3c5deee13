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
  using Look = std::function<bool(std::span<const std::byte>)>;

  /// `bytes`: a power of two of pages. `unpublished`: as many as the kernel may be writing over the
  /// oldest ones before it says so, the largest record that it writes here.
  PerfRing(perf_event_attr attr, pid_t tid, int processor, std::size_t bytes,
           std::size_t unpublished);
  PerfRing(PerfRing&& other) noexcept;
  PerfRing& operator=(PerfRing&&) = delete;
  ~PerfRing();

  [[nodiscard]] bool ok() const { return memory_ != nullptr; }
  [[nodiscard]] int error() const { return error_; }  ///< errno; 0: ok()
  /// Notes nothing any more: whom it was for has ended, or (remove_on_exec) is another program.
  [[nodiscard]] bool ended() const;

  /// Shows `look` the records, the newest first, until it says false. True: it did, or
  /// there was none that is overwritten, or about to be.
  bool visit(const Look& look) const;
  /// The same of a ring's bytes and its head. Here for tests.
  static bool visit_records(std::span<const std::byte> data, const volatile __u64& data_head,
                            std::size_t unpublished, const Look& look);

 private:
  Fd fd_;
  int error_ = 0;
  std::size_t bytes_;
  std::size_t unpublished_;
  std::byte* memory_ = nullptr;
};

}  // namespace teeio::run
