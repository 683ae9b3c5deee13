#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "machine/config.h"

namespace teeio::machine {

/// Where the tables of a machine file begin, in the order of Config's lists.
struct ConfigLines {
  struct Card {
    std::uint32_t line = 0;
    std::vector<std::uint32_t> namespaces;
    std::vector<std::uint32_t> tdis;
  };
  std::vector<std::uint32_t> root_ports;
  std::vector<Card> cards;
};

/// What no single key can tell: addresses and windows that collide, cards that lie
/// below no port, BARs that do not fit. A machine of which nothing is said here can be
/// made. Gives what is wrong, with file and line, or nothing.
[[nodiscard]] std::string check_topology(const Config& config, const ConfigLines& lines,
                                         std::string_view file);

}  // namespace teeio::machine
