#include "serve/socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace teeio::serve {
namespace {

TEST(ListenUnix, TakesWhatAKilledServerLeftAndNoLiveOnes) {
  const std::string path = testing::TempDir() + "teeio-listen-unix.sock";
  std::filesystem::remove(path);
  {
    const auto first = listen_unix(path);
    ASSERT_TRUE(first.has_value()) << first.error();
    const auto second = listen_unix(path);
    ASSERT_FALSE(second.has_value());
    EXPECT_NE(second.error().find("another server has this socket"), std::string::npos);
  }
  ASSERT_TRUE(std::filesystem::exists(path)) << "nobody has removed it";
  EXPECT_TRUE(listen_unix(path).has_value());
  std::filesystem::remove(path);
}

/// Linux drops a SYN for which the queue of accepted connections has no room.
TEST(ConnectTcp, ATimeoutIsToldAsOne) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const auto address = Address::parse(local_name(listener.get()));
  ASSERT_TRUE(address.has_value());
  std::vector<Fd> waiting;
  std::string why;
  for (int i = 0; i < 8 && why.empty(); ++i) {
    auto socket = connect_tcp(*address, 100);
    if (socket) waiting.push_back(std::move(*socket));
    if (!socket) why = socket.error();
  }
  EXPECT_NE(why.find("timed out after 100 ms"), std::string::npos) << why;
}

TEST(ConnectTcp, ARefusalIsToldAsOne) {
  const auto refused = connect_tcp({"127.0.0.1", 1}, 1000);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().find("Connection refused"), std::string::npos) << refused.error();
}

}  // namespace
}  // namespace teeio::serve
