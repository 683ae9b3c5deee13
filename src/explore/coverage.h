#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace teeio::explore {

/// What kinds of things explorations reach.
enum class CoveredKind : std::uint8_t {
  kIoctl,      ///< a program's ioctl: "IOMMU_DESTROY"
  kAttribute,  ///< a write to sysfs, by its path behind the function: "tsm/connect"
  kHost,       ///< another call of a program, or a step of the host: "pread", "unbind"
  kFirmware,   ///< a leaf or command, of host or guest: "TDH.DEVIF.CREATE"
  kDevice,     ///< a message to a device, or a reset: "LOCK_INTERFACE"
  kFailure,    ///< a step that can fail, and did: "TDH.DEVIF.CREATE fails"
  /// A command or message in a call of which a step has failed before: its undo, and what
  /// it goes on with.
  kUndo,
};
inline constexpr std::size_t kCoveredKinds = 7;
/// "ioctl", "attribute", ... as reports have it.
[[nodiscard]] std::string_view covered_kind_name(CoveredKind kind);

/// How far something was reached, by the most that any schedule showed.
enum class Reach : std::uint8_t {
  kNever,     ///< it is known, and nobody did it
  kAlone,     ///< never while another thread was in a call
  kTogether,  ///< it began while another thread's call was under way, or one began during it
};
[[nodiscard]] std::string_view reach_name(Reach reach);  ///< "never", "alone", "together"

/// One thing, and how far it was reached.
struct Covered {
  CoveredKind kind = CoveredKind::kIoctl;
  std::string name;
  Reach reach = Reach::kNever;
  bool operator==(const Covered&) const = default;
};

/// What the schedules of one scenario reached.
class Coverage {
 public:
  /// Of all that is said of one thing the most counts.
  void reach(CoveredKind kind, std::string_view name, Reach reach);
  /// In order of kind and name.
  [[nodiscard]] std::vector<Covered> rows() const;

 private:
  std::map<std::pair<CoveredKind, std::string>, Reach, std::less<>> reached_;
};

/// One thing, and how many scenarios reached it: a line of the report.
struct CoverageTotal {
  CoveredKind kind = CoveredKind::kIoctl;
  std::string name;
  std::uint64_t together = 0;  ///< scenarios that reached it so
  std::uint64_t alone = 0;     ///< and those that reached it alone only
  [[nodiscard]] Reach reach() const {
    if (together != 0) return Reach::kTogether;
    return alone != 0 ? Reach::kAlone : Reach::kNever;
  }
};

/// The rows of many scenarios, put together.
class CoverageTotals {
 public:
  void add(const std::vector<Covered>& rows);
  /// By kind; in each what was never reached first, then what was alone.
  [[nodiscard]] std::vector<CoverageTotal> rows() const;
  /// The report: for each kind how many rows were reached how, then its rows.
  [[nodiscard]] std::string text() const;

 private:
  std::map<std::pair<CoveredKind, std::string>, CoverageTotal> totals_;
};

}  // namespace teeio::explore
