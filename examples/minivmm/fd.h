#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

[[noreturn]] inline void fail(const std::string& what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

Fd open_file(const std::string& path, int flags);
std::string read_file(const std::string& path);  // first line
void write_file(const std::string& path, const std::string& text);

// ioctl() that a signal does not end: the kernel has undone what it had begun, or has
// written to the argument where to go on.
template <class Argument>
int ioctl_again(const Fd& fd, unsigned long request, Argument argument) {
  int result = 0;
  do result = ::ioctl(fd.get(), request, argument);
  while (result < 0 && errno == EINTR);
  return result;
}
// The same, but it throws; `what` is the request's name.
template <class Argument>
int call(const Fd& fd, unsigned long request, const char* what, Argument argument) {
  const int result = ioctl_again(fd, request, argument);
  if (result < 0) fail(what);
  return result;
}
#define CALL(fd, request, argument) call(fd, request, #request, argument)

inline std::uint64_t pointer(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
