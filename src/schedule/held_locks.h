#pragma once

#include <cstddef>

#include "schedule/rank.h"

namespace teeio::schedule {

/// Books `lock` as held by the running task. Fails a check when the task holds
/// it already or holds a lock whose rank is not smaller (kUnranked is exempt).
void push_held(const void* lock, Rank rank);
/// As push_held() for a lock taken without sleeping: the order is not checked.
void push_tried(const void* lock, Rank rank);
/// Books it as released; any order of release is allowed.
void pop_held(const void* lock);
[[nodiscard]] bool is_held(const void* lock);
/// How many locks the running task holds.
[[nodiscard]] std::size_t held_count();
/// Frees the running task's book-keeping; the last thing a task does.
void release_held_storage();

}  // namespace teeio::schedule
