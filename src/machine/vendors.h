#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "machine/platform.h"

namespace teeio::machine {

/// A vendor: what `tsm` of a machine file says, and what makes its platform.
struct Vendor {
  TsmKind kind;
  Result<std::unique_ptr<Platform>> (*make)(const PlatformParts& parts) = nullptr;
  /// Commands that the explorer may let fail; null: those of Platform::firmware_commands().
  std::vector<std::string_view> (*failing)(const Config& config) = nullptr;
};

/// Every vendor, those that were added last.
[[nodiscard]] const std::vector<Vendor>& vendors();
/// For a vendor outside of this room. Precondition: its name is free, and no machine
/// file has been read and no machine made yet.
void add_vendor(const Vendor& vendor);

Result<std::unique_ptr<Platform>> make_plain_platform(const PlatformParts& parts);
Result<std::unique_ptr<Platform>> make_tdx_platform(const PlatformParts& parts);
Result<std::unique_ptr<Platform>> make_cca_platform(const PlatformParts& parts);
Result<std::unique_ptr<Platform>> make_sev_platform(const PlatformParts& parts);
std::vector<std::string_view> failing_tdx_commands(const Config& config);
std::vector<std::string_view> failing_cca_commands(const Config& config);

}  // namespace teeio::machine
