#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "machine/config.h"

namespace teeio::explore {

/// A disputed setting and its values, as machine files spell them ([policies]).
struct DesignAxis {
  std::string_view key;
  std::vector<std::string_view> values;  ///< the first is default_designs()'s, but for bind_owner
};
[[nodiscard]] std::span<const DesignAxis> design_axes();

/// Firmwares that a design may name, and why one of them cannot be run (empty:
/// it can).
struct DesignFirmware {
  std::string_view name;
  std::string_view skipped_because;
};
[[nodiscard]] std::span<const DesignFirmware> design_firmwares();

/// The whole product, firmware by firmware: "tdx,bind_owner=vfio",
/// "cca,bind_owner=guest,vm_ref=vfio". A name leaves out what is as in the
/// default design.
[[nodiscard]] const std::vector<machine::Config>& all_designs();

/// A design by such a name, also one that is not in the product ("tdx").
/// Errors: ready to print.
[[nodiscard]] std::expected<machine::Config, std::string> parse_design(std::string_view name);

/// A scenario on one design.
struct DesignResult {
  std::size_t design;     ///< of all_designs()
  ScenarioResult result;  ///< named with the design that ran
  bool reused = false;    ///< the scenario never looked at what these designs differ in
};

/// Runs `scenario` on every design that it applies to. Where an exploration
/// looked at no setting in which another design differs, its result is that
/// design's too: nothing else of a run may vary.
[[nodiscard]] std::vector<DesignResult> run_on_all_designs(const MachineScenario& scenario,
                                                           const Options& options);

}  // namespace teeio::explore
