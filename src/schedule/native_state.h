#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "schedule/task.h"

namespace teeio::schedule {

/// What tasks of this OS thread find natively, beside the heap: for runs that go back.
struct NativeState {
  std::array<std::uint64_t, kMaxTaskLocals> locals{};
  std::uint64_t random = 0;
  std::uint64_t monitors = 0;
  std::string_view asked_only;
};
[[nodiscard]] NativeState native_state();
void set_native_state(const NativeState& state);

}  // namespace teeio::schedule
