#include "run/server.h"

#include <signal.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "base/check.h"
#include "object/waits_for_closes.h"
#include "run/dispatch.h"
#include "schedule/try_spawn.h"

namespace teeio::run {
namespace {

// Interrupts a receiver on kernels (before 6.11) that do not wake it when the
// last thread with the filter is gone.
constexpr int kKick = SIGURG;
constexpr std::uint64_t kKickIntervalNs = 1'000'000;
// Some 2 min: twice what IOMMU_DESTROY waits at most (60 s).
constexpr unsigned kMaxKicks = 120'000;
constexpr std::uint64_t kLookNs = 500'000;
constexpr unsigned kQuietLooks = 100;  // without a call, after which the onlooker sleeps

void on_kick(int) {}

void accept_kicks() {
  struct sigaction action{};
  action.sa_handler = on_kick;
  ::sigaction(kKick, &action, nullptr);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, kKick);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

/// A call that waits for a close is none that a release waits for.
class SlotPause final : public object::CloseWaiter {
 public:
  explicit SlotPause(CallsInProgress::Slot& slot) : slot_(slot) { object::set_close_waiter(this); }
  ~SlotPause() override { object::set_close_waiter(nullptr); }
  SlotPause(const SlotPause&) = delete;
  SlotPause& operator=(const SlotPause&) = delete;
  void begin_wait() override {
    call_ = slot_.load();
    slot_.store(0);
  }
  void end_wait() override { slot_.store(call_); }

 private:
  CallsInProgress::Slot& slot_;
  std::uint64_t call_ = 0;
};

std::string outcome_of(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::kContinue:
      return reply.known ? std::to_string(reply.value) : "(native)";
    case Reply::Kind::kValue:
    case Reply::Kind::kSent:
      return std::to_string(reply.value);
    case Reply::Kind::kError:
      break;
  }
  std::string text = "-1 ";
  return text.append(errno_name(reply.error.code)).append(" (").append(reply.error.why) + ")";
}

}  // namespace

bool Server::start() {
  const schedule::Lock lock(mutex_);
  return spawn_locked() && spawn_locked();  // number 0 receives, number 1 looks on
}

bool Server::spawn_locked() {
  const auto self = static_cast<std::uint16_t>(running_);
  auto task = schedule::try_spawn("server", [this, self] { serve(self); });
  if (!task) return false;
  tasks_.push_back(std::move(*task));
  ++running_;
  return true;
}

bool Server::is_ending() {
  const schedule::Lock lock(mutex_);
  return ending_;
}

void Server::serve(std::uint16_t self) {
  accept_kicks();
  CallsInProgress::Slot& slot = calls_.add_slot();
  const SlotPause pause(slot);
  mutex_.lock();
  threads_.push_back(::gettid());
  bool receives = self == 0;
  while (!ending_) {
    if (receives) {
      mutex_.unlock();
      receive(self, slot);
      mutex_.lock();
      receives = false;
    } else if (has_onlooker_) {
      ++idle_;
      changed_.wait(mutex_);
      --idle_;
    } else {
      receives = look_on(self);
    }
  }
  std::erase(threads_, ::gettid());
  --running_;
  changed_.notify_all();
  mutex_.unlock();
}

bool Server::look_on(std::uint16_t self) {
  has_onlooker_ = true;
  Role seen = Role::of(role_.load());
  for (unsigned quiet = 0; !ending_; ++quiet) {
    if (quiet >= kQuietLooks) park();
    (void)changed_.wait_for(mutex_, kLookNs);
    const Role now = Role::of(role_.load());
    std::uint64_t word = now.word();
    const bool stuck = now.answers() && word == seen.word();
    if (stuck && role_.compare_exchange(word, Role{self, now.steps + 1}.word())) break;
    if (word != seen.word()) quiet = 0;
    seen = now;
  }
  has_onlooker_ = false;
  if (ending_) return false;
  if (idle_ == 0 && !spawn_locked() && !std::exchange(lacked_thread_, true))
    context_.log.warn(
        "no thread can be made that answers calls while others wait (ulimit -v and -u, pids.max): "
        "calls that wait for each other may never end");
  changed_.notify_all();
  return true;
}

/// Sleeps until a call begins. A call that began before it could see that we
/// sleep is seen by us instead.
void Server::park() {
  parked_.store(true);
  while (!ending_ && parked_.load() && !Role::of(role_.load()).answers()) changed_.wait(mutex_);
  parked_.store(false);
}

void Server::begin_step() {
  role_.fetch_add(1);
  if (!parked_.load()) return;
  const schedule::Lock lock(mutex_);
  parked_.store(false);
  changed_.notify_all();
}

void Server::wait_for_end() {
  const schedule::Lock lock(mutex_);
  while (!ending_) changed_.wait(mutex_);
}

void Server::receive(std::uint16_t self, CallsInProgress::Slot& slot) {
  for (;;) {
    const Result<seccomp_notif> notification = context_.listener.receive();
    if (notification) {
      begin_step();
      answer(*notification, slot);
      Role role = Role::of(role_.load());
      std::uint64_t word = role.word();
      const bool kept =
          role.owner == self && role_.compare_exchange(word, Role{self, role.steps + 1}.word());
      if (!kept) return;
      continue;
    }
    // ENOENT: the caller was killed before we saw its call, or all are gone.
    // The role stays ours until stop(), which knows for certain.
    if (!is_ending() && context_.listener.ended()) wait_for_end();
    if (is_ending()) return;
  }
}

void Server::answer(const seccomp_notif& notification, CallsInProgress::Slot& slot) {
  const std::uint64_t begin_ns = context_.log.takes_times() ? schedule::now_ns() : 0;
  const Releaser::Ticket due = releaser_.drain();
  context_.tasks.on_call(static_cast<pid_t>(notification.pid));
  releaser_.wait(due);
  slot.store(notification.id);  // only now: a release waits for calls in progress
  Call call(context_, notification);
  const Reply answer = dispatch(call, notification.data);
  // The machine may have changed, and the program may look at once.
  if (call.entered_machine()) context_.tree.sync();
  call.end();
  slot.store(0);
  log(call, answer, begin_ns);
  reply(call, answer);
}

void Server::log(Call& call, const Reply& reply, std::uint64_t begin_ns) {
  if (!context_.log.traces_calls() || call.line().empty()) return;
  const std::uint64_t took_ns = context_.log.takes_times() ? schedule::now_ns() - begin_ns : 0;
  context_.log.call(call.tid(), call.line(), outcome_of(reply), took_ns);
}

void Server::reply(Call& call, const Reply& reply) {
  const bool refused = reply.kind == Reply::Kind::kError && !call.description().empty();
  if (refused && context_.witness != nullptr)
    context_.witness->refused(call.tid(), call.description(), reply.error);
  switch (reply.kind) {
    case Reply::Kind::kContinue:
      return context_.listener.reply_continue(call.id());
    case Reply::Kind::kValue:
      return context_.listener.reply_value(call.id(), reply.value);
    case Reply::Kind::kSent:
      return;
    case Reply::Kind::kError:
      break;
  }
  // Whether the kernel would restart the call, its own code decides: EINTR is
  // right for every call of ours that waits.
  const Errno code = reply.error.code == Errno::kRestart ? Errno::kIntr : reply.error.code;
  context_.listener.reply_error(call.id(), static_cast<std::int32_t>(code));
}

void Server::stop() {
  std::vector<schedule::Task> tasks;
  {
    const schedule::Lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    for (unsigned kicks = 0; running_ > 0; ++kicks) {
      TEEIO_CHECK(kicks < kMaxKicks, "a call goes on although its caller died long ago");
      for (const pid_t thread : threads_) (void)::tgkill(::getpid(), thread, kKick);
      (void)changed_.wait_for(mutex_, kKickIntervalNs);
    }
    tasks = std::move(tasks_);
  }
  for (schedule::Task& task : tasks) task.join();
}

}  // namespace teeio::run
