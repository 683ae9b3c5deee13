#pragma once

#include <array>
#include <cstdint>

#include "base/types.h"
#include "crypto/hash.h"
#include "firmware/rmm/records.h"

namespace teeio::rmm {

/// A realm's measurements: the initial one (RIM), which grows until the realm is active, and
/// four (REM) that the realm extends. Source: TF-RMM app/attestation/rmm_stub/src/rim.c and
/// measurement_descs.h; DEN0137, "Realm measurement and attestation".
///
/// Locking: the monitor's.
class Measurements {
 public:
  static constexpr std::size_t kSlots = 5;      ///< 0: the initial one
  static constexpr std::size_t kMaxBytes = 64;  ///< of one, and of what extends it

  Measurements() : Measurements(HashAlgorithm::kSha256) {}
  /// All are zeros.
  explicit Measurements(HashAlgorithm algorithm) : algorithm_(algorithm) { values_.fill(zeros()); }

  /// measurement_realm_params_measure(): the initial measurement's first value.
  void realm(const RealmFeatures& features);
  /// measurement_data_granule_measure(). `flags`: RmiDataFlags; without kMeasureContent the
  /// address alone counts.
  void data(Gpa ipa, std::uint64_t flags, ByteView contents);
  /// measurement_rec_params_measure().
  void rec(const RecParams& params);
  /// Precondition: a slot of the realm's.
  void extend(std::size_t slot, ByteView value);

  [[nodiscard]] HashAlgorithm algorithm() const { return algorithm_; }
  [[nodiscard]] const crypto::Digest& value(std::size_t slot) const { return values_.at(slot); }
  /// In eight registers, with zeros behind what is shorter.
  [[nodiscard]] std::array<std::uint64_t, 8> words(std::size_t slot) const;

 private:
  [[nodiscard]] crypto::Digest zeros() const;
  void describe(std::uint8_t type, Bytes rest);

  HashAlgorithm algorithm_;
  std::array<crypto::Digest, kSlots> values_{};
};

}  // namespace teeio::rmm
