#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace teeio::schedule {

/// From now on `watch` is told what each choice of an explored run was about, and what was
/// chosen, 0 being the ordinary way; empty: nobody is. For reports and tests, natively.
void watch_choices(std::function<void(std::string_view what, std::uint32_t chosen)> watch);

/// Choices about what ask_only() names, of an explored run.
struct Asked {
  std::uint64_t times = 0;
  std::uint64_t other = 0;  ///< of them not the ordinary way
};
/// Those since the last time, of tasks of this OS thread.
[[nodiscard]] Asked take_asked();

}  // namespace teeio::schedule
