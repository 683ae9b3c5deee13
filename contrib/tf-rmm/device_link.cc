#include "device_link.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace normal_world {
namespace {

constexpr std::uint32_t kNormal = 1;
constexpr std::uint32_t kPciDoe = 2;
constexpr std::size_t kMostBytes = 1U << 16U;

/// PCIe base specification, DOE: vendor and type, length in words of 4 bytes.
struct DoeHeader {
  std::uint16_t vendor;
  std::uint8_t type;
  std::uint8_t reserved;
  std::uint32_t words;
};

struct Frame {
  std::uint32_t command, transport, bytes;  // big-endian
};

constexpr std::uint16_t kPciSig = 1;

}  // namespace

DeviceLink::~DeviceLink() { ::close(socket_); }

bool DeviceLink::send_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

bool DeviceLink::receive_all(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

std::vector<std::byte> DeviceLink::exchange(std::span<const std::byte> message, bool secured) {
  const auto type = static_cast<std::uint8_t>(secured ? 2 : 1);
  const auto words = static_cast<std::uint32_t>((message.size() + 3) / 4 + 2);
  const DoeHeader out{.vendor = kPciSig, .type = type, .reserved = 0, .words = words};
  const Frame frame{htonl(kNormal), htonl(kPciDoe), htonl(words * 4)};
  std::vector<std::byte> bytes(sizeof frame + words * std::size_t{4});
  std::memcpy(bytes.data(), &frame, sizeof frame);
  std::memcpy(bytes.data() + sizeof frame, &out, sizeof out);
  std::ranges::copy(message, bytes.begin() + sizeof frame + sizeof out);
  if (!send_all(bytes)) return {};

  Frame header{};
  DoeHeader in{};
  if (!receive_all(std::as_writable_bytes(std::span(&header, 1)))) return {};
  const std::size_t size = ntohl(header.bytes);
  if (size < sizeof in || size > kMostBytes) return {};
  if (!receive_all(std::as_writable_bytes(std::span(&in, 1)))) return {};
  std::vector<std::byte> answer(size - sizeof in);
  if (!receive_all(answer)) return {};
  const bool as_asked = in.vendor == kPciSig && in.type == type;
  return as_asked ? answer : std::vector<std::byte>{};
}

}  // namespace normal_world
