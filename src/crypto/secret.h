#pragma once

#include "base/bytes.h"

namespace teeio::crypto {

/// Overwrites memory in a way that no compiler takes out.
void wipe(std::span<std::byte> memory);

/// Bytes that are wiped when they go: key material. Never grows, so no copy of
/// them stays behind in freed memory.
///
/// Locking: none; a value.
class Secret {
 public:
  Secret() = default;
  /// Zeros.
  explicit Secret(std::size_t size_bytes) : bytes_(size_bytes) {}
  /// A copy; wiping `bytes` is the caller's.
  explicit Secret(ByteView bytes) : bytes_(bytes.begin(), bytes.end()) {}
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    wipe(bytes_);
    bytes_ = std::move(other.bytes_);
    other.bytes_.clear();
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(bytes_); }

  [[nodiscard]] Secret clone() const { return Secret(view()); }
  [[nodiscard]] ByteView view() const { return bytes_; }
  [[nodiscard]] std::span<std::byte> writable() { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  /// Wipes now; empty afterwards.
  void clear() {
    wipe(bytes_);
    bytes_.clear();
  }

 private:
  Bytes bytes_;
};

/// Whether both are the same bytes, in time that depends on their sizes only.
[[nodiscard]] bool equal_in_constant_time(ByteView a, ByteView b);

}  // namespace teeio::crypto
