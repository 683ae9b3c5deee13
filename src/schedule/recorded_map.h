#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "schedule/monitor.h"

namespace teeio::schedule {

/// What a key of a recorded table is told apart by. Two keys that give one number cost
/// schedules only. Key types of one's own have an overload beside them.
template <std::integral Number>
[[nodiscard]] constexpr std::uint64_t part_key(Number key) {
  return static_cast<std::uint64_t>(key);
}
template <std::integral... Numbers>
[[nodiscard]] constexpr std::uint64_t part_key(const std::tuple<Numbers...>& key) {
  constexpr std::uint64_t kOdd = 0x1'0000'0001'b3;
  std::uint64_t all = 0;
  std::apply(
      [&all](auto... number) { ((all = all * kOdd + static_cast<std::uint64_t>(number)), ...); },
      key);
  return all;
}

/// Which table of a monitor's state: the monitor, and a number from 1 that is its own in it.
/// `base` tells apart tables of one kind in several elements of another.
struct Recorded {
  const Monitor* monitor;
  std::uint8_t table;
  std::uint64_t base = 0;

  void touch(std::uint64_t key, Touch::How how) const {
    constexpr unsigned kShift = 48;
    monitor->touch(part(table, key + (base << kShift)), how);
  }
  /// Which keys there are: changed by each that comes or goes, in whatever order.
  void touch_keys(Touch::How how) const { touch(~std::uint64_t{0}, how); }
};

/// A std::map that a monitor guards, each element a part of its own (Monitor::touch()). Who
/// gets to an element through a const map has read it, else written it; a reference is good
/// for the section, and for those that Monitor::give_way() joins to it.
template <class Key, class T>
class RecordedMap {
  using Map = std::map<Key, T>;

 public:
  using iterator = Map::iterator;
  using const_iterator = Map::const_iterator;
  using value_type = Map::value_type;

  explicit RecordedMap(Recorded recorded) : recorded_(recorded) {}

  [[nodiscard]] iterator find(const Key& key) { return changed(key), map_.find(key); }
  [[nodiscard]] const_iterator find(const Key& key) const { return read(key), map_.find(key); }
  [[nodiscard]] bool contains(const Key& key) const { return read(key), map_.contains(key); }
  [[nodiscard]] T& at(const Key& key) { return changed(key), map_.at(key); }
  [[nodiscard]] const T& at(const Key& key) const { return read(key), map_.at(key); }
  template <class... From>
  std::pair<iterator, bool> try_emplace(const Key& key, From&&... from) {
    changed(key);
    const auto made = map_.try_emplace(key, std::forward<From>(from)...);
    if (made.second) recorded_.touch_keys(Touch::How::kUpdate);
    return made;
  }
  T& operator[](const Key& key) { return try_emplace(key).first->second; }
  std::size_t erase(const Key& key) {
    changed(key);
    recorded_.touch_keys(Touch::How::kUpdate);
    return map_.erase(key);
  }
  iterator erase(const_iterator at) {
    changed(at->first);
    recorded_.touch_keys(Touch::How::kUpdate);
    return map_.erase(at);
  }
  void clear() {
    recorded_.touch_keys(Touch::How::kUpdate);
    for (const auto& [key, value] : map_) changed(key);
    map_.clear();
  }

  // Over all of them.
  [[nodiscard]] iterator begin() {
    recorded_.touch_keys(Touch::How::kRead);
    for (const auto& [key, value] : map_) changed(key);
    return map_.begin();
  }
  [[nodiscard]] const_iterator begin() const {
    recorded_.touch_keys(Touch::How::kRead);
    for (const auto& [key, value] : map_) read(key);
    return map_.begin();
  }
  [[nodiscard]] iterator end() { return map_.end(); }
  [[nodiscard]] const_iterator end() const { return map_.end(); }
  [[nodiscard]] std::size_t size() const {
    return recorded_.touch_keys(Touch::How::kRead), map_.size();
  }
  [[nodiscard]] bool empty() const { return size() == 0; }

 private:
  void read(const Key& key) const { recorded_.touch(part_key(key), Touch::How::kRead); }
  void changed(const Key& key) const { recorded_.touch(part_key(key), Touch::How::kWrite); }

  const Recorded recorded_;
  Map map_;
};

/// The same for a vector whose length does not change once tasks run.
template <class T>
class RecordedVector {
 public:
  explicit RecordedVector(Recorded recorded) : recorded_(recorded) {}

  [[nodiscard]] T& operator[](std::size_t at) { return changed(at), all_[at]; }
  [[nodiscard]] const T& operator[](std::size_t at) const { return read(at), all_[at]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  /// What of an element never changes, or is recorded by itself.
  [[nodiscard]] const T& unrecorded(std::size_t at) const { return all_[at]; }
  [[nodiscard]] T& unrecorded(std::size_t at) { return all_[at]; }
  void assign(std::size_t size, const T& value) { all_.assign(size, value); }
  template <class... From>
  T& emplace_back(From&&... from) {
    return all_.emplace_back(std::forward<From>(from)...);
  }

  [[nodiscard]] auto begin() {
    for (std::size_t at = 0; at < all_.size(); ++at) changed(at);
    return all_.begin();
  }
  [[nodiscard]] auto begin() const {
    for (std::size_t at = 0; at < all_.size(); ++at) read(at);
    return all_.begin();
  }
  [[nodiscard]] auto end() { return all_.end(); }
  [[nodiscard]] auto end() const { return all_.end(); }

 private:
  void read(std::size_t at) const { recorded_.touch(at, Touch::How::kRead); }
  void changed(std::size_t at) const { recorded_.touch(at, Touch::How::kWrite); }

  const Recorded recorded_;
  std::vector<T> all_;
};

}  // namespace teeio::schedule
