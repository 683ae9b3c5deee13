#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "base/bytes.h"
#include "crypto/handles.h"

namespace teeio::crypto {

/// The hashes of SPDM's BaseHashAlgo and MeasurementHashAlgo that OpenSSL has.
enum class HashAlgorithm : std::uint8_t {
  kSha256,
  kSha384,
  kSha512,
  kSha3_256,
  kSha3_384,
  kSha3_512,
};
inline constexpr std::size_t kHashAlgorithms = 6;
inline constexpr std::size_t kMaxHashSize = 64;  ///< bytes

/// Bytes of a digest.
[[nodiscard]] constexpr std::size_t hash_size(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256:
    case HashAlgorithm::kSha3_256:
      return 32;
    case HashAlgorithm::kSha384:
    case HashAlgorithm::kSha3_384:
      return 48;
    case HashAlgorithm::kSha512:
    case HashAlgorithm::kSha3_512:
      return 64;
  }
  return 0;
}

/// A digest or MAC by value: up to kMaxHashSize bytes, no allocation.
class Digest {
 public:
  Digest() = default;
  /// Zeros.
  explicit Digest(std::size_t size_bytes) : size_(static_cast<std::uint8_t>(size_bytes)) {}
  [[nodiscard]] ByteView view() const { return ByteView(bytes_).first(size_); }
  [[nodiscard]] std::span<std::byte> writable() { return std::span(bytes_).first(size_); }
  [[nodiscard]] std::size_t size() const { return size_; }
  operator ByteView() const { return view(); }  // NOLINT: it is its bytes
  friend bool operator==(const Digest& a, const Digest& b) {
    return std::ranges::equal(a.view(), b.view());
  }

 private:
  std::array<std::byte, kMaxHashSize> bytes_{};
  std::uint8_t size_ = 0;
};

[[nodiscard]] Digest hash(HashAlgorithm algorithm, ByteView data);
/// Of the concatenation.
[[nodiscard]] Digest hash(HashAlgorithm algorithm, std::initializer_list<ByteView> parts);

/// A hash of what came so far; copies go on independently, which is what
/// transcripts need.
///
/// Locking: none; a value.
class RunningHash {
 public:
  explicit RunningHash(HashAlgorithm algorithm);
  RunningHash(const RunningHash& other);
  RunningHash& operator=(const RunningHash& other);
  RunningHash(RunningHash&&) noexcept = default;
  RunningHash& operator=(RunningHash&&) noexcept = default;
  ~RunningHash() = default;

  RunningHash& update(ByteView data);
  /// Of everything up to here; more may follow.
  [[nodiscard]] Digest digest() const;
  [[nodiscard]] HashAlgorithm algorithm() const { return algorithm_; }

 private:
  HashAlgorithm algorithm_;
  detail::Handle<evp_md_ctx_st> context_;
};

}  // namespace teeio::crypto
