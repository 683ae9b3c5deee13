#pragma once

#include <string_view>

namespace teeio::machine {

/// Whose trusted firmware a machine has: the name of a row of vendors().
struct TsmKind {
  std::string_view name;  ///< literal; also what `tsm = "…"` of a machine file says
  bool operator==(const TsmKind&) const = default;

  static const TsmKind kNone, kTdx, kCca, kSev;
};
inline constexpr TsmKind TsmKind::kNone{"none"};
inline constexpr TsmKind TsmKind::kTdx{"tdx"};
inline constexpr TsmKind TsmKind::kCca{"cca"};
inline constexpr TsmKind TsmKind::kSev{"sev"};

}  // namespace teeio::machine
