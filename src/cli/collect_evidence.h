#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>

#include "evidence/object.h"

namespace teeio::cli {

/// Whom to ask, and for what.
struct CollectFrom {
  std::string address;  ///< HOST:PORT
  std::string transport = "doe";
  std::uint8_t slot = 0;
  std::string interface;  ///< a PCI address: its report too; empty: none
  unsigned timeout_ms = 2000;
};

/// What is wrong with the words of `from`, which may name nobody; empty if nothing is.
[[nodiscard]] std::string why_not_asked(const CollectFrom& from);

/// Evidence of a device behind spdm-emu's socket protocol: its chain, and all measurements
/// signed with `nonce`. With an interface, that is locked for as long as its report is
/// read, in the session in which the device measures itself. Error: ready to print.
std::expected<evidence::Bundle, std::string> collect_evidence(
    const CollectFrom& from, const std::array<std::byte, 32>& nonce);

}  // namespace teeio::cli
