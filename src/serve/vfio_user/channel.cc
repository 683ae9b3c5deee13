#include "serve/vfio_user/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace teeio::vfio_user {
namespace {

/// How long a client may take to answer our command, or to take what we send: QEMU's own
/// patience with a server is as long.
constexpr int kPatienceMs = 5000;
/// What may be put aside while our command waits.
constexpr std::size_t kMaxAside = 1024;
constexpr std::size_t kMaxAsideBytes = 16U << 20U;

/// Room for one descriptor more than is allowed, so that too many are noticed.
constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(int) * (kMaxFds + 1));

void limit_patience(int socket) {
  const timeval patience{.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
  (void)::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

void take_fds(msghdr& message, std::vector<Fd>& fds) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
}

}  // namespace

Channel::Channel(Fd socket) : socket_(std::move(socket)) { limit_patience(socket_.get()); }

void Channel::use_twin(Fd socket) {
  twin_ = std::move(socket);
  limit_patience(twin_.get());
}

std::unexpected<Error> Channel::broken(std::string_view why) {
  if (!broken_) why_ = why;
  broken_ = true;
  return fail(Errno::kIo, why);
}

void Channel::shut_down() { (void)::shutdown(socket_.get(), SHUT_RDWR); }

bool Channel::peer_left() const {
  pollfd ready{socket_.get(), POLLRDHUP, 0};
  return ::poll(&ready, 1, 0) == 1;
}

bool Channel::readable_in_time(int socket) const {
  // The client's death shows on its main socket alone.
  std::array<pollfd, 2> list{{{socket, POLLIN, 0}, {socket_.get(), POLLRDHUP, 0}}};
  for (;;) {
    const int ready = ::poll(list.data(), list.size(), kPatienceMs);
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && (list[0].revents & POLLIN) != 0;
  }
}

Result<void> Channel::read_all(int socket, std::span<std::byte> out, std::vector<Fd>& fds,
                               Wait wait) {
  const std::size_t wanted = out.size();
  while (!out.empty()) {
    if (wait == Wait::kBounded && !readable_in_time(socket))
      return broken("the client did not answer in time");
    alignas(cmsghdr) std::array<std::byte, kControlBytes> control;
    iovec into{out.data(), out.size()};
    msghdr message{};
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    // It is reset when the client did not read all of what we sent.
    if (got < 0) return broken("the client is gone");
    if (message.msg_controllen > 0) take_fds(message, fds);
    if ((message.msg_flags & MSG_CTRUNC) != 0 || fds.size() > kMaxFds)
      return broken("a message brings too many descriptors, or more than can be open here");
    if (got == 0) {
      if (out.size() == wanted && wanted == Header::kSize) return broken({});
      return broken("the client is gone in the middle of a message");
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<Message> Channel::read_message(int socket, Wait wait) {
  if (broken_) return fail(Errno::kIo, "the connection is broken");
  Message message;
  std::array<std::byte, Header::kSize> header;
  TEEIO_TRY(read_all(socket, header, message.fds, wait));
  message.header = Header::decode(header);
  if (message.header.size < Header::kSize || message.header.size > kMaxMessage)
    return broken("a message's size makes no sense");
  if ((message.header.flags & Header::kTypeMask) > Header::kReply)
    return broken("a message is neither command nor reply");
  message.payload.resize(message.header.size - Header::kSize);
  if (!message.payload.empty()) TEEIO_TRY(read_all(socket, message.payload, message.fds, wait));
  return message;
}

Result<Message> Channel::receive() {
  if (!aside_.empty()) {
    Message message = std::move(aside_.front());
    aside_.pop_front();
    aside_bytes_ -= message.payload.size();
    return message;
  }
  TEEIO_ASSIGN(Message message, read_message(socket_.get(), Wait::kForever));
  if (message.header.is_reply()) return broken("a reply came to no command");
  return message;
}

Result<void> Channel::put_aside(Message message) {
  aside_bytes_ += message.payload.size();
  if (aside_.size() >= kMaxAside || aside_bytes_ > kMaxAsideBytes)
    return broken("the client sends and sends, and does not answer");
  aside_.push_back(std::move(message));
  return {};
}

Result<Bytes> Channel::exchange(Command command, ByteView payload) {
  if (broken_) return fail(Errno::kIo, "the connection is broken");
  const int socket = twin_.ok() ? twin_.get() : socket_.get();
  Header header{.id = next_id_++, .command = command};
  header.size = static_cast<std::uint32_t>(Header::kSize + payload.size());
  Bytes bytes(Header::kSize);
  header.encode(std::span(bytes).first<Header::kSize>());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  TEEIO_TRY(send_on(socket, bytes, {}));
  for (;;) {
    TEEIO_ASSIGN(Message message, read_message(socket, Wait::kBounded));
    if (!message.header.is_reply()) {
      if (twin_.ok()) return broken("the second socket is for our commands alone");
      TEEIO_TRY(put_aside(std::move(message)));
      continue;
    }
    if (message.header.id != header.id || message.header.command != command)
      return broken("a reply is to another command than ours");
    if ((message.header.flags & Header::kError) != 0)
      return fail(Errno::kFault, "the client answered our command with an error");
    return std::move(message.payload);
  }
}

Result<void> Channel::send(ByteView bytes, const std::vector<Fd>& fds) {
  return send_on(socket_.get(), bytes, fds);
}

Result<void> Channel::send_on(int socket, ByteView bytes, const std::vector<Fd>& fds) {
  if (broken_) return fail(Errno::kIo, "the connection is broken");
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control{};
  msghdr message{};
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  while (!bytes.empty()) {
    iovec from{const_cast<std::byte*>(bytes.data()), bytes.size()};
    message.msg_iov = &from;
    message.msg_iovlen = 1;
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0)
      return broken(errno == EAGAIN ? "the client does not read its answers"
                                    : "the client is gone");
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
    message.msg_control = nullptr;
    message.msg_controllen = 0;
  }
  return {};
}

}  // namespace teeio::vfio_user
