#include "run/carried_out.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "run/sys.h"

namespace teeio::run {
namespace {

constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
constexpr std::uint64_t kSyscallBytes = 2;    // the instruction
constexpr std::uint64_t kNoRestart = ~std::uint64_t{0};

/// A traced thread, from PTRACE_SEIZE on.
class Tracee {
 public:
  Tracee(pid_t process, pid_t tid) : process_(process), tid_(tid) {}
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;

  /// Detaches, if the thread is still there, and sends again what it was sent.
  ~Tracee() {
    if (!gone_) (void)::ptrace(PTRACE_DETACH, tid_, nullptr, nullptr);
    for (const int signal : held_back_) (void)::syscall(SYS_tgkill, process_, tid_, signal);
  }

  /// Waits for the stop that PTRACE_INTERRUPT asked for, or for the next stop at a
  /// system call. False: the thread is gone.
  bool wait_for_stop(bool at_call) {
    for (;;) {
      siginfo_t info{};
      // A thread that ended is left to the supervisor, which reaps it and looks at its status.
      const int looked = ::waitid(P_PID, id(), &info, WEXITED | WSTOPPED | WNOWAIT | __WALL);
      if (looked != 0 && errno == EINTR) continue;
      if (looked != 0 || info.si_code != CLD_TRAPPED) return gone();
      info = {};
      const int took = ::waitid(P_PID, id(), &info, WSTOPPED | WNOHANG | __WALL);
      if (took != 0 || info.si_pid == 0) continue;
      const int event = info.si_status >> 8;
      const int signal = info.si_status & 0xff;
      if (event == PTRACE_EVENT_STOP && !at_call) return true;
      if (at_call && event == 0 && signal == kSyscallStop) return true;
      if (event == 0 && signal != kSyscallStop) held_back_.push_back(signal);
      if (::ptrace(at_call ? PTRACE_SYSCALL : PTRACE_CONT, tid_, nullptr, nullptr) != 0)
        return gone();
    }
  }

  bool registers(user_regs_struct& regs) {
    return ::ptrace(PTRACE_GETREGS, tid_, nullptr, &regs) == 0 || gone();
  }
  bool set_registers(user_regs_struct regs) {
    return ::ptrace(PTRACE_SETREGS, tid_, nullptr, &regs) == 0 || gone();
  }

  /// Carries out one call from the stop it is at. `base`: the registers right behind the
  /// trapped call. False: the thread is gone.
  bool call(const user_regs_struct& base, long number, std::uint64_t argument,
            std::int64_t& result) {
    user_regs_struct regs = base;
    regs.rip -= kSyscallBytes;
    regs.rax = static_cast<std::uint64_t>(number);
    regs.orig_rax = kNoRestart;
    regs.rdi = argument;
    if (!set_registers(regs)) return false;
    for (int stop = 0; stop < 2; ++stop) {  // at its beginning, at its end
      if (::ptrace(PTRACE_SYSCALL, tid_, nullptr, nullptr) != 0) return gone();
      if (!wait_for_stop(true)) return false;
    }
    if (!registers(regs)) return false;
    result = static_cast<std::int64_t>(regs.rax);
    return true;
  }

 private:
  bool gone() {
    gone_ = true;
    return false;
  }

  [[nodiscard]] id_t id() const { return static_cast<id_t>(tid_); }

  const pid_t process_;
  const pid_t tid_;
  bool gone_ = false;
  std::vector<int> held_back_;
};

}  // namespace

Result<std::int64_t> carry_out_fchdir(pid_t process, pid_t tid, int fd,
                                      const std::function<void()>& answer) {
  if (::ptrace(PTRACE_SEIZE, tid, nullptr, PTRACE_O_TRACESYSGOOD) != 0)
    return std::unexpected(last_error("the thread must not be traced"));
  const Error died{kNoThread, "the thread died"};
  Tracee tracee(process, tid);
  (void)::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);
  answer();
  user_regs_struct base{};
  if (!tracee.wait_for_stop(false) || !tracee.registers(base)) return std::unexpected(died);
  std::int64_t moved = 0;
  std::int64_t closed = 0;
  const auto number = static_cast<std::uint64_t>(fd);
  if (!tracee.call(base, SYS_fchdir, number, moved) ||
      !tracee.call(base, SYS_close, number, closed))
    return std::unexpected(died);
  base.rax = static_cast<std::uint64_t>(moved);
  base.orig_rax = kNoRestart;
  if (!tracee.set_registers(base)) return std::unexpected(died);
  return moved;
}

}  // namespace teeio::run
