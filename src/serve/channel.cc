#include "serve/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace teeio::serve {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
/// A peer that does not read its answers is not read from any more.
constexpr std::size_t kMaxUnsent = 4U << 20U;

}  // namespace

bool Channel::flush() {
  while (!unsent.empty()) {
    const ssize_t sent =
        ::send(socket.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    unsent.erase(unsent.begin(), unsent.begin() + sent);
  }
  return true;
}

short Channel::events() const {
  const bool reads = !closing && unsent.size() < kMaxUnsent;
  return static_cast<short>((reads ? POLLIN : 0) | (unsent.empty() ? 0 : POLLOUT));
}

std::optional<Bytes> read_some(int socket) {
  Bytes bytes(kReadBytes);
  const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return std::nullopt;
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

}  // namespace teeio::serve
