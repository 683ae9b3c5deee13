#include "run/server.h"

#include <signal.h>
#include <unistd.h>

#include <string>

#include "run/dispatch.h"

namespace teeio::run {
namespace {

// Interrupts a receiver on kernels (before 6.11) that do not wake it when the
// last thread with the filter is gone.
constexpr int kKick = SIGURG;
constexpr std::uint64_t kKickIntervalNs = 1'000'000;

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

std::string outcome_of(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::kContinue:
      return "(native)";
    case Reply::Kind::kValue:
      return std::to_string(reply.value);
    case Reply::Kind::kError:
      break;
  }
  std::string text = "-1 ";
  return text.append(errno_name(reply.error.code)).append(" (").append(reply.error.why) + ")";
}

}  // namespace

void Server::start() {
  const schedule::Lock lock(mutex_);
  ++running_;
  tasks_.push_back(schedule::Task::spawn("server", [this] { serve(); }));
}

bool Server::is_ending() {
  const schedule::Lock lock(mutex_);
  return ending_;
}

void Server::serve() {
  accept_kicks();
  mutex_.lock();
  threads_.push_back(::gettid());
  while (!ending_) {
    if (receiving_) {
      ++idle_;
      changed_.wait(mutex_);
      --idle_;
      continue;
    }
    receiving_ = true;
    mutex_.unlock();
    receive_and_answer();
    mutex_.lock();
  }
  std::erase(threads_, ::gettid());
  --running_;
  changed_.notify_all();
  mutex_.unlock();
}

void Server::receive_and_answer() {
  for (;;) {
    const Result<seccomp_notif> notification = context_.listener.receive();
    if (notification) {
      if (!answer(*notification)) return;
      continue;
    }
    // ENOENT: the caller was killed before we saw its call, or all are gone.
    // The role stays ours until stop(), which knows for certain.
    if (!is_ending() && context_.listener.ended()) {
      const schedule::Lock lock(mutex_);
      while (!ending_) changed_.wait(mutex_);
    }
    if (is_ending()) return;
  }
}

bool Server::answer(const seccomp_notif& notification) {
  const Releaser::Ticket due = releaser_.drain();
  context_.tasks.on_call(static_cast<pid_t>(notification.pid));
  bool has_role = true;
  const auto give_away = [&] {
    if (has_role) hand_over();
    has_role = false;
    calls_.begin(notification.id);
  };
  if (!releaser_.is_done(due)) {
    hand_over();
    has_role = false;
    releaser_.wait(due);  // not a long call yet: a release may wait for those
    calls_.begin(notification.id);
  }
  Call call(context_, notification, give_away);
  run(call, notification.data);
  if (!has_role) calls_.end(notification.id);
  return has_role;
}

void Server::run(Call& call, const seccomp_data& data) {
  const Reply answer = dispatch(call, data);
  // The machine may have changed, and the program may look at once.
  if (call.entered_machine()) context_.tree.sync();
  reply(call, answer);
}

void Server::reply(Call& call, const Reply& reply) {
  if (!call.description().empty())
    context_.log.call(call.tid(), call.description(), outcome_of(reply));
  switch (reply.kind) {
    case Reply::Kind::kContinue:
      return context_.listener.reply_continue(call.id());
    case Reply::Kind::kValue:
      return context_.listener.reply_value(call.id(), reply.value);
    case Reply::Kind::kError:
      break;
  }
  // Whether the kernel would restart the call, its own code decides: EINTR is
  // right for every call of ours that waits.
  const Errno code = reply.error.code == Errno::kRestart ? Errno::kIntr : reply.error.code;
  context_.listener.reply_error(call.id(), static_cast<std::int32_t>(code));
}

void Server::hand_over() {
  const schedule::Lock lock(mutex_);
  receiving_ = false;
  if (idle_ > 0) return changed_.notify_all();
  ++running_;
  tasks_.push_back(schedule::Task::spawn("server", [this] { serve(); }));
}

void Server::stop() {
  std::vector<schedule::Task> tasks;
  {
    const schedule::Lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    while (running_ > 0) {
      for (const pid_t thread : threads_) (void)::tgkill(::getpid(), thread, kKick);
      (void)changed_.wait_for(mutex_, kKickIntervalNs);
    }
    tasks = std::move(tasks_);
  }
  for (schedule::Task& task : tasks) task.join();
}

}  // namespace teeio::run
