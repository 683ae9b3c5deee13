#pragma once

#include <cstdint>
#include <map>

#include "host/mm/user_memory.h"
#include "schedule/mutex.h"

namespace teeio::iommufd {

/// How many mappings of a machine hold each page of its programs (Linux: the pins in a
/// page's reference count). It costs a look-up a page, so only machines whose programs may
/// ask keep one.
///
/// Locking: its own, a leaf.
class PinBook {
 public:
  void add(const mm::PageId& page) TEEIO_EXCLUDES(mutex_) {
    const schedule::Lock lock(mutex_);
    ++pins_[page];
  }
  void remove(const mm::PageId& page) TEEIO_EXCLUDES(mutex_) {
    const schedule::Lock lock(mutex_);
    if (const auto at = pins_.find(page); at != pins_.end() && --at->second == 0) pins_.erase(at);
  }
  [[nodiscard]] std::uint32_t count(const mm::PageId& page) TEEIO_EXCLUDES(mutex_) {
    const schedule::Lock lock(mutex_);
    const auto at = pins_.find(page);
    return at == pins_.end() ? 0 : at->second;
  }

 private:
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<mm::PageId, std::uint32_t> pins_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::iommufd
