#include "serve/validate/mctp_bus.h"

#include <fmt/format.h>
#include <linux/mctp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <system_error>

#include "base/fd.h"

namespace teeio::serve::validate {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20U;
constexpr std::uint8_t kTypeMask = 0x7f;  // above it: integrity check
constexpr std::uint8_t kFirstEid = 8;
constexpr std::uint8_t kLastEid = 254;

template <class Number>
bool whole_number(std::string_view text, Number& value) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size();
}

}  // namespace

std::optional<MctpBus::Endpoint> MctpBus::Endpoint::parse(std::string_view text) {
  const auto comma = text.find(',');
  Endpoint endpoint;
  if (comma == std::string_view::npos || !whole_number(text.substr(0, comma), endpoint.network) ||
      !whole_number(text.substr(comma + 1), endpoint.eid) || endpoint.eid < kFirstEid ||
      endpoint.eid > kLastEid)
    return std::nullopt;
  return endpoint;
}

bool MctpBus::exists() { return Fd(::socket(AF_MCTP, SOCK_DGRAM | SOCK_CLOEXEC, 0)).ok(); }

std::string MctpBus::name() const {
  return fmt::format("MCTP network {}, EID {}", endpoint_.network, endpoint_.eid);
}

// Source: Linux net/mctp/af_mctp.c, mctp_sendmsg().
std::string MctpBus::trouble() const {
  switch (send_errno_) {
    case 0:
      return {};
    case EACCES:
      return "the kernel lets only those send that have CAP_NET_RAW";
    case EHOSTUNREACH:
      return "the kernel has no route to this EID";
    default:
      return std::generic_category().message(send_errno_);
  }
}

std::expected<Bytes, Loss> MctpBus::exchange(ByteView packet, unsigned timeout_ms) {
  if (packet.empty()) return Bytes{};
  const Fd socket(::socket(AF_MCTP, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return std::unexpected(Loss::kClosed);
  sockaddr_mctp to{};
  to.smctp_family = AF_MCTP;
  to.smctp_network = endpoint_.network;
  to.smctp_addr.s_addr = endpoint_.eid;
  to.smctp_type = std::to_integer<std::uint8_t>(packet.front()) & kTypeMask;
  to.smctp_tag = MCTP_TAG_OWNER;
  const ByteView body = packet.subspan(1);  // the type is in the address
  const bool sent =
      ::sendto(socket.get(), body.data(), body.size(), 0, reinterpret_cast<const sockaddr*>(&to),
               sizeof(to)) == static_cast<ssize_t>(body.size());
  send_errno_ = sent ? 0 : errno;
  if (!sent) return std::unexpected(Loss::kClosed);
  pollfd ready{socket.get(), POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(timeout_ms)) != 1) return std::unexpected(Loss::kTimeout);
  Bytes answer(kMostBytes);
  sockaddr_mctp from{};
  socklen_t size = sizeof(from);
  const ssize_t got = ::recvfrom(socket.get(), answer.data() + 1, answer.size() - 1, 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
  if (got < 0) return std::unexpected(Loss::kClosed);
  answer.front() = std::byte{from.smctp_type};
  answer.resize(static_cast<std::size_t>(got) + 1);
  return answer;
}

}  // namespace teeio::serve::validate
