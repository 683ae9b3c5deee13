#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace teeio {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/// Reads little-endian fields in order. After the first short read every
/// further read gives 0 and ok() is false, so a decoder checks once, at the end.
class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}
  explicit Reader(Bytes&&) = delete;  ///< it would be gone before it is read

  template <std::unsigned_integral T>
  T le() {
    if (in_.size() < sizeof(T)) return short_read(), T{0};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value |= std::to_integer<std::uint64_t>(in_[i]) << (8 * i);
    in_ = in_.subspan(sizeof(T));
    return static_cast<T>(value);
  }

  /// The next `count` bytes, or an empty view (and !ok()) when fewer are left.
  ByteView take(std::size_t count) {
    if (in_.size() < count) return short_read(), ByteView{};
    const ByteView taken = in_.first(count);
    in_ = in_.subspan(count);
    return taken;
  }

  void skip(std::size_t count) { (void)take(count); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] ByteView rest() const { return in_; }

 private:
  void short_read() {
    ok_ = false;
    in_ = {};
  }
  ByteView in_;
  bool ok_ = true;
};

/// Appends little-endian fields to a growing buffer.
class Writer {
 public:
  template <std::unsigned_integral T>
  Writer& le(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      out_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
    return *this;
  }
  Writer& bytes(ByteView in) {
    out_.insert(out_.end(), in.begin(), in.end());
    return *this;
  }
  Writer& zeros(std::size_t count) {
    out_.resize(out_.size() + count);
    return *this;
  }
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

/// The bytes of a trivially copyable object.
template <class T>
  requires std::is_trivially_copyable_v<T>
[[nodiscard]] ByteView bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}
template <class T>
  requires std::is_trivially_copyable_v<T>
[[nodiscard]] std::span<std::byte> writable_bytes_of(T& value) {
  return std::as_writable_bytes(std::span<T, 1>(&value, 1));
}

}  // namespace teeio
