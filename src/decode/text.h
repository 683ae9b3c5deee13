#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace teeio::decode {

/// Characters, one behind the other, for whoever makes millions of lines: what is appended
/// costs a comparison and a copy, and clear() keeps the memory.
///
/// Not moved, but copied: what a move leaves behind would need a size of its own.
class Text {
 public:
  Text() = default;
  ~Text() = default;
  Text(const Text&) = default;
  Text& operator=(const Text&) = default;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string_view view() const { return std::string_view(room_).substr(0, size_); }
  [[nodiscard]] std::string_view view(std::size_t at, std::size_t size) const {
    return {room_.data() + at, size};
  }
  /// Keeps `most` characters' memory, or none.
  void clear(std::size_t most) {
    size_ = 0;
    if (room_.size() > most) std::string().swap(room_);
  }

  Text& add(std::string_view more) {
    std::copy_n(more.data(), more.size(), claim(more.size()));
    return *this;
  }
  Text& add(char c) {
    *claim(1) = c;
    return *this;
  }
  Text& add(std::size_t count, char c) {
    std::fill_n(claim(count), count, c);
    return *this;
  }
  Text& add_number(std::uint64_t value, int base = 10) {
    if (value < 10) return add(static_cast<char>('0' + value));  // as most are
    char* const at = claim(kMostDigits);
    char* const end = std::to_chars(at, at + kMostDigits, value, base).ptr;
    size_ -= static_cast<std::size_t>(at + kMostDigits - end);
    return *this;
  }
  /// At least `width` characters, with `fill` before them.
  Text& add_number(std::uint64_t value, std::size_t width, char fill, int base = 10);
  /// Two digits a byte.
  Text& add_hex(ByteView bytes);

 private:
  static constexpr std::size_t kMostDigits = 20;

  /// Where `count` more characters are to be written.
  char* claim(std::size_t count) {
    if (room_.size() - size_ < count) [[unlikely]]
      grow(count);
    size_ += count;
    return room_.data() + (size_ - count);
  }
  void grow(std::size_t count);

  std::string room_;      ///< all of it may be written
  std::size_t size_ = 0;  ///< what was
};

/// Several in one, with a character between them.
class List {
 public:
  List(Text& out, char between) : out_(out), between_(between) {}
  /// Where the next one goes.
  Text& next() {
    if (!std::exchange(first_, false)) out_.add(between_);
    return out_;
  }

 private:
  Text& out_;
  const char between_;
  bool first_ = true;
};

}  // namespace teeio::decode
