// What connect leaves in the registers of both ends and below /sys, on each vendor. Source:
// Linux drivers/pci/ide.c; what each driver sets of its own is named beside it.

#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine {
namespace {

constexpr std::string_view kPortConfig = "/sys/devices/pci0000:00/0000:00:01.0/config";
constexpr std::string_view kCardConfig = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config";
constexpr std::string_view kBridge = "/sys/devices/pci0000:00/";

struct Expected {
  std::string_view machine;
  std::uint32_t card_control;
  std::uint32_t port_control;
  std::uint32_t port_rids[2];
  std::string_view free_before;
  std::string_view free_after;
  bool has_tsm_link;
};

class StreamOf : public testing::TestWithParam<Expected> {
 protected:
  std::unique_ptr<Machine> machine_ = test::make_machine(GetParam().machine);
  test::Vmm admin_{*machine_};

  std::string cat(std::string_view name) {
    const auto text = admin_.cat(std::string(kBridge) + std::string(name));
    return text ? *text : std::string();
  }
  /// A register of the function's first selective stream; there are no link streams.
  std::uint32_t reg(std::string_view path, std::size_t offset) {
    const std::string config = admin_.cat(path).value_or("");
    const auto word = [&](std::size_t at) {
      return at + 4 <= config.size()
                 ? Reader(std::as_bytes(std::span(config)).subspan(at)).le<std::uint32_t>()
                 : 0U;
    };
    std::size_t at = 0x100;
    while (at != 0 && (word(at) & 0xffffU) != 0x30) at = word(at) >> 20U;
    EXPECT_NE(at, 0U) << path;
    return word(at + 0x0c + offset);
  }
  /// Symbolic links to the card of that name, in a folder whose path has `folder`.
  int links(std::string_view name, std::string_view folder) {
    int found = 0;
    for (const auto& node : machine_->system_calls().tree())
      if (node.path.ends_with("/" + std::string(name)) &&
          node.path.find(folder) != std::string::npos && node.target.ends_with("/0000:01:00.0"))
        ++found;
    return found;
  }
};

TEST_P(StreamOf, BothEndsAreAsLinuxSetsThemUp) {
  const Expected& expected = GetParam();
  EXPECT_EQ(reg(kCardConfig, 4), 0xff00'0000U);  // pci_ide_init(): the reserved id
  EXPECT_EQ(reg(kPortConfig, 4), 0xff00'0000U);
  ASSERT_TRUE(test::connect(admin_).has_value());
  EXPECT_EQ(reg(kCardConfig, 4), expected.card_control);
  EXPECT_EQ(reg(kCardConfig, 8), 2U);  // Secure
  EXPECT_EQ(reg(kPortConfig, 4), expected.port_control);
  EXPECT_EQ(reg(kPortConfig, 8), 2U);
  EXPECT_EQ(reg(kPortConfig, 0x0c), expected.port_rids[0]);
  EXPECT_EQ(reg(kPortConfig, 0x10), expected.port_rids[1]);
  // Downstream: the prefetchable window, all that the bridge has. Upstream: no addresses.
  EXPECT_EQ(reg(kPortConfig, 0x14), 0x03f0'0001U);
  EXPECT_EQ(reg(kPortConfig, 0x18), 0x3800U);
  EXPECT_EQ(reg(kPortConfig, 0x1c), 0x3800U);
  EXPECT_EQ(reg(kPortConfig, 0x20), 0U);
  EXPECT_EQ(reg(kCardConfig, 0x14), 0U);
  ASSERT_TRUE(test::disconnect(admin_).has_value());
  for (std::size_t offset = 4; offset < 0x2c; offset += 4) {
    EXPECT_EQ(reg(kCardConfig, offset), 0U) << offset;
    EXPECT_EQ(reg(kPortConfig, offset), 0U) << offset;
  }
}

TEST_P(StreamOf, IsALinkOfTheHostBridgeAndOfItsTsm) {
  const Expected& expected = GetParam();
  constexpr std::string_view kName = "stream0.0.0";
  constexpr std::string_view kTsm = "/tsm/tsm0/";
  EXPECT_EQ(cat("available_secure_streams"), expected.free_before);
  ASSERT_TRUE(test::connect(admin_).has_value());
  EXPECT_EQ(cat("available_secure_streams"), expected.free_after);
  EXPECT_EQ(links(kName, kBridge), 1);
  EXPECT_EQ(links(kName, kTsm), expected.has_tsm_link ? 1 : 0);
  ASSERT_TRUE(test::disconnect(admin_).has_value());
  EXPECT_EQ(links(kName, ""), 0);
  EXPECT_EQ(cat("available_secure_streams"), expected.free_before);
}

INSTANTIATE_TEST_SUITE_P(
    Machines, StreamOf,
    testing::Values(
        // Posted tdx-host.c: the end point's default stream, the root port is the module's.
        Expected{"tdx-connect",
                 0x01c0'0201,
                 0x0100'0001,
                 {0x0001'0200, 0x0001'0001},
                 "8\n",
                 "7\n",
                 true},
        // Posted arm-cca.c: the id is the index; the monitor has the root port.
        Expected{"arm-cca-slice",
                 0x0080'0201,
                 0x0000'0001,
                 {0x0001'0200, 0x0001'0001},
                 "256\n",
                 "255\n",
                 true},
        // sev-dev-tsm.c, stream_setup(): all requesters; no tsm_ide_stream_register().
        Expected{"amd-sev",
                 0x00c0'0001,
                 0x0000'0201,
                 {0x00ff'ff00, 0x0000'0001},
                 "256\n",
                 "255\n",
                 false}),
    [](const auto& of) {
      std::string name(of.param.machine);
      for (char& c : name)
        if (c == '-') c = '_';
      return name;
    });

}  // namespace
}  // namespace teeio::machine
