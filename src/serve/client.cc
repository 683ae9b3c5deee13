#include "serve/client.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace teeio::serve {

std::expected<Client, std::string> Client::connect(const Address& address,
                                                   PlatformTransport transport,
                                                   unsigned timeout_ms) {
  auto socket = connect_tcp(address, timeout_ms);
  if (!socket) return std::unexpected(socket.error());
  return Client(std::move(*socket), transport);
}

Client::~Client() {
  if (socket_.ok() && !lost_) (void)exchange(PlatformCommand::kContinue, {});
}

std::expected<Bytes, Client::Loss> Client::exchange(PlatformCommand command, ByteView payload) {
  lost_ = true;
  if (!send_bytes(platform_message(command, std::to_underlying(transport_), payload)))
    return std::unexpected(Loss::kClosed);
  auto answer = receive();
  lost_ = !answer;
  return answer;
}

bool Client::send_bytes(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

std::expected<Bytes, Client::Loss> Client::receive() {
  const auto head = read(PlatformHeader::kSize);
  if (!head) return head;
  const auto header = PlatformHeader::decode(*head);
  if (header->transport != std::to_underlying(transport_) ||
      header->size > PlatformHeader::kMaxPayload)
    return std::unexpected(Loss::kNonsense);
  return read(header->size);
}

std::expected<Bytes, Client::Loss> Client::read(std::size_t size) {
  Bytes bytes(size);
  std::size_t have = 0;
  while (have < size) {
    acknowledge_at_once(socket_.get());
    const ssize_t got = ::recv(socket_.get(), bytes.data() + have, size - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(errno == EAGAIN ? Loss::kTimeout : Loss::kClosed);
    if (got == 0) return std::unexpected(Loss::kClosed);
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace teeio::serve
