#include "cli/internal_error.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>

#include "base/check.h"
#include "base/source_name.h"
#include "run/abandon.h"
#include "schedule/atomic.h"

namespace teeio::cli {
namespace {

constexpr unsigned kPatienceSeconds = 20;  ///< for the dying and the files

std::function<void(const std::string&)> g_write;
schedule::Atomic<pid_t> g_failing{0};  ///< the thread that found the first mistake
CheckHandler g_handler_before = nullptr;
std::terminate_handler g_terminate_before = nullptr;

/// Whatever hangs from here on ends us. The signal is this thread's own: one to the
/// process would be taken by the thread that waits for signals to pass on.
void end_after(unsigned seconds) {
  (void)::signal(SIGALRM, SIG_DFL);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event._sigev_un._tid = ::gettid();
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;
  const itimerspec patience{.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_nsec = 0}};
  (void)::timer_settime(timer, 0, &patience, nullptr);
}

[[noreturn]] void fail(const std::string& what) {
  pid_t nobody = 0;
  if (!g_failing.compare_exchange(nobody, ::gettid())) {
    if (nobody == ::gettid()) std::abort();  // the words themselves failed
    for (;;) ::pause();                      // it is being told
  }
  end_after(kPatienceSeconds);
  run::abandon();
  g_write(what);
  std::abort();
}

void on_check_failed(std::string_view what, std::source_location where) {
  fail(fmt::format("{} ({}:{})", what, source_name(where), where.line()));
}

void on_terminate() {
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::exception& thrown) {
    fail(fmt::format("an exception that nobody catches: {}", thrown.what()));
  } catch (...) {
    fail("an exception that nobody catches");
  }
  fail("std::terminate() without an exception");
}

}  // namespace

InternalErrorScope::InternalErrorScope(std::function<void(const std::string&)> write) {
  g_write = std::move(write);
  g_handler_before = set_check_handler(on_check_failed);
  g_terminate_before = std::set_terminate(on_terminate);
}

InternalErrorScope::~InternalErrorScope() {
  (void)set_check_handler(g_handler_before);
  (void)std::set_terminate(g_terminate_before);
  g_write = {};
}

}  // namespace teeio::cli
