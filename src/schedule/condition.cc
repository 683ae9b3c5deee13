#include "schedule/condition.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "schedule/controller.h"
#include "schedule/races.h"

namespace teeio::schedule {
namespace {

constexpr std::uint64_t kForever = std::numeric_limits<std::uint64_t>::max();
/// A year: what is added to a native clock must not overflow it.
constexpr std::uint64_t kLongestNativeNs = 365ULL * 24 * 3600 * 1'000'000'000;
constexpr std::string_view kName = "condition";

/// A wait in explored mode: over once the generation has moved on.
struct Ticket {
  const std::uint64_t* generation;
  std::uint64_t seen;
  static std::uint64_t now(const std::uint64_t& generation) {
    const Unwatched unwatched;
    return generation;
  }
  static bool over(const void* context) {
    const Unwatched unwatched;
    const auto* t = static_cast<const Ticket*>(context);
    return *t->generation != t->seen;
  }
};

/// Lends the lock, which the caller holds, to std::condition_variable; our
/// book-keeping of held locks goes on as if it stayed locked.
class Lent {
 public:
  explicit Lent(std::mutex& native) : lock(native, std::adopt_lock) {}
  ~Lent() { (void)lock.release(); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  std::unique_lock<std::mutex> lock;
};

}  // namespace

void Condition::wait(Mutex& mutex) { (void)wait_for(mutex, kForever); }

bool Condition::wait_for(Mutex& mutex, std::uint64_t timeout_ns) {
  mutex.assert_held();
  const bool forever = timeout_ns == kForever;
  Controller* c = controller();
  if (c == nullptr) {
    Lent lent(mutex.native_);
    if (forever) return native_.wait(lent.lock), true;
    const auto timeout = std::chrono::nanoseconds(std::min(timeout_ns, kLongestNativeNs));
    return native_.wait_for(lent.lock, timeout) == std::cv_status::no_timeout;
  }
  // Three steps, each on one object: into the queue, off the lock, asleep. A
  // notify between the first and the third is not lost.
  const std::uint32_t number = detail::number_of(*c, number_, kName);
  c->point({OpKind::kEnqueue, number}, nullptr, nullptr);
  const Ticket ticket{&generation_, Ticket::now(generation_)};
  mutex.unlock();
  bool notified = true;
  if (forever)
    c->point({OpKind::kWait, number}, Ticket::over, &ticket);
  else
    notified = c->point_until({OpKind::kWait, number}, Ticket::over, &ticket, timeout_ns);
  mutex.lock();
  return notified;
}

void Condition::notify_all() {
  if (controller() != nullptr) {
    detail::announce(OpKind::kNotify, number_, kName);
    const Unwatched unwatched;
    ++generation_;
    return;
  }
  native_.notify_all();
}

}  // namespace teeio::schedule
