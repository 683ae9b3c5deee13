#include "serve/vfio_user/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>

#include "unit/serve/vfio_user/client.h"

namespace teeio::vfio_user {
namespace {

/// The client's end of a channel: bytes and descriptors as they are.
struct Peer {
  Peer() {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    channel = std::make_unique<Channel>(Fd(pair[0]));
    socket = Fd(pair[1]);
  }
  void send(ByteView bytes, std::size_t fds = 0) const {
    char control[CMSG_SPACE(sizeof(int) * 32)] = {};
    iovec from{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &from;
    message.msg_iovlen = 1;
    std::vector<Fd> events;
    if (fds > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof(int) * fds);
      for (std::size_t i = 0; i < fds; ++i) {
        events.push_back(make_event());
        const int fd = events.back().get();
        std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(int));
      }
    }
    EXPECT_EQ(::sendmsg(socket.get(), &message, 0), static_cast<ssize_t>(bytes.size()));
  }
  static Bytes message(Command command, ByteView payload, std::uint32_t flags = 0,
                       std::uint16_t id = 1) {
    Bytes bytes(Header::kSize);
    Header{.id = id,
           .command = command,
           .size = static_cast<std::uint32_t>(Header::kSize + payload.size()),
           .flags = flags}
        .encode(std::span(bytes).first<Header::kSize>());
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
  }
  std::unique_ptr<Channel> channel;
  Fd socket;
};

TEST(VfioUserChannel, MessagesComeWithTheirDescriptorsAndInOrder) {
  const Peer peer;
  peer.send(Peer::message(Command::kRegionRead, Bytes(16)));
  peer.send(Peer::message(Command::kDeviceSetIrqs, Bytes(20)), 2);
  peer.send(Peer::message(Command::kDeviceReset, {}));
  EXPECT_TRUE(peer.channel->receive()->fds.empty());
  EXPECT_EQ(peer.channel->receive()->fds.size(), 2U);
  EXPECT_EQ(peer.channel->receive()->header.command, Command::kDeviceReset);
}

TEST(VfioUserChannel, AMessageMayComeInPieces) {
  const Peer peer;
  const Bytes bytes = Peer::message(Command::kRegionRead, Bytes(16));
  for (const std::byte& one : bytes) peer.send({&one, 1});
  EXPECT_EQ(peer.channel->receive()->payload.size(), 16U);
}

TEST(VfioUserChannel, SizesAndTypesThatMakeNoSenseEndIt) {
  for (const std::uint32_t size : {0U, 15U, kMaxMessage + 1, ~0U}) {
    const Peer peer;
    Bytes bytes = Peer::message(Command::kRegionRead, {});
    std::ranges::copy(Writer().le(size).take(), bytes.begin() + 4);
    peer.send(bytes);
    EXPECT_FALSE(peer.channel->receive());
    EXPECT_EQ(peer.channel->why(), "a message's size makes no sense");
  }
  const Peer odd;
  odd.send(Peer::message(Command::kRegionRead, {}, 2));
  EXPECT_FALSE(odd.channel->receive());
  const Peer reply;
  reply.send(Peer::message(Command::kRegionRead, {}, Header::kReply));
  EXPECT_FALSE(reply.channel->receive());
  EXPECT_EQ(reply.channel->why(), "a reply came to no command");
}

TEST(VfioUserChannel, TooManyDescriptorsEndItAndNoneLeaks) {
  const Fd before = make_event();
  {
    const Peer peer;
    peer.send(Peer::message(Command::kDeviceSetIrqs, {}), 30);
    EXPECT_FALSE(peer.channel->receive());
  }
  EXPECT_EQ(make_event().get(), before.get() + 1);  // the lowest free number, as before
}

TEST(VfioUserChannel, LeavingBetweenMessagesIsNoFaultAndWithinOneIs) {
  Peer orderly;
  orderly.socket.reset();
  EXPECT_FALSE(orderly.channel->receive());
  EXPECT_TRUE(orderly.channel->why().empty());
  Peer rude;
  rude.send(Bytes(3));
  rude.socket.reset();
  EXPECT_FALSE(rude.channel->receive());
  EXPECT_FALSE(rude.channel->why().empty());
}

TEST(VfioUserChannel, CommandsThatComeWhileOursWaitsAreAnsweredLater) {
  const Peer peer;
  peer.send(Peer::message(Command::kRegionRead, Bytes(16)));
  peer.send(Peer::message(Command::kDmaRead, Bytes(24), Header::kReply, 1));
  const auto answer = peer.channel->exchange(Command::kDmaRead, Bytes(16));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->size(), 24U);
  EXPECT_EQ(peer.channel->receive()->header.command, Command::kRegionRead);
}

TEST(VfioUserChannel, ATwinSocketHasOurCommandsAlone) {
  Peer peer;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  peer.channel->use_twin(Fd(pair[0]));
  const Fd twin(pair[1]);
  const Bytes reply = Peer::message(Command::kDmaRead, Bytes(24), Header::kReply, 1);
  ASSERT_EQ(::send(twin.get(), reply.data(), reply.size(), 0), static_cast<ssize_t>(reply.size()));
  EXPECT_TRUE(peer.channel->exchange(Command::kDmaRead, Bytes(16)));
  std::byte bytes[64];
  EXPECT_EQ(::recv(twin.get(), bytes, sizeof(bytes), 0), 32);
}

TEST(VfioUserChannel, AnErrorOrAWrongAnswerToOurCommandFails) {
  const Peer error;
  error.send(Peer::message(Command::kDmaRead, {}, Header::kReply | Header::kError, 1));
  EXPECT_EQ(error.channel->exchange(Command::kDmaRead, Bytes(16)).error().code, Errno::kFault);
  EXPECT_TRUE(error.channel->why().empty());  // and it goes on
  const Peer wrong;
  wrong.send(Peer::message(Command::kDmaRead, {}, Header::kReply, 9));
  EXPECT_EQ(wrong.channel->exchange(Command::kDmaRead, Bytes(16)).error().code, Errno::kIo);
  EXPECT_FALSE(wrong.channel->receive());
  Peer gone;
  gone.socket.reset();
  EXPECT_EQ(gone.channel->exchange(Command::kDmaRead, Bytes(16)).error().code, Errno::kIo);
}

TEST(VfioUserChannel, AClientThatSendsInsteadOfAnsweringIsCutOff) {
  const Peer peer;
  const int room = 4 << 20;
  (void)::setsockopt(peer.socket.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  Bytes many;
  for (int i = 0; i < 2000; ++i) {
    const Bytes one = Peer::message(Command::kDeviceReset, {});
    many.insert(many.end(), one.begin(), one.end());
  }
  peer.send(many);
  EXPECT_FALSE(peer.channel->exchange(Command::kDmaRead, Bytes(16)));
  EXPECT_EQ(peer.channel->why(), "the client sends and sends, and does not answer");
}

}  // namespace
}  // namespace teeio::vfio_user
