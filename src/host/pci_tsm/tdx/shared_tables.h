#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "base/result.h"
#include "base/types.h"
#include "firmware/tdx/types.h"

namespace teeio::tsm {

/// Table pages that several functions stand on, counted, so that the last user
/// takes them down: the inner levels of DEVIFMT, MMIOMT and the DMAR tree.
///
/// Locking: none; the driver's.
class SharedTables {
 public:
  /// Which table: its level and the part of the key above it.
  using Key = std::pair<unsigned, std::uint64_t>;

  /// One more user of a table; `add(key)` makes it when this is the first and
  /// gives its page. Errors: add()'s, then nothing has changed.
  template <class Add>
  Result<void> use(Key key, Add add) {
    if (const auto at = tables_.find(key); at != tables_.end())
      return ++at->second.users, Result<void>{};
    TEEIO_ASSIGN(const Hpa page, add());
    tables_.emplace(key, Table{.page = page, .users = 1});
    return {};
  }
  /// One user less; `remove(page)` runs for the last.
  template <class Remove>
  void release(Key key, Remove remove) {
    const auto at = tables_.find(key);
    if (at == tables_.end() || --at->second.users != 0) return;
    const Hpa page = at->second.page;
    tables_.erase(at);
    remove(page);
  }
  [[nodiscard]] bool empty() const { return tables_.empty(); }

 private:
  struct Table {
    Hpa page;
    std::uint32_t users;
  };
  std::map<Key, Table> tables_;
};

/// The table of `level` (4: root) on the way to a function in DEVIFMT, whose
/// index has nine bits a level.
[[nodiscard]] inline SharedTables::Key devifmt_key(tdx::FunctionId id, unsigned level) {
  constexpr unsigned kBitsPerLevel = 9;
  return {level, std::uint64_t{static_cast<std::uint32_t>(id)} >> kBitsPerLevel * level};
}
/// The table of `level` (5: root) on the way to an address in MMIOMT, whose tables have
/// 128 entries, and four tables stand below each of those.
[[nodiscard]] inline SharedTables::Key mmiomt_key(Hpa address, unsigned level) {
  constexpr unsigned kBitsPerLevel = 9;
  constexpr unsigned kQuarterBits = 2;
  if (level == tdx::kMmiomtLevels) return {level, 0};
  return {level, raw(address) >> (kPageShift + kBitsPerLevel * level - kQuarterBits)};
}

}  // namespace teeio::tsm
