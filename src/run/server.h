#pragma once

#include <cstdint>
#include <vector>

#include "run/call.h"
#include "run/calls_in_progress.h"
#include "run/releaser.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::run {

/// Receives trapped calls and answers them. Exactly one task waits in the
/// kernel, since more waiters make every call slower; it answers what it
/// received itself. A second one looks on every half millisecond, and takes the
/// receiver's role when it sees the same call twice: a call that waits for
/// another call of the program cannot keep that one from being received.
///
/// Locking: rank kSupervisor, never held during a call.
class Server {
 public:
  Server(Context& context, Releaser& releaser, CallsInProgress& calls)
      : context_(context), releaser_(releaser), calls_(calls) {}

  /// False: no threads can be made; stop() all the same.
  [[nodiscard]] bool start();
  /// Ends and joins all tasks. Precondition: no thread of the program is left.
  void stop();

 private:
  /// Who receives, and how many calls began or ended under that role, so odd
  /// means "answers a call". One word, so that a look and a takeover are atomic.
  struct Role {
    std::uint16_t owner = 0;
    std::uint64_t steps = 0;  ///< 48 bits
    [[nodiscard]] bool answers() const { return steps % 2 == 1; }
    [[nodiscard]] std::uint64_t word() const { return std::uint64_t{owner} << 48U | steps; }
    [[nodiscard]] static Role of(std::uint64_t word) {
      return {static_cast<std::uint16_t>(word >> 48U), word & ((1ULL << 48U) - 1)};
    }
  };

  void serve(std::uint16_t self);
  /// Receives and answers until the role is lost or the end came.
  void receive(std::uint16_t self, CallsInProgress::Slot& slot);
  void answer(const seccomp_notif& notification, CallsInProgress::Slot& slot);
  /// The line of `-v`. `begin_ns`: when the call came in, if the log wants to know.
  void log(Call& call, const Reply& reply, std::uint64_t begin_ns);
  void reply(Call& call, const Reply& reply);
  /// Looks on; true when the role is now `self`'s, false at the end.
  bool look_on(std::uint16_t self) TEEIO_REQUIRES(mutex_);
  void park() TEEIO_REQUIRES(mutex_);
  void begin_step();
  void wait_for_end();
  /// False: no thread can be made.
  bool spawn_locked() TEEIO_REQUIRES(mutex_);
  [[nodiscard]] bool is_ending();

  Context& context_;
  Releaser& releaser_;
  CallsInProgress& calls_;
  schedule::Atomic<std::uint64_t> role_{0};
  schedule::Atomic<bool> parked_{false};  ///< the onlooker sleeps until a call begins
  schedule::Mutex mutex_{schedule::Rank::kSupervisor};
  schedule::Condition changed_;
  bool ending_ TEEIO_GUARDED_BY(mutex_) = false;
  bool has_onlooker_ TEEIO_GUARDED_BY(mutex_) = false;
  std::size_t idle_ TEEIO_GUARDED_BY(mutex_) = 0;  ///< neither receives, answers nor looks on
  std::size_t running_ TEEIO_GUARDED_BY(mutex_) = 0;
  bool lacked_thread_ TEEIO_GUARDED_BY(mutex_) = false;  ///< and was said so
  std::vector<pid_t> threads_ TEEIO_GUARDED_BY(mutex_);
  std::vector<schedule::Task> tasks_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
