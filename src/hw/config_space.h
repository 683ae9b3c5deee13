#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "schedule/monitor.h"

namespace teeio::hw {

/// 4 KiB of configuration registers: values, which bits software may write, and
/// which are cleared by writing 1. Effects belong to the function that owns it.
/// Source: PCIe Base Spec 7.5, capability ids 7.5.3 and 7.7–7.9.
///
/// Locking: the owner's lock, a monitor; look() needs none where the constructor allows it. Each
/// aligned word of 4 bytes then is a flag that tasks share, as a register is: who looks
/// at one meets those that change it, and nobody else.
class ConfigSpace {
 public:
  static constexpr std::size_t kSize = 4096;
  static constexpr std::uint16_t kExtendedStart = 0x100;

  enum class Looks : bool { kWithLock, kWithoutLock };
  explicit ConfigSpace(Looks looks = Looks::kWithLock) : looks_(looks) {}
  ConfigSpace(const ConfigSpace&) = delete;
  ConfigSpace& operator=(const ConfigSpace&) = delete;

  /// Little-endian register values; size 1, 2 or 4, naturally aligned.
  [[nodiscard]] std::uint32_t read(std::uint16_t offset, unsigned size_bytes) const;
  /// read() without the owner's lock. Precondition: Looks::kWithoutLock.
  [[nodiscard]] std::uint32_t look(std::uint16_t offset, unsigned size_bytes) const;
  /// Applies the write mask and write-1-to-clear bits.
  void write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value);
  /// Hardware's own update: no mask.
  void set(std::uint16_t offset, unsigned size_bytes, std::uint32_t value);
  void set_writable(std::uint16_t offset, unsigned size_bytes, std::uint32_t mask);
  void set_write_one_clears(std::uint16_t offset, unsigned size_bytes, std::uint32_t mask);

  /// Adds a capability of `size_bytes` (header included) behind the last one and
  /// links it; gives its offset. Precondition: it fits.
  std::uint16_t add_capability(std::uint8_t id, std::uint8_t size_bytes);
  std::uint16_t add_extended_capability(std::uint16_t id, std::uint8_t version,
                                        std::uint16_t size_bytes);
  [[nodiscard]] std::optional<std::uint16_t> find_capability(std::uint8_t id) const;
  [[nodiscard]] std::optional<std::uint16_t> find_extended_capability(std::uint16_t id) const;

 private:
  static constexpr std::size_t kWords = kSize / 4;
  void put(std::size_t word, std::uint32_t value);

  const Looks looks_;
  std::array<std::atomic<std::uint32_t>, kWords> values_{};
  const schedule::Turn turn_{"register"};  ///< a part a word
  std::array<std::uint32_t, kWords> writable_{};
  std::array<std::uint32_t, kWords> write_one_clears_{};
  std::uint8_t last_capability_ = 0;
  std::uint16_t next_free_ = 0x40;
  std::uint16_t last_extended_ = 0;
  std::uint16_t next_extended_free_ = kExtendedStart;
};

}  // namespace teeio::hw
