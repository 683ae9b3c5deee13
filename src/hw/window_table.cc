#include "hw/window_table.h"

#include <bit>

#include "base/check.h"

namespace teeio::hw {
namespace {

/// Region number of a size, from 0 (one page).
std::size_t class_of(std::uint64_t size_bytes) {
  return static_cast<std::size_t>(std::bit_width(size_bytes - 1)) > kPageShift
             ? static_cast<std::size_t>(std::bit_width(size_bytes - 1)) - kPageShift
             : 0;
}

constexpr std::uint64_t kRegionBytes = std::uint64_t{1} << WindowTable::kRegionShift;

}  // namespace

std::optional<Hpa> WindowTable::add(WindowTarget& target, std::uint64_t size) {
  TEEIO_CHECK(size != 0 && is_page_aligned(size), "a window is no whole number of pages");
  const std::size_t number = class_of(size);
  if (number >= kClasses) return std::nullopt;
  Region& region = regions_[number];
  std::uint64_t slot = region.slots.size();
  if (!region.free.empty()) {
    slot = region.free.back();
    region.free.pop_back();
  } else {
    if (slot >= kRegionBytes >> (kPageShift + number) || slot > UINT32_MAX) return std::nullopt;
    region.slots.emplace_back();
  }
  region.slots[slot] = {.target = &target, .size = size};
  return kFirst + (number << kRegionShift) + (slot << (kPageShift + number));
}

std::optional<WindowTable::Place> WindowTable::find(Hpa address) {
  if (raw(address) < raw(kFirst) || raw(address) >= raw(kEnd)) return std::nullopt;
  const std::uint64_t at = address - kFirst;
  const std::size_t number = at >> kRegionShift;
  const unsigned slot_shift = kPageShift + static_cast<unsigned>(number);
  const std::uint64_t slot = (at & (kRegionBytes - 1)) >> slot_shift;
  const std::uint64_t offset = at & ((std::uint64_t{1} << slot_shift) - 1);
  Region& region = regions_[number];
  if (slot >= region.slots.size()) return std::nullopt;
  Window& window = region.slots[slot];
  if (window.target == nullptr || offset >= window.size) return std::nullopt;
  return Place{&window, offset};
}

void WindowTable::remove(Hpa base) {
  const auto place = find(base);
  TEEIO_CHECK(place && place->offset == 0, "a window is removed that is not there");
  TEEIO_CHECK(place->window->users == 0, "a window is removed under an access");
  Region& region = regions_[(base - kFirst) >> kRegionShift];
  *place->window = {};
  region.free.push_back(static_cast<std::uint32_t>(place->window - region.slots.data()));
}

}  // namespace teeio::hw
