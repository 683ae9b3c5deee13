#include "serve/socket.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace teeio::serve {
namespace {

constexpr int kBacklog = 64;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

std::string error_text() { return std::generic_category().message(errno); }

std::expected<Addresses, std::string> resolve(const Address& address, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (error != 0)
    return std::unexpected(fmt::format("{}: {}", address.host, ::gai_strerror(error)));
  return Addresses(list);
}

void set_option(int socket, int level, int option, int value) {
  (void)::setsockopt(socket, level, option, &value, sizeof(value));
}

sockaddr* generic(sockaddr_storage& storage) {
  return reinterpret_cast<sockaddr*>(&storage);  // as the sockets API wants it
}

std::string text_of(const sockaddr_storage& storage, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  sockaddr_storage copy = storage;
  if (::getnameinfo(generic(copy), size, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  return std::strchr(host.data(), ':') != nullptr ? fmt::format("[{}]:{}", host.data(), port.data())
                                                  : fmt::format("{}:{}", host.data(), port.data());
}

}  // namespace

std::expected<Address, std::string> Address::parse(const std::string& text) {
  const auto colon = text.rfind(':');
  Address address;
  if (colon == std::string::npos || colon == 0)
    return std::unexpected(fmt::format("{}: must be HOST:PORT", text));
  address.host = text.substr(0, colon);
  if (address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || stop != end)
    return std::unexpected(fmt::format("{}: the port must be a number from 0 to 65535", text));
  return address;
}

std::string Address::str() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::expected<Fd, std::string> listen_tcp(const Address& address) {
  const auto list = resolve(address, AI_PASSIVE);
  if (!list) return std::unexpected(list.error());
  const addrinfo& first = **list;
  Fd socket(::socket(first.ai_family, first.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.ok()) return std::unexpected(fmt::format("{}: {}", address.str(), error_text()));
  set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(socket.get(), first.ai_addr, first.ai_addrlen) != 0 ||
      ::listen(socket.get(), kBacklog) != 0)
    return std::unexpected(fmt::format("{}: {}", address.str(), error_text()));
  return socket;
}

std::expected<Fd, std::string> listen_unix(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof(name.sun_path))
    return std::unexpected(fmt::format("{}: the path is too long for a socket", path));
  path.copy(name.sun_path, path.size());
  struct stat there{};
  if (::stat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode)) {
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int answer =
        ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    // Nobody listens any more at a socket that a killed server has left.
    if (answer == 0 || errno != ECONNREFUSED)
      return std::unexpected(fmt::format("{}: another server has this socket", path));
    (void)::unlink(path.c_str());
  }
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.ok() ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 ||
      ::listen(socket.get(), kBacklog) != 0)
    return std::unexpected(fmt::format("{}: {}", path, error_text()));
  return socket;
}

std::expected<Fd, std::string> connect_tcp(const Address& address, unsigned timeout_ms) {
  const auto list = resolve(address, 0);
  if (!list) return std::unexpected(list.error());
  const timeval timeout{.tv_sec = timeout_ms / 1000,
                        .tv_usec = static_cast<suseconds_t>(timeout_ms % 1000) * 1000};
  int error = 0;
  for (const addrinfo* at = list->get(); at != nullptr; at = at->ai_next) {
    Fd socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0));
    if (!socket.ok()) {
      error = errno;
      continue;
    }
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (::connect(socket.get(), at->ai_addr, at->ai_addrlen) == 0) {
      send_at_once(socket.get());
      return socket;
    }
    error = errno;
  }
  // What SO_SNDTIMEO ends is still in progress for the kernel (socket(7)).
  if (error == EINPROGRESS || error == EAGAIN)
    return std::unexpected(
        fmt::format("{}: the connection timed out after {} ms", address.str(), timeout_ms));
  return std::unexpected(
      fmt::format("{}: {}", address.str(), std::generic_category().message(error)));
}

std::string local_name(int socket) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  return ::getsockname(socket, generic(name), &size) == 0 ? text_of(name, size) : "?";
}

std::string peer_name(int socket) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  return ::getpeername(socket, generic(name), &size) == 0 ? text_of(name, size) : "?";
}

void send_at_once(int socket) { set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1); }
void acknowledge_at_once(int socket) { set_option(socket, IPPROTO_TCP, TCP_QUICKACK, 1); }

}  // namespace teeio::serve
