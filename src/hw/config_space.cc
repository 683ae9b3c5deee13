#include "hw/config_space.h"

#include "base/check.h"

namespace teeio::hw {
namespace {

// Source: PCIe Base Spec 7.5.1.1.3 (Status, bit 4), 7.5.1.1.11 (Capabilities
// Pointer) and 7.6.3 (extended capability header).
constexpr std::uint16_t kStatusRegister = 0x06;
constexpr std::uint16_t kStatusHasCapabilities = 0x10;
constexpr std::uint16_t kCapabilitiesPointer = 0x34;
constexpr std::uint32_t kNextExtendedShift = 20;

void check_access(std::uint16_t offset, unsigned size_bytes) {
  TEEIO_CHECK(size_bytes == 1 || size_bytes == 2 || size_bytes == 4,
              "a config access is not of 1, 2 or 4 bytes");
  TEEIO_CHECK(offset % size_bytes == 0 && offset < ConfigSpace::kSize,
              "a config access is misaligned or beyond the end");
}

/// Where a register lies in its word.
struct Register {
  Register(std::uint16_t offset, unsigned size_bytes)
      : word(offset / 4U), shift(offset % 4U * 8), mask(0xffff'ffffU >> (32 - 8 * size_bytes)) {
    check_access(offset, size_bytes);
  }
  [[nodiscard]] std::uint32_t of(std::uint32_t value) const { return value >> shift & mask; }
  /// `value` with the register replaced.
  [[nodiscard]] std::uint32_t into(std::uint32_t value, std::uint32_t now) const {
    return (value & ~(mask << shift)) | (now & mask) << shift;
  }
  std::size_t word;
  unsigned shift;
  std::uint32_t mask;
};

constexpr std::uint16_t dword_aligned(unsigned size) {
  return static_cast<std::uint16_t>((size + 3U) & ~3U);
}

}  // namespace

std::uint32_t ConfigSpace::read(std::uint16_t offset, unsigned size_bytes) const {
  const Register at(offset, size_bytes);
  return at.of(values_[at.word].load(std::memory_order_relaxed));
}

std::uint32_t ConfigSpace::look(std::uint16_t offset, unsigned size_bytes) const {
  TEEIO_CHECK(looks_ == Looks::kWithoutLock, "a register is looked at without its lock");
  const Register at(offset, size_bytes);
  turn_.take(schedule::part(1, at.word), schedule::Touch::How::kRead);
  return at.of(values_[at.word].load());
}

/// What does not change needs nobody to know.
void ConfigSpace::put(std::size_t word, std::uint32_t value) {
  if (values_[word].load(std::memory_order_relaxed) == value) return;
  if (looks_ == Looks::kWithoutLock)
    turn_.take(schedule::part(1, word), schedule::Touch::How::kWrite);
  values_[word].store(value);
}

void ConfigSpace::write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  const Register at(offset, size_bytes);
  const std::uint32_t before = values_[at.word].load(std::memory_order_relaxed);
  const std::uint32_t written = at.into(0, value);
  const std::uint32_t mask = writable_[at.word] & at.into(0, ~0U);
  put(at.word, ((before & ~mask) | (written & mask)) & ~(written & write_one_clears_[at.word]));
}

void ConfigSpace::set(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  const Register at(offset, size_bytes);
  put(at.word, at.into(values_[at.word].load(std::memory_order_relaxed), value));
}

void ConfigSpace::set_writable(std::uint16_t offset, unsigned size_bytes, std::uint32_t mask) {
  const Register at(offset, size_bytes);
  writable_[at.word] = at.into(writable_[at.word], mask);
}

void ConfigSpace::set_write_one_clears(std::uint16_t offset, unsigned size_bytes,
                                       std::uint32_t mask) {
  const Register at(offset, size_bytes);
  write_one_clears_[at.word] = at.into(write_one_clears_[at.word], mask);
}

std::uint16_t ConfigSpace::add_capability(std::uint8_t id, std::uint8_t size_bytes) {
  const std::uint16_t at = next_free_;
  TEEIO_CHECK(size_bytes >= 2 && at + size_bytes <= kExtendedStart,
              "a capability does not fit the first 256 bytes");
  set(at, 1, id);
  set(static_cast<std::uint16_t>(at + 1), 1, 0);
  if (last_capability_ == 0) {
    set(kStatusRegister, 2, read(kStatusRegister, 2) | kStatusHasCapabilities);
    set(kCapabilitiesPointer, 1, at);
  } else {
    set(static_cast<std::uint16_t>(last_capability_ + 1), 1, at);
  }
  last_capability_ = static_cast<std::uint8_t>(at);
  next_free_ = dword_aligned(at + unsigned{size_bytes});
  return at;
}

std::uint16_t ConfigSpace::add_extended_capability(std::uint16_t id, std::uint8_t version,
                                                   std::uint16_t size_bytes) {
  const std::uint16_t at = next_extended_free_;
  TEEIO_CHECK(size_bytes >= 4 && at + size_bytes <= static_cast<int>(kSize),
              "an extended capability does not fit 4 KiB");
  set(at, 4, id | static_cast<std::uint32_t>(version & 0xfU) << 16U);
  if (last_extended_ != 0)
    set(last_extended_, 4,
        read(last_extended_, 4) | static_cast<std::uint32_t>(at) << kNextExtendedShift);
  last_extended_ = at;
  next_extended_free_ = dword_aligned(at + unsigned{size_bytes});
  return at;
}

std::optional<std::uint16_t> ConfigSpace::find_capability(std::uint8_t id) const {
  auto at = static_cast<std::uint16_t>(read(kCapabilitiesPointer, 1));
  while (at != 0) {
    if (read(at, 1) == id) return at;
    at = static_cast<std::uint16_t>(read(static_cast<std::uint16_t>(at + 1), 1));
  }
  return std::nullopt;
}

std::optional<std::uint16_t> ConfigSpace::find_extended_capability(std::uint16_t id) const {
  std::uint16_t at = last_extended_ == 0 ? std::uint16_t{0} : kExtendedStart;
  while (at != 0) {
    const std::uint32_t header = read(at, 4);
    if ((header & 0xffffU) == id) return at;
    at = static_cast<std::uint16_t>(header >> kNextExtendedShift);
  }
  return std::nullopt;
}

}  // namespace teeio::hw
