#include "run/process_state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstdint>

#include "base/types.h"
#include "run/dma_mappings.h"

namespace teeio::run {
namespace {

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};

/// A program can cut a file that we have mapped for DMA (dma_mappings.h). Of other files, a
/// namespace's say, the page is replaced.
void on_sigbus(int, siginfo_t* info, void*) {
  const int error = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(kPageSize - 1);
  void* const page = reinterpret_cast<void*>(address);
  const bool replaced =
      info->si_code == BUS_ADRERR &&
      (replace_cut(page) || ::mmap(page, kPageSize, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
  if (!replaced) ::signal(SIGBUS, SIG_DFL);
  errno = error;
}

struct sigaction action_for(int signal) {
  struct sigaction action{};
  switch (signal) {
    case SIGBUS:
      action.sa_sigaction = on_sigbus;
      action.sa_flags = SA_SIGINFO;
      break;
    case SIGPIPE:
      action.sa_handler = SIG_IGN;
      break;  // our words may go to a closed pipe
    default:
      action.sa_handler = SIG_DFL;
      break;  // an ignored SIGCHLD hides exits
  }
  return action;
}

}  // namespace

sigset_t ProcessState::waited_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  for (const int signal : kForwarded) ::sigaddset(&set, signal);
  return set;
}

ProcessState::ProcessState() {
  // A closed standard descriptor would be the next file that we open, and our
  // words would go there. The program finds it closed again.
  for (;;) {
    Fd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!fd.ok() || fd.get() > STDERR_FILENO) break;
    placeholders_.push_back(std::move(fd));
  }
  const sigset_t waited = waited_signals();
  ::pthread_sigmask(SIG_BLOCK, &waited, &original_mask_);
  for (std::size_t i = 0; i < kChanged.size(); ++i) {
    const struct sigaction action = action_for(kChanged.at(i));
    ::sigaction(kChanged.at(i), &action, &original_.at(i));
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void ProcessState::restore_signals() const {
  for (std::size_t i = 0; i < kChanged.size(); ++i)
    ::sigaction(kChanged.at(i), &original_.at(i), nullptr);
  ::sigprocmask(SIG_SETMASK, &original_mask_, nullptr);
}

ProcessState::~ProcessState() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  restore_signals();
}

}  // namespace teeio::run
