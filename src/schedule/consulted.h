#pragma once

#include <cstdint>
#include <string_view>

#include "schedule/name_number.h"

namespace teeio::schedule {

/// A setting whose values lead to different runs, by its name in a machine file: a bit. Two
/// that share one cost runs only.
class Setting {
 public:
  /// Of a literal, so that looking costs no more than a bit.
  consteval Setting(const char* name) : Setting(named(name)) {}
  [[nodiscard]] static constexpr Setting named(std::string_view name) {
    constexpr unsigned kBits = 64;
    return Setting(std::uint64_t{1} << (name_number(name) % kBits));
  }
  [[nodiscard]] constexpr std::uint64_t bit() const { return bit_; }

 private:
  constexpr explicit Setting(std::uint64_t bit) : bit_(bit) {}

  std::uint64_t bit_;
};

/// Code calls this where it looks at a setting. A run that never looked at one
/// goes the same way whatever its value, so `teeio explore --designs` need not
/// run it again. Per OS thread.
void consult(Setting setting);
/// What was looked at since the last call: bits of settings.
[[nodiscard]] std::uint64_t take_consulted();

}  // namespace teeio::schedule
