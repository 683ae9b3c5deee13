#pragma once

#include "firmware/sev/io_guard.h"
#include "firmware/sev/rmp.h"
#include "hw/amd_iommu/secure_side.h"

namespace teeio::sev {

/// The secure side of one IOMMU: secure device table, fences and RMP as its hardware asks
/// them. A trusted request that the host has left without its page fences the guest.
///
/// Lifetime: as the IOMMU; the guard and the RMP outlive it. Locking: any task, none of its
/// own.
class SecureTables final : public hw::SecureSide {
 public:
  /// `root`: the IOMMU's number, which is the fence's root complex.
  SecureTables(IoGuard& guard, Rmp& rmp, std::uint32_t root)
      : guard_(guard), rmp_(rmp), root_(root) {}

  std::expected<Entry, hw::SecureRefusal> entry(std::uint16_t rid) override;
  std::expected<hw::KeyId, hw::SecureRefusal> check(const Entry& entry, Gpa gpa, Hpa page,
                                                    hw::DmaAccess access) override;
  void request_failed(std::uint16_t rid) override;
  [[nodiscard]] std::uint64_t generation() const override { return guard_.generation(); }

 private:
  IoGuard& guard_;
  Rmp& rmp_;
  const std::uint32_t root_;
};

}  // namespace teeio::sev
