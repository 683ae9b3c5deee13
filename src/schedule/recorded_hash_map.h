#pragma once

#include <cstddef>
#include <unordered_map>

#include "schedule/recorded_map.h"

namespace teeio::schedule {

/// RecordedMap without an order: a look costs the same however many there are. Nobody asks which
/// keys there are, so that those that come and go meet only who gets to them. Elements stay
/// where they are.
template <class Key, class T>
class RecordedHashMap {
 public:
  explicit RecordedHashMap(Recorded recorded) : recorded_(recorded) {}

  /// Null: none.
  [[nodiscard]] T* find(const Key& key) { return changed(key), look(key); }
  [[nodiscard]] const T* find(const Key& key) const { return read(key), look(key); }
  /// As the const one, for who changes of the element only what is recorded apart.
  [[nodiscard]] T* find_to_read(const Key& key) { return read(key), look(key); }
  [[nodiscard]] bool contains(const Key& key) const { return find(key) != nullptr; }
  T& operator[](const Key& key) { return changed(key), map_[key]; }
  /// What is where it must be, and recorded by whoever changes it. Precondition: there is one.
  [[nodiscard]] T& unrecorded(const Key& key) { return map_.at(key); }
  std::size_t erase(const Key& key) { return changed(key), map_.erase(key); }
  /// By who is alone.
  void clear() { map_.clear(); }

 private:
  struct Hash {
    std::size_t operator()(const Key& key) const { return part_key(key); }
  };

  [[nodiscard]] T* look(const Key& key) {
    const auto at = map_.find(key);
    return at == map_.end() ? nullptr : &at->second;
  }
  [[nodiscard]] const T* look(const Key& key) const {
    const auto at = map_.find(key);
    return at == map_.end() ? nullptr : &at->second;
  }
  void read(const Key& key) const { recorded_.touch(part_key(key), Touch::How::kRead); }
  void changed(const Key& key) const { recorded_.touch(part_key(key), Touch::How::kWrite); }

  const Recorded recorded_;
  std::unordered_map<Key, T, Hash> map_;
};

}  // namespace teeio::schedule
