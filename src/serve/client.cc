#include "serve/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "schedule/task.h"

namespace teeio::serve {
namespace {

constexpr std::uint64_t kMsNs = 1'000'000;

}  // namespace

std::expected<Client, std::string> Client::connect(const Address& address,
                                                   PlatformTransport transport,
                                                   unsigned timeout_ms) {
  auto socket = connect_tcp(address, timeout_ms);
  if (!socket) return std::unexpected(socket.error());
  return Client(std::move(*socket), transport, timeout_ms);
}

Client::~Client() {
  if (socket_.ok() && !lost_) (void)exchange(PlatformCommand::kContinue, {});
}

std::uint64_t Client::deadline_ns() const {
  return schedule::now_ns() + std::uint64_t{timeout_ms_} * kMsNs;
}

bool Client::wait(short events, std::uint64_t deadline_ns) const {
  for (;;) {
    const std::uint64_t now = schedule::now_ns();
    if (now >= deadline_ns) return false;
    pollfd fd{socket_.get(), events, 0};
    const int ready = ::poll(&fd, 1, static_cast<int>((deadline_ns - now) / kMsNs + 1));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the call that follows says why
  }
}

std::expected<Bytes, Client::Loss> Client::exchange(PlatformCommand command, ByteView payload) {
  if (bus_ != nullptr) {
    if (command != PlatformCommand::kNormal) return std::unexpected(Loss::kNonsense);
    return bus_->exchange(payload, timeout_ms_);
  }
  lost_ = true;
  const std::uint64_t deadline = deadline_ns();
  if (!send(platform_message(command, std::to_underlying(transport_), payload), deadline))
    return std::unexpected(Loss::kClosed);
  auto answer = receive(deadline);
  lost_ = !answer;
  return answer;
}

bool Client::send(ByteView bytes, std::uint64_t deadline_ns) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN && wait(POLLOUT, deadline_ns)) continue;
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

std::expected<Bytes, Client::Loss> Client::receive() { return receive(deadline_ns()); }

std::expected<Bytes, Client::Loss> Client::receive(std::uint64_t deadline_ns) {
  const auto head = read(PlatformHeader::kSize, deadline_ns);
  if (!head) return head;
  const auto header = PlatformHeader::decode(*head);
  if (header->transport != std::to_underlying(transport_) ||
      header->size > PlatformHeader::kMaxPayload)
    return std::unexpected(Loss::kNonsense);
  return read(header->size, deadline_ns);
}

std::expected<Bytes, Client::Loss> Client::read(std::size_t size, std::uint64_t deadline_ns) {
  Bytes bytes(size);
  std::size_t have = 0;
  while (have < size) {
    acknowledge_at_once(socket_.get());
    if (!wait(POLLIN, deadline_ns)) return std::unexpected(Loss::kTimeout);
    const ssize_t got = ::recv(socket_.get(), bytes.data() + have, size - have, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return std::unexpected(Loss::kClosed);
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace teeio::serve
