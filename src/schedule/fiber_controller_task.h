#pragma once

#include <array>

#include "schedule/fiber_controller.h"

namespace teeio::schedule {

/// One task of a run: its fiber, and what it waits to do.
struct FiberController::TaskRecord {
  TaskRecord() : fiber(kStackBytes) {}

  Fiber fiber;
  std::uint32_t number = 0;
  std::move_only_function<void()> body;
  bool has_ended = false;

  // What the task waits to do.
  Op op{OpKind::kYield, 0};
  bool (*enabled)(const void*) = nullptr;
  std::uint32_t (*count)(const void*) = nullptr;
  const void* context = nullptr;
  std::uint64_t deadline_ns = kNever;
  std::uint64_t parked_at_point = 0;
  std::uint32_t lonely_retries = 0;
  bool may_retry_alone = false;

  std::uint64_t random_state = 0;
  std::uint64_t descendants_state = 0;  ///< gives children theirs
  std::array<std::uint64_t, kMaxTaskLocals> locals{};
  std::vector<Later> later;  ///< Controller::defer()
};

}  // namespace teeio::schedule
