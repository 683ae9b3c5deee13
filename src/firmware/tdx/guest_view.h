#pragma once

#include <cstdint>
#include <expected>

#include "base/types.h"
#include "hw/cpu.h"

namespace teeio::tdx {

/// What a TD's vCPUs see of their private memory: the walk that the processor
/// makes in the secure EPT.
///
/// Locking: any task that holds no lock of the module; takes rank kFirmware.
class GuestView {
 public:
  virtual ~GuestView() = default;

  /// Why a private GPA has no mapping.
  enum class Miss : std::uint8_t {
    kNotPresent,  ///< no entry: EPT violation exit; the host may add a page
    kPending,     ///< RAM or MMIO that the guest has not accepted yet
    kBlocked,     ///< between block and unblock or unmap
    kShared,      ///< the GPA has kSharedGpaBit: not in these tables
    kGone,        ///< no such TD, or it is fatal or torn down
  };

  /// The 4 KiB page of TD `tdr` around `gpa`; RAM comes with the TD's key.
  /// Private MMIO has GuestMapping::mmio set; the key makes its accesses T=1. `access` does not
  /// matter to private pages, which are all readable, writable and executable.
  [[nodiscard]] virtual std::expected<hw::GuestMapping, Miss> lookup(Hpa tdr, Gpa gpa,
                                                                     hw::GuestAccess access) = 0;
};

}  // namespace teeio::tdx
