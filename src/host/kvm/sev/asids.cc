#include "host/kvm/sev/asids.h"

#include <utility>

namespace teeio::kvm {

Asids::Asids(std::uint32_t count, std::function<Result<void>()> flush) : flush_(std::move(flush)) {
  const schedule::Lock lock(mutex_);
  for (sev::Asid asid = 1; asid <= count && asid <= sev::Rmp::kMaxAsid; ++asid) free_.insert(asid);
}

Result<sev::Asid> Asids::alloc() {
  for (bool flushed = false;; flushed = true) {
    std::set<sev::Asid> recycled;
    {
      const schedule::Lock lock(mutex_);
      if (!free_.empty()) return free_.extract(free_.begin()).value();
      if (flushed || used_up_.empty()) return fail(Errno::kBusy, "every ASID is in use");
      recycled.swap(used_up_);
    }
    const bool good = flush_().has_value();
    const schedule::Lock lock(mutex_);
    (good ? free_ : used_up_).merge(recycled);
    if (!good) return fail(Errno::kBusy, "the ASIDs that are given up cannot be flushed");
  }
}

void Asids::free(sev::Asid asid) {
  const schedule::Lock lock(mutex_);
  used_up_.insert(asid);
}

}  // namespace teeio::kvm
