#include "run/log.h"

#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/text.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kNsPerUs = 1000;
constexpr std::uint64_t kUsPerS = 1'000'000;

std::string who(pid_t tid) { return "[pid " + std::to_string(tid) + "] "; }

/// Gives 0, or the errno with which the line was lost.
int write_line(int fd, std::string words) {
  std::ranges::replace(words, '\n', ' ');  // a name may have any
  const std::string line = visible(words += '\n');
  const ::ssize_t written = ::write(fd, line.data(), line.size());
  if (written < 0) return errno;
  return static_cast<std::size_t>(written) == line.size() ? 0 : ENOSPC;
}

/// "12:34:56.000789 ", local time.
std::string time_of_day() {
  timespec now{};
  (void)::timespec_get(&now, TIME_UTC);
  tm parts{};
  (void)::localtime_r(&now.tv_sec, &parts);
  std::array<char, 32> text{};
  (void)std::snprintf(text.data(), text.size(), "%02d:%02d:%02d.%06lu ", parts.tm_hour,
                      parts.tm_min, parts.tm_sec,
                      static_cast<unsigned long>(now.tv_nsec) / kNsPerUs);
  return text.data();
}

/// " <0.000123>".
std::string duration(std::uint64_t ns) {
  std::array<char, 32> text{};
  const std::uint64_t us = ns / kNsPerUs;
  (void)std::snprintf(text.data(), text.size(), " <%lu.%06lu>", us / kUsPerS, us % kUsPerS);
  return text.data();
}

/// Of "ioctl(768</dev/iommu>, IOMMU_DESTROY, {id=7})" the two names.
std::string_view call_name(std::string_view text) { return text.substr(0, text.find('(')); }
std::string_view ioctl_name(std::string_view text) {
  if (call_name(text) != "ioctl") return {};
  const std::size_t begin = text.find(">, ");
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = text.substr(begin + 3);
  return rest.substr(0, rest.find(','));
}

}  // namespace

std::string Log::call_prefix(pid_t tid) const {
  return calls_.clock ? who(tid) + time_of_day() : who(tid);
}

void Log::say(std::string line) const {
  if (const int error = write_line(fd_, std::move(line)); error != 0) lost_words_.store(error);
}
void Log::say_of_calls(std::string line) const {
  if (const int error = write_line(calls_.fd, std::move(line)); error != 0)
    lost_calls_.store(error);
}

void Log::warn(pid_t tid, std::string_view text) const { say(("teeio: " + who(tid)).append(text)); }
void Log::warn(std::string_view text) const { say(std::string("teeio: ").append(text)); }

void Log::call(pid_t tid, std::string_view text, std::string_view outcome,
               std::uint64_t took_ns) const {
  if (calls_.admits && !calls_.admits(call_name(text), ioctl_name(text))) return;
  std::string line = call_prefix(tid).append(text).append(" = ").append(outcome);
  if (calls_.durations) line += duration(took_ns);
  say_of_calls(std::move(line));
}

void Log::release(std::string_view name) const {
  if (calls_.admits && !calls_.admits("close", "")) return;
  say_of_calls(std::string("[last close] ").append(name));
}

void Log::ended(pid_t pid, int wait_status) const {
  const std::string how = WIFSIGNALED(wait_status)
                              ? std::string("killed by SIG") + ::sigabbrev_np(WTERMSIG(wait_status))
                              : "exited with " + std::to_string(WEXITSTATUS(wait_status));
  say_of_calls(call_prefix(pid).append("+++ ").append(how).append(" +++"));
}

}  // namespace teeio::run
