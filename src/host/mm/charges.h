#pragma once

#include <cstdint>

#include "base/result.h"

namespace teeio::mm {

/// Who pays for pages that are pinned, and how much they may be.
/// Source: Linux drivers/iommu/iommufd/pages.c, iopt_pages_update_pinned(), and
/// drivers/vfio/vfio_iommu_type1.c, mm_lock_acct().
///
/// Lifetime: of a run of programs; in-process callers have none, and pay nothing.
/// Locking: its own, below all locks of the host.
class Charges {
 public:
  /// Linux: source_mm, source_task and source_user of struct iopt_pages.
  struct Payer {
    std::uint64_t space = 0;   ///< identifies the address space; 0: nobody
    std::int32_t process = 0;  ///< whose RLIMIT_MEMLOCK counts
    std::uint32_t user = 0;    ///< known where `may_lock` is not set
    bool may_lock = false;     ///< CAP_IPC_LOCK, when it asked for the pages
    bool operator==(const Payer&) const = default;
  };
  /// Whose counts rise and are limited, beside the pages that the space has pinned.
  enum class Mode : std::uint8_t {
    kNone,  ///< IOPT_PAGES_ACCOUNT_NONE
    kUser,  ///< IOPT_PAGES_ACCOUNT_USER: the user's, whatever process
    kMm,    ///< IOPT_PAGES_ACCOUNT_MM: what the space has locked
    /// VFIO's own container: what the space has locked, and nothing else. Who may lock is
    /// counted, and not limited.
    kType1,
  };

  virtual ~Charges() = default;
  /// The process that makes the running task's call.
  virtual Payer payer() = 0;
  /// Whether that one may choose between the user's and its own limit (CAP_SYS_RESOURCE).
  [[nodiscard]] virtual bool may_set_mode() = 0;
  /// Errors: ENOMEM over RLIMIT_MEMLOCK; EINVAL the address space is gone (kMm).
  virtual Result<void> charge(const Payer& payer, Mode mode, std::uint64_t pages) = 0;
  virtual void uncharge(const Payer& payer, Mode mode, std::uint64_t pages) = 0;
};

/// null: nobody pays. Not while tasks run.
void set_charges(Charges* charges);
[[nodiscard]] Charges* charges();

}  // namespace teeio::mm
