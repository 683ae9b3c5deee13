#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace teeio {

inline constexpr std::uint64_t kPageSize = 4096;  ///< bytes
inline constexpr unsigned kPageShift = 12;

/// Byte addresses in the three spaces that must never be mixed up: what a
/// device emits, what a guest emits, and what the memory bus sees.
enum class Iova : std::uint64_t {};
enum class Gpa : std::uint64_t {};
enum class Hpa : std::uint64_t {};

template <class A>
concept Address = std::is_same_v<A, Iova> || std::is_same_v<A, Gpa> || std::is_same_v<A, Hpa>;

template <Address A>
[[nodiscard]] constexpr std::uint64_t raw(A a) {
  return std::to_underlying(a);
}
template <Address A>
[[nodiscard]] constexpr A operator+(A a, std::uint64_t size_bytes) {
  return A{raw(a) + size_bytes};
}
template <Address A>
[[nodiscard]] constexpr std::uint64_t operator-(A a, A b) {
  return raw(a) - raw(b);
}
template <Address A>
[[nodiscard]] constexpr A page_of(A a) {
  return A{raw(a) & ~(kPageSize - 1)};
}
template <Address A>
[[nodiscard]] constexpr std::uint64_t offset_in_page(A a) {
  return raw(a) & (kPageSize - 1);
}
[[nodiscard]] constexpr bool is_page_aligned(std::uint64_t value) {
  return (value & (kPageSize - 1)) == 0;
}

/// A PCI function's address. Source: PCIe Base Spec 2.2.6.2; the domain is
/// Linux's segment number.
struct Bdf {
  std::uint16_t domain = 0;
  std::uint8_t bus = 0;
  std::uint8_t device = 0;    ///< 0–31
  std::uint8_t function = 0;  ///< 0–7

  /// Requester ID as in a TLP: bus 15:8, device 7:3, function 2:0.
  [[nodiscard]] constexpr std::uint16_t rid() const {
    return static_cast<std::uint16_t>(bus << 8U | device << 3U | function);
  }
  [[nodiscard]] static constexpr Bdf from_rid(std::uint16_t rid, std::uint16_t domain = 0) {
    return {domain, static_cast<std::uint8_t>(rid >> 8U),
            static_cast<std::uint8_t>(rid >> 3U & 31U), static_cast<std::uint8_t>(rid & 7U)};
  }
  auto operator<=>(const Bdf&) const = default;

  /// "0000:01:00.0", as sysfs spells it.
  [[nodiscard]] std::string str() const;
  /// Accepts "0000:01:00.0" and "01:00.0"; nullopt for anything else.
  [[nodiscard]] static std::optional<Bdf> parse(std::string_view text);
};

}  // namespace teeio
