#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "firmware/sev/status.h"

namespace teeio::sev {

/// What Check::source and TioCheck::source say where nothing public does.
inline constexpr std::string_view kModelsChoice = "model's choice";

/// One thing that a command looks at before it does anything.
struct Check {
  std::string_view id;  ///< by which the command's code and its test name it
  Status status;
  std::string_view why;  ///< literal: when it refuses
  /// Literal: where it is public that the firmware looks, or with which status it refuses.
  std::string_view source = kModelsChoice;
};

/// A command about the platform or a guest. SEV-TIO's commands have rows of their own
/// (tio_checks.h).
struct Row {
  std::uint16_t number;
  std::string_view name;          ///< literal, in traces: "SNP_LAUNCH_START"
  std::string_view fails;         ///< literal, what the explorer calls it; empty: it never fails so
  std::uint32_t length;           ///< bytes of its buffer
  std::string_view source;        ///< literal: who issues it, and where its buffer is from
  std::span<const Check> checks;  ///< in the order in which they are made
  std::string_view effect;        ///< literal
  std::string_view differs{};     ///< literal, from the source; empty: nothing known
};
/// Every one, in the order of their numbers.
[[nodiscard]] std::span<const Row* const> rows();

namespace row {
extern const Row kPlatformStatus, kGetId, kSnpPlatformStatus, kSnpDfFlush, kSnpInitEx,
    kSnpShutdownEx, kSnpPageReclaim, kSnpConfig, kSnpCommit, kSnpVlekLoad, kSnpFeatureInfo;
extern const Row kSnpDecommission, kSnpActivate, kSnpGuestStatus, kSnpGctxCreate, kSnpGuestRequest,
    kSnpLaunchStart, kSnpLaunchUpdate, kSnpLaunchFinish;
}  // namespace row

}  // namespace teeio::sev
