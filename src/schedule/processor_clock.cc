#include "schedule/processor_clock.h"

#include <time.h>

#include "base/check.h"

namespace teeio::schedule {

std::uint64_t processor_ns() {
  timespec used{};
  const bool known = ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0;
  TEEIO_CHECK(known, "a thread has no clock of its own");
  constexpr std::uint64_t kSecondNs = 1'000'000'000;
  return static_cast<std::uint64_t>(used.tv_sec) * kSecondNs +
         static_cast<std::uint64_t>(used.tv_nsec);
}

}  // namespace teeio::schedule
