#include "run/log.h"

#include <unistd.h>

namespace teeio::run {
namespace {

void write_line(std::string line) {
  line += '\n';
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

std::string who(pid_t tid) { return "[pid " + std::to_string(tid) + "] "; }

}  // namespace

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

}  // namespace teeio::run
