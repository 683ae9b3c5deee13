#include "object/fail_nth.h"

#include "object/trace.h"

namespace teeio::object {

using schedule::Fault;

void FailNth::set(std::int32_t tid, std::uint32_t nth) {
  const schedule::RawLockGuard guard(lock_);
  if (nth == 0)
    left_.erase(tid);
  else
    left_[tid] = nth;
}

std::uint32_t FailNth::get(std::int32_t tid) {
  const schedule::RawLockGuard guard(lock_);
  const auto at = left_.find(tid);
  return at == left_.end() ? 0 : at->second;
}

void FailNth::forget(std::int32_t tid) { set(tid, 0); }

FailNth::Folder& FailNth::folder_of(Fault fault) {
  if (fault == Fault::kNoMemory) return slab_;
  return fault == Fault::kNoPage ? page_ : iommufd_;
}

bool FailNth::happens(schedule::FaultPlace, std::string_view name, Fault fault) {
  Folder& folder = folder_of(fault);
  // Every page here is one by itself, and may be waited for.
  if (folder.ignores_wait.load() || folder.min_order.load() > 0) return false;
  const std::int32_t tid = OriginScope::current().tid;
  {
    const schedule::RawLockGuard guard(lock_);
    const auto at = left_.find(tid);
    if (tid == 0 || at == left_.end() || --at->second != 0) return false;
    left_.erase(at);
  }
  if (told_ && folder.verbose.load() != 0) told_(tid, name);
  return true;
}

}  // namespace teeio::object
