#include "firmware/tdx/sept.h"

#include <fmt/format.h>

#include "base/check.h"

namespace teeio::tdx {
namespace {

constexpr std::uint64_t kReadWrite = 3;
constexpr std::uint64_t kPageSizeBit = 0x80;
constexpr std::uint64_t kEntries = 512;

bool present(SeptState state) {
  return state == SeptState::kMapped || state == SeptState::kMmioMapped ||
         state == SeptState::kTable;
}

bool points_to_table(SeptState state) {
  return state == SeptState::kTable || state == SeptState::kTableBlocked;
}

}  // namespace

std::string describe(Gpa gpa, Level level) {
  return fmt::format("gpa={:#x} level={}", raw(gpa), static_cast<unsigned>(level));
}

SeptEntry SeptEntry::make(SeptState state, Level level, Hpa address) {
  std::uint64_t value = raw(address) | static_cast<std::uint64_t>(state) << 52U;
  if (present(state)) value |= kReadWrite;
  if (level != Level::k4K && state != SeptState::kFree && !points_to_table(state))
    value |= kPageSizeBit;
  return SeptEntry(value);
}

Sept::Place Sept::walk(Gpa gpa, Level level) const {
  Hpa table = td_.sept_root;
  for (unsigned at = static_cast<unsigned>(Level::k512G);; --at) {
    const std::uint64_t index = raw(gpa) >> (12U + 9U * at) & (kEntries - 1);
    Place place{.where = table + index * 8, .level = static_cast<Level>(at), .entry = {}};
    place.entry = read(place.where);
    if (place.level == level || !place.entry.is_table()) return place;
    table = place.entry.address();
  }
}

std::optional<Hpa> Sept::accepted_ram(Gpa gpa) const {
  const Place place = walk(gpa, Level::k4K);
  if (place.entry.state() != SeptState::kMapped) return std::nullopt;
  return place.entry.address() + raw(gpa) % level_bytes(place.level);
}

void Sept::write(Hpa where, SeptEntry entry) const {
  const bool written = memory_.write_u64(where, entry.value(), td_.key()).has_value();
  TEEIO_CHECK(written, "a secure EPT page is RAM with its TD's key");
}

bool Sept::table_in_use(Hpa table) const {
  for (std::uint64_t i = 0; i < kEntries; ++i)
    if (read(table + i * 8).state() != SeptState::kFree) return true;
  return false;
}

SeptEntry Sept::read(Hpa where) const {
  const auto value = memory_.read_u64(where, td_.key());
  TEEIO_CHECK(value.has_value(), "a secure EPT page is RAM with its TD's key");
  return SeptEntry(*value);
}

}  // namespace teeio::tdx
