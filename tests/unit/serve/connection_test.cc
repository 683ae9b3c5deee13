#include "serve/connection.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace teeio::serve {
namespace {

constexpr auto kDoe = static_cast<std::uint32_t>(PlatformTransport::kPciDoe);
constexpr auto kMctp = static_cast<std::uint32_t>(PlatformTransport::kMctp);

/// Answers a packet with itself; an empty one with nothing.
struct Echo final : ConnectionOwner {
  Bytes answer(PlatformTransport, ByteView packet) override {
    return {packet.begin(), packet.end()};
  }
  Bytes answer_tdisp(ByteView message) override { return {message.begin(), message.end()}; }
  void want_encapsulated(PlatformTransport, PlatformCommand command, ByteView payload) override {
    wishes.emplace_back(command, payload.size());
  }
  void log(const std::string& line) override { lines.push_back(line); }

  std::vector<std::pair<PlatformCommand, std::size_t>> wishes;
  std::vector<std::string> lines;
};

Bytes bytes(std::size_t size) { return Bytes(size, std::byte{0x42}); }

TEST(Connection, AnswersWhatComesInPiecesOnceItIsWhole) {
  Echo echo;
  Connection connection(echo, std::nullopt);
  const Bytes message = platform_message(PlatformCommand::kNormal, kDoe, bytes(9));
  for (std::size_t i = 0; i + 1 < message.size(); ++i)
    EXPECT_TRUE(connection.receive(ByteView(message).subspan(i, 1)).out.empty());
  EXPECT_EQ(connection.receive(ByteView(message).last(1)).out, message);
}

TEST(Connection, AnswersSeveralMessagesOfOneReadInOrder) {
  Echo echo;
  Connection connection(echo, std::nullopt);
  Bytes both = platform_message(PlatformCommand::kNormal, kDoe, bytes(1));
  const Bytes second = platform_message(PlatformCommand::kNormal, kDoe, bytes(2));
  both.insert(both.end(), second.begin(), second.end());
  EXPECT_EQ(connection.receive(both).out, both);
}

TEST(Connection, EndsAtASizeAboveTheLimitWithoutWaitingForIt) {
  Echo echo;
  Connection connection(echo, std::nullopt);
  Bytes header = platform_message(PlatformCommand::kNormal, kDoe, {});
  header[8] = std::byte{0x7f};
  const auto step = connection.receive(header);
  EXPECT_EQ(step.next, Connection::Next::kClose);
  EXPECT_TRUE(step.out.empty());
  ASSERT_EQ(echo.lines.size(), 1U);
}

TEST(Connection, EndsWhenTheTransportChanges) {
  Echo echo;
  Connection connection(echo, std::nullopt);
  EXPECT_EQ(connection.receive(platform_message(PlatformCommand::kTest, kDoe, {})).next,
            Connection::Next::kGoOn);
  EXPECT_EQ(connection.receive(platform_message(PlatformCommand::kTest, kMctp, {})).next,
            Connection::Next::kClose);
}

TEST(Connection, TakesOnlyTheTransportThatIsServed) {
  Echo echo;
  Connection connection(echo, PlatformTransport::kPciDoe);
  EXPECT_EQ(connection.receive(platform_message(PlatformCommand::kNormal, kMctp, {})).next,
            Connection::Next::kClose);
}

TEST(Connection, TellsContinueFromShutdown) {
  Echo echo;
  Connection leaving(echo, std::nullopt);
  const Bytes leave = platform_message(PlatformCommand::kContinue, kDoe, {});
  const auto step = leaving.receive(leave);
  EXPECT_EQ(step.next, Connection::Next::kClose);
  EXPECT_EQ(step.out, leave);
  Connection ending(echo, std::nullopt);
  EXPECT_EQ(ending.receive(platform_message(PlatformCommand::kShutdown, kDoe, {})).next,
            Connection::Next::kShutdown);
}

TEST(Connection, HandsOnWishesForEncapsulatedRequests) {
  Echo echo;
  Connection connection(echo, std::nullopt);
  (void)connection.receive(platform_message(PlatformCommand::kEncapKeyUpdate, kDoe, bytes(4)));
  ASSERT_EQ(echo.wishes.size(), 1U);
  EXPECT_EQ(echo.wishes[0].second, 4U);
}

TEST(Connection, HalfAMessageAtTheEndIsWorthALine) {
  Echo echo;
  Connection connection(echo, std::nullopt);
  connection.peer_closed();
  EXPECT_TRUE(echo.lines.empty());
  (void)connection.receive(bytes(3));
  connection.peer_closed();
  EXPECT_EQ(echo.lines.size(), 1U);
}

}  // namespace
}  // namespace teeio::serve
