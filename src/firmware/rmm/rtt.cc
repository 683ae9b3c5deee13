#include "firmware/rmm/rtt.h"

#include "base/check.h"

namespace teeio::rmm {
namespace {

// Stage-2 descriptors. Source: Arm ARM (DDI 0487), D8.3; attributes as TF-RMM's
// lib/s2tt/src/s2tt.c has them. Where bit 0 is clear the rest is software's: here the RIPAS.
constexpr std::uint64_t kValid = 1;
constexpr std::uint64_t kTableOrPage = 1U << 1U;
constexpr std::uint64_t kWriteBack = 0xfU << 2U;
constexpr std::uint64_t kDeviceMemory = 1U << 2U;
constexpr std::uint64_t kReadWrite = 3U << 6U;
constexpr std::uint64_t kInnerShareable = 3U << 8U;
constexpr std::uint64_t kAccessFlag = 1U << 10U;
constexpr unsigned kRipas = 5;

constexpr std::uint64_t kNonSecure = 1ULL << 55U;
constexpr std::uint64_t kNeverExecuted = 2ULL << 53U;

std::uint64_t descriptor(const Rtt::Entry& entry, std::uint8_t level) {
  if (!entry.valid()) return static_cast<std::uint64_t>(entry.ripas) << kRipas;
  if (entry.shared)
    return raw(*entry.address) | entry.attributes | kNonSecure | kNeverExecuted | kAccessFlag |
           kInnerShareable | (level == kPageLevel ? kTableOrPage : 0) | kValid;
  return raw(*entry.address) | kAccessFlag | kReadWrite |
         (entry.data ? kWriteBack | kInnerShareable : kDeviceMemory) |
         (level == kPageLevel ? kTableOrPage : 0) | kValid;
}

}  // namespace

void Rtt::write(Gpa ipa, std::uint8_t level, std::uint64_t word) {
  const Hpa granule = level == kRootLevel ? root_ : table(ipa, level);
  const std::uint64_t index = raw(ipa) / level_bytes(level) % 512;
  const auto written =
      memory_->write_u64(granule + index * sizeof(std::uint64_t), word, kRealmWorld);
  TEEIO_CHECK(written.has_value(), "a table's granule is the monitor's RAM");
}

Rtt::Walk Rtt::walk(Gpa ipa, std::uint8_t wanted) const {
  Walk walk;
  while (has_table(ipa, static_cast<std::uint8_t>(walk.level + 1))) {
    if (walk.level == wanted) {
      walk.table = true;
      break;
    }
    ++walk.level;
  }
  return walk;
}

Rtt::Entry Rtt::entry(Gpa ipa, std::uint8_t level) const {
  const auto at = entries_.find(key(ipa, level, level_bytes(level)));
  return at == entries_.end() ? Entry{} : at->second;
}

void Rtt::set(Gpa ipa, std::uint8_t level, const Entry& entry) {
  const Key at = key(ipa, level, level_bytes(level));
  if (entry.address || entry.ripas != Ripas::kEmpty)
    entries_[at] = entry;
  else
    entries_.erase(at);
  write(ipa, level, descriptor(entry, level));
}

bool Rtt::has_table(Gpa ipa, std::uint8_t level) const {
  return level <= kPageLevel && tables_.contains(key(ipa, level, span(level)));
}

Hpa Rtt::table(Gpa ipa, std::uint8_t level) const {
  return tables_.at(key(ipa, level, span(level)));
}

/// Its entries have the RIPAS of the one above, and its address, if that maps a block.
void Rtt::add_table(Gpa ipa, std::uint8_t level, Hpa granule) {
  const auto above = static_cast<std::uint8_t>(level - 1);
  const Entry parent = entry(ipa, above);
  TEEIO_CHECK(!has_table(ipa, level), "a table takes the place of another");
  set(ipa, above, {});
  const Key at = key(ipa, level, span(level));
  tables_.emplace(at, granule);
  const auto emptied = memory_->write(granule, Bytes(kPageSize), kRealmWorld);
  TEEIO_CHECK(emptied.has_value(), "a table's granule is the monitor's RAM");
  write(ipa, above, raw(granule) | kTableOrPage | kValid);
  if (parent.ripas == Ripas::kEmpty && !parent.address) return;
  const std::uint64_t bytes = level_bytes(level);
  for (std::uint64_t i = 0; i < 512; ++i) {
    Entry part = parent;
    if (parent.address) part.address = *parent.address + i * bytes;
    set(Gpa{at.base + i * bytes}, level, part);
  }
}

Hpa Rtt::take_table(Gpa ipa, std::uint8_t level) {
  const Key at = key(ipa, level, span(level));
  const Hpa granule = tables_.at(at);
  tables_.erase(at);
  const auto first = entries_.lower_bound({level, at.base});
  const auto last = entries_.lower_bound({level, at.base + span(level)});
  entries_.erase(first, last);
  return granule;
}

Hpa Rtt::fold_table(Gpa ipa, std::uint8_t level, const Entry& entry) {
  const Hpa granule = take_table(ipa, level);
  set(ipa, static_cast<std::uint8_t>(level - 1), entry);
  return granule;
}

/// s2tt_is_unassigned_*_block() and s2tt_maps_*_block().
std::optional<Rtt::Entry> Rtt::folded(Gpa ipa, std::uint8_t level) const {
  const Gpa base{key(ipa, level, span(level)).base};
  const auto below = static_cast<std::uint8_t>(level + 1);
  const Entry first = entry(base, level);
  if (first.address && raw(*first.address) % span(level) != 0) return std::nullopt;
  Entry same = first;
  for (std::uint64_t at = 0; at < span(level); at += level_bytes(level)) {
    if (first.address) same.address = *first.address + at;
    if (has_table(base + at, below) || entry(base + at, level) != same) return std::nullopt;
  }
  return first;
}

Hpa Rtt::remove_table(Gpa ipa, std::uint8_t level) {
  const Hpa granule = take_table(ipa, level);
  // What is not protected has no RIPAS.
  const Ripas ripas = raw(ipa) < kProtected ? Ripas::kDestroyed : Ripas::kEmpty;
  set(ipa, static_cast<std::uint8_t>(level - 1), {.ripas = ripas});
  return granule;
}

bool Rtt::any_entry(Gpa base, std::uint8_t level) const {
  auto at = entries_.lower_bound({level, raw(base)});
  for (;
       at != entries_.end() && at->first.level == level && at->first.base < raw(base) + span(level);
       ++at)
    if (at->second.address && !at->second.shared) return true;
  return false;
}

bool Rtt::live(Gpa ipa, std::uint8_t level) const {
  const Key at = key(ipa, level, span(level));
  if (any_entry(Gpa{at.base}, level)) return true;
  if (level == kPageLevel) return false;
  const auto below = static_cast<std::uint8_t>(level + 1);
  const auto table = tables_.lower_bound({below, at.base});
  return table != tables_.end() && table->first.level == below &&
         table->first.base < at.base + span(level);
}

}  // namespace teeio::rmm
