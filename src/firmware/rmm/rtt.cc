#include "firmware/rmm/rtt.h"

#include "base/check.h"

namespace teeio::rmm {

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
}

bool Rtt::has_table(Gpa ipa, std::uint8_t level) const {
  return level <= kPageLevel && tables_.contains(key(ipa, level, span(level)));
}

Hpa Rtt::table(Gpa ipa, std::uint8_t level) const {
  return tables_.at(key(ipa, level, span(level)));
}

/// Its entries have the RIPAS of the one above.
void Rtt::add_table(Gpa ipa, std::uint8_t level, Hpa granule) {
  const auto above = static_cast<std::uint8_t>(level - 1);
  const Entry parent = entry(ipa, above);
  TEEIO_CHECK(!parent.address && !has_table(ipa, level), "a table takes the place of a mapping");
  set(ipa, above, {});
  const Key at = key(ipa, level, span(level));
  tables_.emplace(at, granule);
  if (parent.ripas == Ripas::kEmpty) return;
  for (std::uint64_t i = 0; i < 512; ++i)
    set(Gpa{at.base + i * level_bytes(level)}, level, {.ripas = parent.ripas});
}

Hpa Rtt::remove_table(Gpa ipa, std::uint8_t level) {
  const Key at = key(ipa, level, span(level));
  const Hpa granule = tables_.at(at);
  tables_.erase(at);
  const auto first = entries_.lower_bound({level, at.base});
  const auto last = entries_.lower_bound({level, at.base + span(level)});
  entries_.erase(first, last);
  set(ipa, static_cast<std::uint8_t>(level - 1), {.ripas = Ripas::kDestroyed});
  return granule;
}

bool Rtt::any_entry(Gpa base, std::uint8_t level) const {
  auto at = entries_.lower_bound({level, raw(base)});
  for (;
       at != entries_.end() && at->first.level == level && at->first.base < raw(base) + span(level);
       ++at)
    if (at->second.address) return true;
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
