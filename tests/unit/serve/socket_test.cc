#include "serve/socket.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

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

}  // namespace
}  // namespace teeio::serve
