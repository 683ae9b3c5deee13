#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "base/types.h"
#include "hw/dma.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"

namespace teeio::hw {

/// Why a trusted request is not let through.
struct SecureRefusal {
  /// kFenced: no table says no, the guest's traffic is stopped; nothing is logged.
  enum class Kind : std::uint8_t { kNoEntry, kNotPermitted, kRmp, kFenced };
  Kind kind;
  std::string_view why;  ///< literal
};

/// What stands before a trusted (T=1) request beside the host's tables: the secure
/// device table that the PSP keeps in memory of its own, and the RMP. The host's tables
/// still say where a guest's address is; the RMP says whether that is true.
/// Source: AMD SEV-TIO firmware interface (58271), secure device table; SEV-SNP firmware
/// ABI (56860) and APM volume 2, 15.36, RMP checks of device accesses.
///
/// Lifetime: outlives the IOMMU's last request.
/// Locking: called with a device's lock held (rank kDevice): leaf locks only.
class SecureSide {
 public:
  virtual ~SecureSide() = default;

  /// What the guest has written into the requester's secure entry.
  struct Entry {
    std::uint16_t asid = 0;
    bool readable = false;
    bool writable = false;
    /// Guest addresses from here on are shared memory (vTOM).
    Gpa shared_from{~std::uint64_t{0}};
  };
  virtual std::expected<Entry, SecureRefusal> entry(std::uint16_t rid) = 0;
  /// Whether the page at `page` is the guest's at `gpa`, and with which key an access
  /// reaches it.
  virtual std::expected<KeyId, SecureRefusal> check(const Entry& entry, Gpa gpa, Hpa page,
                                                    DmaAccess access) = 0;
  /// A trusted request of `rid` met no mapping, or one that the RMP refused: what fences
  /// the guest. Called after the refusal, without any lock of the IOMMU.
  virtual void request_failed(std::uint16_t rid) = 0;
  /// Grows with each change of what the first two answer.
  [[nodiscard]] virtual std::uint64_t generation() const = 0;
};

}  // namespace teeio::hw
