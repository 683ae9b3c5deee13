#pragma once

#include <cstdint>
#include <string_view>

#include "schedule/name_number.h"

namespace teeio::schedule {

/// A bug that this field has had, as one small mutation in the place where it would be made
/// here: the proof that exploration finds such bugs. This room knows none of them: a bug is a
/// name, and what it was, and whose, is in explore/scenario/seeded_bugs.cc. A name that is
/// asked for has a row there, and each row is asked for (tools/check_rooms).
///
/// One at a time can be planted, by plant_bug.h, which only exploration and its
/// tests include; `teeio run` has no way to it.
class SeededBug {
 public:
  constexpr SeededBug() = default;  ///< none
  /// Of a literal, so that asking costs no more than a number.
  consteval SeededBug(const char* name) : SeededBug(named(name)) {}
  [[nodiscard]] static constexpr SeededBug named(std::string_view name) {
    SeededBug bug;
    bug.number_ = name_number(name);
    return bug;
  }
  bool operator==(const SeededBug&) const = default;

 private:
  std::uint64_t number_ = 0;
};

namespace detail {
inline constinit SeededBug planted_bug;
}

/// Whether the code at hand is to make this mistake: one load and one branch.
[[nodiscard]] inline bool seeded(SeededBug bug) {
  if (detail::planted_bug == bug) [[unlikely]]
    return true;
  return false;
}

}  // namespace teeio::schedule
