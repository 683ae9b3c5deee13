#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace teeio::serve::validate {

class Bench;

/// What a case found.
struct Verdict {
  enum class Kind : std::uint8_t { kPass, kFail, kSkip } kind = Kind::kPass;
  std::string why{};  ///< of kFail and kSkip
  /// kFail: what the case starts from could not be reached. One cause fails one case; the
  /// others that need the same are skipped.
  bool set_up = false;
  /// Worth knowing, and no fault by the specification. One text is told once.
  std::string remark{};
};
[[nodiscard]] inline Verdict passed() { return {}; }
[[nodiscard]] inline Verdict failed(std::string why) {
  return {Verdict::Kind::kFail, std::move(why)};
}
[[nodiscard]] inline Verdict skipped(std::string why) {
  return {Verdict::Kind::kSkip, std::move(why)};
}
[[nodiscard]] inline Verdict remarked(std::string remark) { return {.remark = std::move(remark)}; }

/// One row of a suite.
struct Case {
  std::string_view id;      ///< within its suite: "lock.twice"
  std::string_view claim;   ///< "…": a sentence about the responder
  std::string_view clause;  ///< where the specification says so
  Verdict (*body)(Bench&);
  std::uint8_t since = 0;  ///< the first SPDM version for which it is asked
};

// The tables, one a theme.
[[nodiscard]] std::span<const Case> doe_cases();
[[nodiscard]] std::span<const Case> spdm_cases();  ///< asked once for each SPDM version
[[nodiscard]] std::span<const Case> session_cases();
[[nodiscard]] std::span<const Case> auth_cases();
[[nodiscard]] std::span<const Case> provisioning_cases();
[[nodiscard]] std::span<const Case> event_cases();
[[nodiscard]] std::span<const Case> ide_km_cases();
[[nodiscard]] std::span<const Case> tdisp_cases();
[[nodiscard]] std::span<const Case> cxl_cases();
[[nodiscard]] std::span<const Case> tee_io_cases();

}  // namespace teeio::serve::validate

/// Ends the case unless `condition` holds; the rest is fmt's arguments, a
/// sentence of what was seen.
#define TEEIO_CASE(condition, ...)                             \
  do {                                                         \
    if (!(condition)) return failed(fmt::format(__VA_ARGS__)); \
  } while (false)
/// Declares `decl` from the value of an expected<T, Verdict>, or ends the case with
/// that verdict.
#define TEEIO_CASE_ASSIGN(decl, expr) \
  TEEIO_CASE_ASSIGN_IMPL(TEEIO_CAT(teeio_case_, __LINE__), decl, expr)
#define TEEIO_CASE_ASSIGN_IMPL(tmp, decl, expr)        \
  auto tmp = (expr);                                   \
  if (!tmp.has_value()) return std::move(tmp).error(); \
  decl = std::move(*tmp)
