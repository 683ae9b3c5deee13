#include "run/sys.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <climits>

#include "base/fd.h"

namespace teeio::run {

int pidfd_open(pid_t pid, unsigned flags) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, flags));
}

int pidfd_getfd(int pidfd, int fd) {
  return static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

int openat2_path(int dir, const char* path, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags;
  how.resolve = resolve;
  return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

Error last_error(std::string_view why) { return {static_cast<Errno>(errno), why}; }

Error no_room() {
  return {Errno::kNoMem, errno == EFBIG
                             ? "files may not be that large here: `ulimit -f` has more room"
                             : "the run's tmpfs is full: make room in /dev/shm"};
}

std::string read_link(const std::string& path) { return read_link_at(AT_FDCWD, path); }

std::string read_link_at(int dir, const std::string& path) {
  std::array<char, PATH_MAX> text;
  const ssize_t size = ::readlinkat(dir, path.c_str(), text.data(), text.size());
  return size < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(size));
}

std::string read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t size = ::read(fd.get(), part.data(), part.size());
    if (size <= 0) return text;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
}

std::string proc_path(pid_t tid, std::string_view rest) {
  std::string path = "/proc/" + std::to_string(tid);
  return path.append("/").append(rest);
}

}  // namespace teeio::run
