#include "serve/vfio_user/session.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>

#include "unit/serve/vfio_user/client.h"

namespace teeio::vfio_user {
namespace {

using namespace std::string_view_literals;

nlohmann::json offered(const Answer& answer) {
  const ByteView payload = Client::payload_of(answer).subspan(4);
  return nlohmann::json::parse(
             std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size() - 1))
      .at("capabilities");
}

TEST(VfioUserVersion, AnswersTheLowerMinorVersionAndItsOwnLimits) {
  Client client;
  const Answer answer = client.version("", 0, 9);
  EXPECT_EQ(Client::error_of(answer), 0);
  EXPECT_EQ(Reader(Client::payload_of(answer).subspan(2)).le<std::uint16_t>(), kMinor);
  EXPECT_EQ(offered(answer).at("max_data_xfer_size"), kMaxTransfer);
  EXPECT_FALSE(offered(answer).contains("write_multiple"));
}

TEST(VfioUserVersion, WritesOfSeveralAreOfferedToWhoKnowsThem) {
  Client client;
  const Answer answer = client.version("{\"capabilities\":{\"write_multiple\":true}}\0"sv);
  EXPECT_EQ(offered(answer).at("write_multiple"), true);
}

TEST(VfioUserVersion, ATwinSocketComesWithTheAnswer) {
  Client client;
  const Answer answer = client.version(
      "{\"capabilities\":{\"max_msg_fds\":1,\"twin_socket\":{\"supported\":true}}}\0"sv);
  ASSERT_EQ(answer.fds.size(), 1U);
  EXPECT_EQ(offered(answer).at("twin_socket").at("fd_index"), 0);
  EXPECT_TRUE(client.session().take_twin_socket().ok());
}

TEST(VfioUserVersion, AnythingElseFirstEndsTheConnection) {
  Client client;
  const Answer answer = client.read(kConfigRegion, 0, 4);
  EXPECT_EQ(Client::error_of(answer), EINVAL);
  EXPECT_TRUE(answer.close);
}

TEST(VfioUserVersion, AnotherMajorVersionOrBadDataEndsTheConnection) {
  for (const auto& [data, major] : std::vector<std::pair<std::string_view, std::uint16_t>>{
           {"", 1},
           {"{}", 0},
           {"[]\0"sv, 0},
           {"{\0"sv, 0},
           {"{\"capabilities\":1}\0"sv, 0},
           {"{\"capabilities\":{\"max_msg_fds\":-1}}\0"sv, 0},
           {"{\"capabilities\":{\"max_data_xfer_size\":0}}\0"sv, 0},
           {"{\"capabilities\":{\"twin_socket\":7}}\0"sv, 0}}) {
    Client client;
    const Answer answer = client.version(data, major);
    EXPECT_EQ(Client::error_of(answer), EINVAL) << data;
    EXPECT_TRUE(answer.close) << data;
  }
}

TEST(VfioUserVersion, IsAgreedOnOnce) {
  Client client;
  client.agree();
  const Answer answer = client.version("");
  EXPECT_EQ(Client::error_of(answer), EINVAL);
  EXPECT_FALSE(answer.close);
}

TEST(VfioUserSession, DescribesAPciDeviceThatCanBeReset) {
  Client client;
  const Answer answer =
      client.agree().send(Command::kDeviceGetInfo, Writer().le(16U).zeros(12).take());
  EXPECT_EQ(Bytes(Client::payload_of(answer).begin(), Client::payload_of(answer).end()),
            Writer().le(16U).le(3U).le(9U).le(5U).take());
}

TEST(VfioUserSession, RegionsHaveTheirSizesAndNoneIsMapped) {
  Client client;
  client.agree();
  const std::uint64_t sizes[] = {0x10000, 0, 0x100000, 0, 0x2000, 0, 0, 4096, 0};
  for (std::uint32_t i = 0; i < kRegions; ++i) {
    const Answer answer =
        client.send(Command::kDeviceGetRegionInfo, Writer().le(32U).le(0U).le(i).zeros(20).take());
    Reader r(Client::payload_of(answer));
    r.skip(4);
    EXPECT_EQ(r.le<std::uint32_t>(), sizes[i] == 0 ? 0U : 3U);
    r.skip(8);
    EXPECT_EQ(r.le<std::uint64_t>(), sizes[i]);
  }
  const Answer beyond =
      client.send(Command::kDeviceGetRegionInfo, Writer().le(32U).le(0U).le(9U).zeros(20).take());
  EXPECT_EQ(Client::error_of(beyond), EINVAL);
}

TEST(VfioUserSession, RefusesWhatItDoesNotHaveByErrno) {
  Client client;
  client.agree();
  EXPECT_EQ(Client::error_of(client.send(Command::kDeviceFeature)), ENOTSUP);
  EXPECT_EQ(Client::error_of(client.send(Command::kMigDataRead)), ENOTSUP);
  EXPECT_EQ(Client::error_of(client.send(Command::kDmaRead)), EINVAL);
  EXPECT_EQ(Client::error_of(client.send(Command{99})), EINVAL);
  EXPECT_EQ(Client::error_of(client.send(Command::kDeviceGetInfo)), EINVAL);
  EXPECT_EQ(Client::error_of(client.send(Command::kDeviceReset, {}, list_of(make_event()))),
            EINVAL);
}

TEST(VfioUserSession, NoReplyGetsNone) {
  Client client;
  client.agree();
  const Bytes write = Writer().le(std::uint64_t{0x40}).le(0U).le(4U).le(5U).take();
  (void)client.write_le<std::uint32_t>(kConfigRegion, 4, 2);
  EXPECT_TRUE(client.send(Command::kRegionWrite, write, {}, Header::kNoReply).bytes.empty());
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x40), 5U);
  EXPECT_TRUE(client.send(Command{99}, {}, {}, Header::kNoReply).bytes.empty());
}

TEST(VfioUserRegions, ConfigSpaceIsTheFunctionsOwn) {
  Client client;
  client.agree();
  EXPECT_EQ(client.read_le<std::uint32_t>(kConfigRegion, 0), 0x0d00'1efeU);
  const Answer all = client.read(kConfigRegion, 0, 4096);
  ASSERT_EQ(Client::error_of(all), 0);
  const ByteView bytes = Client::payload_of(all).subspan(RegionAccess::kSize);
  for (std::uint16_t at = 0; at < 4096; at = static_cast<std::uint16_t>(at + 4))
    EXPECT_EQ(Reader(bytes.subspan(at)).le<std::uint32_t>(),
              client.function().pci().config_read(at, 4));
}

TEST(VfioUserRegions, AccessesOutsideOfARegionAreRefused) {
  Client client;
  client.agree();
  EXPECT_EQ(Client::error_of(client.read(kConfigRegion, 4093, 4)), EINVAL);
  EXPECT_EQ(Client::error_of(client.read(0, ~std::uint64_t{0}, 4)), EINVAL);
  EXPECT_EQ(Client::error_of(client.read(1, 0, 4)), EINVAL);
  EXPECT_EQ(Client::error_of(client.read(9, 0, 4)), EINVAL);
  EXPECT_EQ(Client::error_of(client.read(2, 0, kMaxTransfer + 1)), EINVAL);
  EXPECT_EQ(client.write(8, 0, Bytes(1)), EINVAL);
  EXPECT_EQ(Client::error_of(client.send(
                Command::kRegionWrite, Writer().le(std::uint64_t{0}).le(0U).le(8U).le(1U).take())),
            EINVAL);
}

TEST(VfioUserRegions, MemorySpaceThatIsOffReadsAsOnes) {
  Client client;
  client.agree();
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 0);
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0), ~0U);
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 2);
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0), 0x3141'4d44U);
}

TEST(VfioUserRegions, ABarCanBeSizedAndPlaced) {
  for (const std::size_t function : {0U, 1U}) {  // the PF's own registers, a VF's virtual ones
    Client client(function);
    client.agree();
    (void)client.write_le<std::uint32_t>(kConfigRegion, 0x18, ~0U);
    (void)client.write_le<std::uint32_t>(kConfigRegion, 0x1c, ~0U);
    EXPECT_EQ(client.read_le<std::uint32_t>(kConfigRegion, 0x18), 0xfff0'000cU);
    EXPECT_EQ(client.read_le<std::uint32_t>(kConfigRegion, 0x1c), ~0U);
    (void)client.write_le<std::uint64_t>(kConfigRegion, 0x18, 0x8'0010'0000U);
    EXPECT_EQ(client.read_le<std::uint32_t>(kConfigRegion, 0x18), 0x0010'000cU);
    EXPECT_EQ(client.read_le<std::uint16_t>(kConfigRegion, 0x1c), 8U);
    (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 2);
    EXPECT_EQ(client.read_le<std::uint32_t>(0, 0), 0x3141'4d44U);
  }
}

TEST(VfioUserRegions, TheMsixTableIsTheServersOwn) {
  Client client;
  client.agree();
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 2);
  EXPECT_EQ(client.write_le<std::uint32_t>(4, 0x8, 42), 0);
  EXPECT_EQ(client.read_le<std::uint32_t>(4, 0x8), ~0U);
  EXPECT_EQ(client.read_le<std::uint64_t>(4, 0x1000), 0U);  // pending bits
  const Answer across = client.read(4, 0x3c, 8);            // the table ends at 0x40
  const ByteView bytes = Client::payload_of(across).subspan(RegionAccess::kSize);
  EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), Writer().le(~0U).le(0U).take());
}

TEST(VfioUserRegions, SeveralWritesComeInOneMessage) {
  Client client;
  client.agree();
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 2);
  const auto one = [](std::uint64_t offset, std::uint32_t value) {
    return Writer().le(offset).le(0U).le(4U).le(value).le(0U).take();
  };
  const Bytes both = Writer().le(std::uint64_t{2}).bytes(one(0x40, 11)).bytes(one(0x44, 12)).take();
  EXPECT_EQ(Client::error_of(client.send(Command::kRegionWriteMulti, both)), 0);
  EXPECT_EQ(client.read_le<std::uint64_t>(0, 0x40), 0xc'0000'000bU);
  EXPECT_EQ(Client::error_of(client.send(Command::kRegionWriteMulti,
                                         Writer().le(std::uint64_t{3}).bytes(one(0, 0)).take())),
            EINVAL);
  Client old;
  (void)old.version("");
  EXPECT_EQ(Client::error_of(old.send(Command::kRegionWriteMulti, both)), ENOTSUP);
}

TEST(VfioUserReset, TheRegistersAreAsAtPowerOn) {
  Client client;
  client.agree();
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 2);
  (void)client.write_le<std::uint32_t>(0, 0x40, 5);
  EXPECT_EQ(Client::error_of(client.send(Command::kDeviceReset)), 0);
  EXPECT_EQ(client.read_le<std::uint16_t>(kConfigRegion, 4), 0U);
  (void)client.write_le<std::uint16_t>(kConfigRegion, 4, 2);
  EXPECT_EQ(client.read_le<std::uint32_t>(0, 0x40), 0U);
}

}  // namespace
}  // namespace teeio::vfio_user
