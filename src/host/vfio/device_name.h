#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "host/vfio/vf_token.h"

namespace teeio::vfio {

/// What a group's user calls a device: "BDF", or "BDF vf_token=UUID".
/// Source: Linux drivers/vfio/pci/vfio_pci_core.c, vfio_pci_core_match().
struct DeviceName {
  bool matches = false;
  std::optional<Uuid> token = {};
  /// Whether `text` means the function `bdf`. Errors: EINVAL it does, with an option that
  /// there is not, that is there twice, or that is no UUID.
  static Result<DeviceName> parse(std::string_view text, std::string_view bdf);
};

}  // namespace teeio::vfio
