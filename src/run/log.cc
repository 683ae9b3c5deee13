#include "run/log.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace teeio::run {
namespace {

std::string who(pid_t tid) { return "[pid " + std::to_string(tid) + "] "; }

}  // namespace

void Log::write_line(std::string line) const {
  line += '\n';
  (void)!::write(fd_, line.data(), line.size());
}

void Log::warn(pid_t tid, std::string_view text) const {
  write_line(("teeio: " + who(tid)).append(text));
}
void Log::warn(std::string_view text) const { write_line(std::string("teeio: ").append(text)); }
void Log::call(pid_t tid, std::string_view text, std::string_view outcome) const {
  write_line(who(tid).append(text).append(" = ").append(outcome));
}

void Log::release(std::string_view name) const {
  write_line(std::string("[last close] ").append(name));
}

void Log::ended(pid_t pid, int wait_status) const {
  const std::string how = WIFSIGNALED(wait_status)
                              ? std::string("killed by SIG") + ::sigabbrev_np(WTERMSIG(wait_status))
                              : "exited with " + std::to_string(WEXITSTATUS(wait_status));
  write_line(who(pid).append("+++ ").append(how).append(" +++"));
}

}  // namespace teeio::run
