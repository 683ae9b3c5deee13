#include "sweep/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace teeio::sweep {
namespace {

void replace(int fd, int by) { (void)::dup2(by, fd); }

Fd open_pipe() {
  std::array<int, 2> ends{-1, -1};
  (void)::pipe2(ends.data(), O_CLOEXEC);
  const Fd nowhere(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  replace(STDIN_FILENO, nowhere.get());
  replace(STDOUT_FILENO, ends[1]);
  replace(STDERR_FILENO, ends[1]);
  ::close(ends[1]);
  return Fd(ends[0]);
}

/// One line's worth, twice.
constexpr std::size_t kTail = 1024;

void read_all(int from, std::string& text, std::string& tail) {
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t n = ::read(from, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    const auto size = static_cast<std::size_t>(n);
    text.append(part.data(), std::min(size, Output::kKept - text.size()));
    tail.append(part.data(), size);
    if (tail.size() > 2 * kTail) tail.erase(0, tail.size() - kTail);
  }
}

}  // namespace

Output::Output()
    : from_(open_pipe()),
      reader_(schedule::Task::spawn("output", [this] { read_all(from_.get(), text_, tail_); })) {}

void Output::end() {
  if (ended_) return;
  ended_ = true;
  const Fd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  replace(STDOUT_FILENO, nowhere.get());
  replace(STDERR_FILENO, nowhere.get());
  reader_.join();
}

std::string Output::last_line() const {
  constexpr std::size_t kMost = 160;
  const std::size_t end = tail_.find_last_not_of("\n\r ");
  if (end == std::string::npos) return {};
  const std::size_t before = tail_.rfind('\n', end);
  std::string line = tail_.substr(before == std::string::npos ? 0 : before + 1,
                                  end - (before == std::string::npos ? 0 : before + 1) + 1);
  line.resize(std::min(line.size(), kMost));
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return line;
}

}  // namespace teeio::sweep
