#pragma once

#include <cstdint>
#include <functional>
#include <set>

#include "base/result.h"
#include "firmware/sev/rmp.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// ASIDs of SNP guests. One that a guest has given up waits for a flush, which comes when
/// none is left. Source: Linux arch/x86/kvm/svm/sev.c, sev_asid_new(), sev_asid_free(),
/// __sev_recycle_asids().
///
/// Locking: own lock, rank kLeaf; the flush is called without it.
class Asids {
 public:
  /// `flush`: WBINVD and DF_FLUSH; ASIDs go from 1 to `count`.
  Asids(std::uint32_t count, std::function<Result<void>()> flush);

  /// The lowest free one. Errors: EBUSY when every one is a guest's, or the flush fails.
  Result<sev::Asid> alloc() TEEIO_EXCLUDES(mutex_);
  void free(sev::Asid asid) TEEIO_EXCLUDES(mutex_);

 private:
  const std::function<Result<void>()> flush_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::set<sev::Asid> free_ TEEIO_GUARDED_BY(mutex_);
  std::set<sev::Asid> used_up_ TEEIO_GUARDED_BY(mutex_);  ///< sev_reclaim_asid_bitmap
};

}  // namespace teeio::kvm
