#pragma once

#include <pthread.h>
#include <signal.h>
#include <time.h>

namespace teeio::serve {

/// While it lives a pipe whose reader has left is an error of the write, as a full disk is, and
/// not the end of the program.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    (void)sigemptyset(&pipe_);
    (void)sigaddset(&pipe_, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutPipeSignal() {
    constexpr timespec kNone{};
    (void)sigtimedwait(&pipe_, nullptr, &kNone);
    (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutPipeSignal(const WithoutPipeSignal&) = delete;
  WithoutPipeSignal& operator=(const WithoutPipeSignal&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

}  // namespace teeio::serve
