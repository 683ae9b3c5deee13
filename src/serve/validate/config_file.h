#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/types.h"

namespace teeio::serve::validate {

/// A PCIe function's config space, as its file in /sys has it.
///
/// Lifetime: the caller's. Locking: none.
class ConfigFile {
 public:
  static constexpr std::uint32_t kGone = ~0U;  ///< what an absent function reads as

  /// Errors, ready to print: no such function, no right to read all of it or to write.
  static std::expected<ConfigFile, std::string> open(Bdf function);

  [[nodiscard]] Bdf function() const { return function_; }
  /// A register of 4 bytes; kGone also if it cannot be read.
  [[nodiscard]] std::uint32_t read(std::uint32_t offset) const;
  /// What does not arrive is seen when it is read.
  void write(std::uint32_t offset, std::uint32_t value) const;
  /// The first extended capability of that id at `from` or behind it in the list.
  [[nodiscard]] std::optional<std::uint16_t> find_extended(std::uint16_t id,
                                                           std::uint16_t from = 0x100) const;
  /// What follows a capability in the list.
  [[nodiscard]] std::uint16_t next_extended(std::uint16_t capability) const;

 private:
  ConfigFile(Bdf function, Fd file) : function_(function), file_(std::move(file)) {}
  Bdf function_;
  Fd file_;
};

/// "/sys/bus/pci/devices/0000:01:00.0/config".
[[nodiscard]] std::string pci_attribute(Bdf function, std::string_view name);

}  // namespace teeio::serve::validate
