#pragma once

#include <functional>
#include <new>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "schedule/task.h"

namespace teeio::schedule {

/// Task::spawn(); nullopt where no thread can be made: RLIMIT_AS, RLIMIT_NPROC, pids.max.
[[nodiscard]] inline std::optional<Task> try_spawn(std::string_view name,
                                                   std::move_only_function<void()> body) {
  try {
    return Task::spawn(name, std::move(body));
  } catch (const std::system_error&) {
    return std::nullopt;
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
}

}  // namespace teeio::schedule
