#include "explore/jobs/workers.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

struct Child {
  pid_t pid;
  int from;  // its lines
  std::size_t piece;
  std::string text;  // not a whole line yet
};

/// The last signal that asked for an end, and how many did. In a child: of its own.
volatile std::sig_atomic_t g_signal = 0;
volatile std::sig_atomic_t g_signals = 0;
volatile std::sig_atomic_t g_stop = 0;

extern "C" void note_signal(int signal) {
  g_signal = signal;
  g_signals = g_signals + 1;
}
extern "C" void note_stop(int) { g_stop = 1; }

/// While it lives, SIGTSTP is noted, and arrives only in ppoll(). Made after Signals, whose mask
/// that of ppoll() is.
class StopSignal {
 public:
  StopSignal() {
    g_stop = 0;
    struct sigaction action{};
    action.sa_handler = note_stop;
    ::sigaction(SIGTSTP, nullptr, &before_);
    if (before_.sa_handler == SIG_IGN) return;
    ::sigaction(SIGTSTP, &action, nullptr);
    ::sigprocmask(SIG_BLOCK, &only_, &mask_before_);
  }
  ~StopSignal() {
    if (before_.sa_handler == SIG_IGN) return;
    ::sigaction(SIGTSTP, &before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Whether it has come: ppoll() lets none in where it finds something to read.
  [[nodiscard]] bool take() const {
    const timespec at_once{};
    const bool waits =
        before_.sa_handler != SIG_IGN && ::sigtimedwait(&only_, nullptr, &at_once) > 0;
    return std::exchange(g_stop, 0) != 0 || waits;
  }
  /// Until SIGCONT, as the signal would have.
  void stop_here() const {
    struct sigaction noted{};
    ::sigaction(SIGTSTP, &before_, &noted);
    (void)::raise(SIGTSTP);
    ::sigprocmask(SIG_UNBLOCK, &only_, nullptr);  // here
    ::sigprocmask(SIG_BLOCK, &only_, nullptr);
    ::sigaction(SIGTSTP, &noted, nullptr);
  }
  void for_a_child() const { ::sigaction(SIGTSTP, &before_, nullptr); }

 private:
  static sigset_t only() {
    sigset_t set{};
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    return set;
  }
  const sigset_t only_ = only();
  struct sigaction before_{};
  sigset_t mask_before_{};
};

/// While it lives, SIGINT, SIGTERM and SIGHUP are noted, and arrive only in ppoll().
class Signals {
 public:
  Signals() {
    g_signal = 0;
    g_signals = 0;
    sigset_t both{};
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGHUP);
    ::sigprocmask(SIG_BLOCK, &both, &before_);
    struct sigaction action{};
    action.sa_handler = note_signal;
    ::sigaction(SIGINT, &action, &int_before_);
    ::sigaction(SIGTERM, &action, &term_before_);
    ::sigaction(SIGHUP, &action, &hup_before_);
    if (hup_before_.sa_handler == SIG_IGN) ::sigaction(SIGHUP, &hup_before_, nullptr);  // nohup
  }
  ~Signals() {
    ::sigaction(SIGINT, &int_before_, nullptr);
    ::sigaction(SIGTERM, &term_before_, nullptr);
    ::sigaction(SIGHUP, &hup_before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Notes what waits: ppoll() lets no signal in where it finds something to read.
  void take_pending() const {
    sigset_t noted{};
    sigemptyset(&noted);
    sigaddset(&noted, SIGINT);
    sigaddset(&noted, SIGTERM);
    if (hup_before_.sa_handler != SIG_IGN) sigaddset(&noted, SIGHUP);
    const timespec at_once{};
    for (int signal = 0; (signal = ::sigtimedwait(&noted, nullptr, &at_once)) > 0;)
      note_signal(signal);
  }
  /// For a child: a terminal's SIGINT is the parent's, which then sends SIGTERM.
  void for_a_child() const {
    g_signal = 0;
    g_signals = 0;
    (void)std::signal(SIGINT, SIG_IGN);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  [[nodiscard]] const sigset_t& while_waiting() const { return before_; }

 private:
  sigset_t before_{};
  struct sigaction int_before_{};
  struct sigaction term_before_{};
  struct sigaction hup_before_{};
};

void write_line(int to, std::string line) {
  line += '\n';
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t n = ::write(to, line.data() + at, line.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(1);  // nobody listens any more
    at += static_cast<std::size_t>(n);
  }
}

Child start(std::size_t piece, const Workers::Callbacks& callbacks, const Signals& signals,
            const StopSignal* stops) {
  std::array<int, 2> ends{};
  TEEIO_CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe for a process of the exploration");
  (void)std::fflush(nullptr);
  const pid_t pid = ::fork();
  TEEIO_CHECK(pid >= 0, "no process for the exploration");
  if (pid == 0) {
    ::close(ends[0]);
    if (stops != nullptr) stops->for_a_child();
    signals.for_a_child();
    callbacks.work(piece, [to = ends[1]](const std::string& line) { write_line(to, line); });
    _exit(0);
  }
  ::close(ends[1]);
  return {pid, ends[0], piece, {}};
}

/// False at the end.
bool read_lines(Child& child, const Workers::Callbacks& callbacks) {
  std::array<char, 65536> part{};
  const ssize_t n = ::read(child.from, part.data(), part.size());
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) return false;
  child.text.append(part.data(), static_cast<std::size_t>(n));
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = child.text.find('\n', begin)) != std::string::npos;
       begin = end + 1)
    callbacks.heard(child.piece, child.text.substr(begin, end - begin));
  child.text.erase(0, begin);
  return true;
}

std::string end_of(const Child& child) {
  ::close(child.from);
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "exit status " + std::to_string(WEXITSTATUS(status));
  return {};
}

/// The children of a run, and how it comes to its end.
class Running {
 public:
  Running(std::size_t count, unsigned at_a_time, const Workers::Callbacks& callbacks)
      : count_(count), at_a_time_(at_a_time), callbacks_(callbacks) {
    if (callbacks.stops) stop_signal_.emplace();
  }

  int run() {
    while ((next_ < count_ && g_signals == 0) || !children_.empty()) {
      while (next_ < count_ && children_.size() < at_a_time_ && g_signals == 0)
        children_.push_back(
            start(next_++, callbacks_, signals_, stop_signal_ ? &*stop_signal_ : nullptr));
      wait();
    }
    return g_signal;
  }

 private:
  void wait() {
    std::vector<pollfd> waits;
    waits.reserve(children_.size());
    for (const Child& child : children_) waits.push_back({child.from, POLLIN, 0});
    const bool hastens = g_signals != 0;
    const timespec look{.tv_sec = hastens ? 0 : 1, .tv_nsec = hastens ? 50'000'000 : 0};
    const int ready = ::ppoll(waits.data(), waits.size(), &look, &signals_.while_waiting());
    signals_.take_pending();
    if (stop_signal_ && stop_signal_->take()) stop();
    if (g_signals != 0) hasten();
    let_go_on();
    if (ready <= 0) return;
    for (std::size_t i = waits.size(); i-- > 0;)
      if (waits[i].revents != 0 && !read_lines(children_[i], callbacks_)) end(i);
  }

  /// With all that the children have begun elsewhere.
  void stop() const {
    callbacks_.stops(true);
    stop_signal_->stop_here();
    callbacks_.stops(false);
  }

  /// A child that was stopped keeps no limit: what a sweep runs may send SIGSTOP to its parent.
  /// Looked for each second, however much the others say.
  void let_go_on() {
    constexpr std::uint64_t kEachNs = 1'000'000'000;
    const std::uint64_t now = schedule::now_ns();
    if (now - looked_ns_ < kEachNs) return;
    looked_ns_ = now;
    for (const Child& child : children_) {
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(child.pid), &info, WSTOPPED | WNOHANG) == 0 &&
          info.si_pid == child.pid)
        ::kill(child.pid, SIGCONT);
    }
  }

  /// First all are asked, later they are killed.
  void hasten() {
    const std::uint64_t now = schedule::now_ns();
    if (!asked_) {
      asked_ = now;
      for (const Child& child : children_) ::kill(child.pid, SIGTERM);
    }
    const bool patient = now - *asked_ < std::uint64_t{Workers::kPatienceMs} * 1'000'000;
    if ((patient && g_signals < 2) || killed_) return;
    killed_ = true;
    for (const Child& child : children_) ::kill(child.pid, SIGKILL);
  }

  void end(std::size_t i) {
    const std::size_t piece = children_[i].piece;
    const std::string how = end_of(children_[i]);
    children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
    if (!killed_) callbacks_.ended(piece, how);
  }

  const std::size_t count_;
  const unsigned at_a_time_;
  const Workers::Callbacks& callbacks_;
  const Signals signals_;
  std::optional<StopSignal> stop_signal_;  ///< somebody wants to know
  std::uint64_t looked_ns_ = schedule::now_ns();
  std::vector<Child> children_;
  std::size_t next_ = 0;
  std::optional<std::uint64_t> asked_;  // ns
  bool killed_ = false;
};

}  // namespace

int Workers::run(std::size_t count, const Callbacks& callbacks) const {
  return Running(count, at_a_time_, callbacks).run();
}

bool Workers::is_stopping() { return g_signals != 0; }

std::string signal_name(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

unsigned processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1U, static_cast<unsigned>(CPU_COUNT(&set)));
}

}  // namespace teeio::explore
