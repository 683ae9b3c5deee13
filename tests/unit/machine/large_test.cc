// A whole rack's functions on one machine.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "machine/config.h"
#include "unit/machine/make_machine.h"

namespace teeio::machine {
namespace {

/// `ports` root ports, and behind each a card with `vfs` VFs.
std::string text_of(unsigned ports, unsigned vfs) {
  constexpr std::uint64_t kFirst = 0x3800'0000'0000, kWindowMib = 1024;
  std::string head = "name = \"rack\"\ntsm = \"tdx\"\nmemory_mib = 8192\n";
  std::string cards;
  for (unsigned i = 0; i < ports; ++i) {
    const std::uint64_t window = kFirst + i * (kWindowMib << 20U);
    const unsigned bus = 4 * i + 1;
    head += fmt::format(
        "[[root_port]]\nbdf = \"0000:00:{:02x}.{}\"\nbus = {}\nwindow = {:#x}\n"
        "window_mib = {}\nide_streams = 4\ntee_io = true\n",
        i / 8 + 1, i % 8, bus, window, kWindowMib);
    cards += fmt::format(
        "[[card]]\nmodel = \"dma-engine\"\nbdf = \"0000:{:02x}:00.0\"\nwindow = {:#x}\n"
        "vfs = {}\nide_streams = 2\nserial = {}\n",
        bus, window, vfs, i + 1);
  }
  return head + cards;
}

// What grows with the square of the functions shows here as a test that does not end.
TEST(LargeMachine, FourThousandFunctionsAreMade) {
  const auto config = parse_config(text_of(32, 128), "rack.toml");
  ASSERT_TRUE(config.has_value()) << config.error();
  const auto machine = Machine::create(*config);
  ASSERT_TRUE(machine.has_value());
}

}  // namespace
}  // namespace teeio::machine
