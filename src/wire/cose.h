#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

// As much of COSE (RFC 9052, 9053) as attestation tokens have.
namespace teeio::wire {

/// IANA's registry "COSE Algorithms": ECDSA with SHA-256, -384, -512 (RFC 9053, 2.1).
enum class CoseAlgorithm : std::int64_t { kEs256 = -7, kEs384 = -35, kEs512 = -36 };

/// COSE_Sign1 with tag 18 (RFC 9052, 4.2).
struct CoseSign1 {
  Bytes header;  ///< protected, as it is signed
  std::int64_t algorithm = 0;
  Bytes payload;
  Bytes signature;

  /// Its protected header says ES384 and no more; unsigned so far.
  static CoseSign1 of(Bytes payload, CoseAlgorithm algorithm);
  /// What the signature is over (RFC 9052, 4.4), without external data.
  [[nodiscard]] Bytes to_sign() const;
  [[nodiscard]] Bytes encode() const;
  /// Errors: EINVAL when it is none, its header names no algorithm or has critical
  /// parameters, its payload is elsewhere, or bytes follow it.
  static Result<CoseSign1> decode(ByteView bytes);
};

/// EC2 keys of COSE (RFC 9053, 7.1): a curve by its number, and the point.
struct CoseEcKey {
  enum class Curve : std::uint8_t { kP256 = 1, kP384 = 2, kP521 = 3 };
  Curve curve = Curve::kP384;
  Bytes point;  ///< x || y, each of the curve's size

  [[nodiscard]] Bytes encode() const;
  /// Also the form before profiles: an uncompressed point of X9.62, 04h || x || y, whose size
  /// says the curve. Errors: EINVAL when it is neither.
  static Result<CoseEcKey> decode(ByteView bytes);
};

}  // namespace teeio::wire
