#include "cli/explore_workers.h"

#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "base/check.h"

namespace teeio::cli {
namespace {

struct Child {
  pid_t pid;
  int from;  // its lines
  std::size_t piece;
  std::string text;  // not a whole line yet
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

Child start(std::size_t piece, const Workers::Callbacks& callbacks) {
  std::array<int, 2> ends{};
  TEEIO_CHECK(::pipe(ends.data()) == 0, "no pipe for a process of the exploration");
  (void)std::fflush(nullptr);
  const pid_t pid = ::fork();
  TEEIO_CHECK(pid >= 0, "no process for the exploration");
  if (pid == 0) {
    ::close(ends[0]);
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

}  // namespace

void Workers::run(std::size_t count, const Callbacks& callbacks) const {
  std::vector<Child> children;
  std::size_t next = 0;
  while (next < count || !children.empty()) {
    while (next < count && children.size() < at_a_time_)
      children.push_back(start(next++, callbacks));
    std::vector<pollfd> waits;
    for (const Child& child : children) waits.push_back({child.from, POLLIN, 0});
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    for (std::size_t i = waits.size(); i-- > 0;) {
      if (waits[i].revents == 0 || read_lines(children[i], callbacks)) continue;
      const std::size_t piece = children[i].piece;
      const std::string how = end_of(children[i]);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      callbacks.ended(piece, how);
    }
  }
}

unsigned processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1U, static_cast<unsigned>(CPU_COUNT(&set)));
}

}  // namespace teeio::cli
