#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "schedule/mutex.h"

namespace teeio::vfio {

using Uuid = std::array<std::byte, 16>;

/// The secret that the user of a PF shares with those who may use its VFs. Until somebody
/// sets it, it is one that nobody knows.
/// Source: Linux drivers/vfio/pci/vfio_pci_core.c, struct vfio_pci_vf_token and
/// vfio_pci_core_match_token_uuid().
///
/// Lifetime: its PF's Device. Locking: a leaf of its own (vf_token->lock).
class VfToken {
 public:
  /// A user of a VF: EACCES without the token.
  Result<void> admit_vf(const std::optional<Uuid>& token) TEEIO_EXCLUDES(lock_);
  /// A user of the PF: while VFs are in use EACCES without the token; else a token that
  /// is given is the one from now on.
  Result<void> admit_pf(const std::optional<Uuid>& token) TEEIO_EXCLUDES(lock_);
  /// VFIO_DEVICE_FEATURE_PCI_VF_TOKEN.
  void set(const Uuid& token) TEEIO_EXCLUDES(lock_);
  /// A VF is opened, and closed.
  void use() TEEIO_EXCLUDES(lock_);
  void put() TEEIO_EXCLUDES(lock_);

 private:
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::optional<Uuid> token_ TEEIO_GUARDED_BY(lock_);
  std::uint32_t users_ TEEIO_GUARDED_BY(lock_) = 0;
};

}  // namespace teeio::vfio
