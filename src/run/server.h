#pragma once

#include <cstdint>
#include <vector>

#include "run/call.h"
#include "run/long_calls.h"
#include "run/releaser.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::run {

/// Receives trapped calls and answers them. Exactly one task waits in the
/// kernel, since more waiters make every call slower; a task whose call may
/// block first hands that role to a spare.
///
/// Locking: rank kSupervisor, never held during a call.
class Server {
 public:
  Server(Context& context, Releaser& releaser, LongCalls& calls)
      : context_(context), releaser_(releaser), calls_(calls) {}

  void start();
  /// Ends and joins all tasks. Precondition: no thread of the program is left.
  void stop();

 private:
  void serve();
  /// Answers calls until this task has given the role away or the end came.
  void receive_and_answer();
  /// Answers one call; false when the role was given away meanwhile.
  bool answer(const seccomp_notif& notification);
  void run(Call& call, const seccomp_data& data);
  void reply(Call& call, const Reply& reply);
  void hand_over() TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] bool is_ending();

  Context& context_;
  Releaser& releaser_;
  LongCalls& calls_;
  schedule::Mutex mutex_{schedule::Rank::kSupervisor};
  schedule::Condition changed_;
  bool receiving_ TEEIO_GUARDED_BY(mutex_) = false;
  bool ending_ TEEIO_GUARDED_BY(mutex_) = false;
  std::size_t idle_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::size_t running_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::vector<pid_t> threads_ TEEIO_GUARDED_BY(mutex_);
  std::vector<schedule::Task> tasks_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
