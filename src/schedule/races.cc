#include "schedule/races.h"

#include <array>

#if TEEIO_THREAD_SANITIZED
#include <sanitizer/tsan_interface.h>

// Of the run-time library, which has no header for them (llvm's tsan_interface_ann.h).
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void AnnotateIgnoreSyncBegin(const char* file, int line);
void AnnotateIgnoreSyncEnd(const char* file, int line);
}
#endif

namespace teeio::schedule {

const void* place_of_task(std::uint32_t number) {
  // Tasks that share one are ordered although they need not be; runs have a handful.
  constexpr std::size_t kPlaces = 64;
  static constexpr std::array<char, kPlaces> kPlace{};
  return &kPlace.at(number % kPlaces);
}

#if TEEIO_THREAD_SANITIZED
namespace detail {
namespace {

constinit thread_local bool t_explored = false;
constinit thread_local Unwatching t_unwatching;

void* changeable(const void* place) { return const_cast<void*>(place); }

/// What is ordered here is, also where locks order nothing: a run may end there.
class LocksCount {
 public:
  LocksCount() {
    for (unsigned i = 0; i < t_unwatching.locks; ++i) AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
  }
  ~LocksCount() {
    for (unsigned i = 0; i < t_unwatching.locks; ++i) AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
  }
  LocksCount(const LocksCount&) = delete;
  LocksCount& operator=(const LocksCount&) = delete;
};

}  // namespace

void set_explored(bool explored) { t_explored = explored; }
Unwatching& unwatching() { return t_unwatching; }

void order_after(const void* place) {
  if (!t_explored) return;
  const LocksCount locks_count;
  __tsan_acquire(changeable(place));
}

void order_before(const void* place) {
  if (!t_explored) return;
  const LocksCount locks_count;
  __tsan_release(changeable(place));
}

bool stop_watching(bool locks_too) {
  if (!t_explored) return false;
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  ++t_unwatching.accesses;
  if (!locks_too) return true;
  AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
  ++t_unwatching.locks;
  return true;
}

void watch_again(bool locks_too) {
  if (locks_too) {
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
    --t_unwatching.locks;
  }
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  --t_unwatching.accesses;
}

void watch_at_last(Unwatching& unwatching) {
  for (; unwatching.locks != 0; --unwatching.locks) AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
  for (; unwatching.accesses != 0; --unwatching.accesses) {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
}

}  // namespace detail
#endif

}  // namespace teeio::schedule
