#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

using SpdmNonce = std::array<std::byte, 32>;
using SpdmContext = std::array<std::byte, 8>;  ///< RequesterContext (1.3)

/// HashType of CHALLENGE, KEY_EXCHANGE and PSK_EXCHANGE: which measurements the
/// summary hash covers.
enum class SpdmSummary : std::uint8_t { kNone = 0, kTcb = 1, kAll = 0xff };

/// CHALLENGE.
struct SpdmChallenge {
  static constexpr SpdmCode kCode = SpdmCode::kChallenge;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t slot = 0;     ///< 0xff: the provisioned public key
  std::uint8_t summary = 0;  ///< an SpdmSummary, or what the peer sent
  SpdmNonce nonce{};
  SpdmContext context{};  ///< 1.3
  ByteView wire{};
  static Result<SpdmChallenge> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// CHALLENGE_AUTH. The signature is its end: what it signs is everything before.
struct SpdmChallengeAuth {
  static constexpr SpdmCode kCode = SpdmCode::kChallengeAuth;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t slot = 0;           ///< 0–15
  bool basic_mutual_auth = false;  ///< 1.1; the responder wants to challenge back
  std::uint8_t slot_mask = 0;
  ByteView chain_hash{};  ///< SpdmSizes::hash
  SpdmNonce nonce{};
  ByteView summary_hash{};  ///< SpdmSizes::summary_hash
  ByteView opaque{};
  SpdmContext context{};  ///< 1.3
  ByteView signature{};   ///< SpdmSizes::signature
  ByteView wire{};
  static Result<SpdmChallengeAuth> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// GET_MEASUREMENTS.
struct SpdmGetMeasurements {
  static constexpr SpdmCode kCode = SpdmCode::kGetMeasurements;
  static constexpr std::uint8_t kCountOnly = 0;  ///< `operation`: how many are there
  static constexpr std::uint8_t kAll = 0xff;     ///< `operation`: every one; else one index
  std::uint8_t version = kSpdmVersion12;
  bool sign = false;             ///< nonce and slot travel only then
  bool raw_bit_stream = false;   ///< 1.2: not the digest but what was measured
  bool new_measurement = false;  ///< 1.3
  std::uint8_t operation = kCountOnly;
  SpdmNonce nonce{};
  std::uint8_t slot = 0;  ///< 1.1
  SpdmContext context{};  ///< 1.3, signed or not
  ByteView wire{};
  static Result<SpdmGetMeasurements> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// MEASUREMENTS.
struct SpdmMeasurements {
  static constexpr SpdmCode kCode = SpdmCode::kMeasurements;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t total = 0;            ///< answers kCountOnly; reserved otherwise
  std::uint8_t slot = 0;             ///< 0–15
  std::uint8_t content_changed = 0;  ///< 1.2: 0 not looked, 1 changed, 2 unchanged
  std::uint8_t blocks = 0;
  ByteView record{};  ///< SpdmMeasurementBlocks; at most 2^24 - 1 bytes
  SpdmNonce nonce{};
  ByteView opaque{};
  SpdmContext context{};  ///< 1.3
  ByteView signature{};   ///< SpdmSizes::signature when one was asked for, else 0
  ByteView wire{};
  static Result<SpdmMeasurements> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// DMTFSpecMeasurementValueType, without its bit 7.
enum class SpdmMeasurementType : std::uint8_t {
  kImmutableRom = 0,
  kMutableFirmware = 1,
  kHardwareConfiguration = 2,
  kFirmwareConfiguration = 3,
  kMeasurementManifest = 4,
  kDeviceMode = 5,
  kVersion = 6,
  kSecureVersionNumber = 7,
  kHashExtend = 8,
  kInformational = 9,
  kStructuredManifest = 10,
};
inline constexpr std::uint8_t kSpdmManifestIndex = 0xfd;
inline constexpr std::uint8_t kSpdmDeviceModeIndex = 0xfe;

/// One block of a record, with a DMTF-format measurement inside.
/// Source: DSP0274 1.2, tables "Measurement block format" and "DMTF measurement
/// specification format".
struct SpdmMeasurementBlock {
  static constexpr std::size_t kHeaderSize = 7;  ///< bytes before the value
  std::uint8_t index = 1;                        ///< 1–239 measured, 0xfd, 0xfe special
  SpdmMeasurementType type = SpdmMeasurementType::kImmutableRom;
  bool raw = false;  ///< `value` is what was measured, not its digest
  ByteView value{};

  /// The first block of `record`, which is shortened by it. Errors: EINVAL when a
  /// size leaves the record or the two sizes differ; EOPNOTSUPP for another
  /// measurement specification than DMTF's.
  static Result<SpdmMeasurementBlock> take(ByteView& record);
  /// Precondition: the value fits 16 bits with its header.
  void append_to(Writer& record) const;
};

/// GET_MEASUREMENT_EXTENSION_LOG (1.3).
struct SpdmGetMeasurementExtensionLog {
  static constexpr SpdmCode kCode = SpdmCode::kGetMeasurementExtensionLog;
  std::uint8_t version = kSpdmVersion13;
  std::uint32_t offset = 0;  ///< bytes
  std::uint32_t length = 0;  ///< bytes
  ByteView wire{};
  static Result<SpdmGetMeasurementExtensionLog> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// MEASUREMENT_EXTENSION_LOG.
struct SpdmMeasurementExtensionLog {
  static constexpr SpdmCode kCode = SpdmCode::kMeasurementExtensionLog;
  std::uint8_t version = kSpdmVersion13;
  ByteView portion{};
  std::uint32_t remainder = 0;  ///< bytes
  ByteView wire{};
  static Result<SpdmMeasurementExtensionLog> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// What the log's portions make together: DMTF's measurement extension log.
struct SpdmMelHeader {
  static constexpr std::size_t kSize = 16;
  std::uint32_t entries = 0;
  std::uint32_t entries_size = 0;  ///< bytes behind this header
  /// Errors: EINVAL when short or when entries_size is not what follows.
  static Result<SpdmMelHeader> decode(ByteView log);
  [[nodiscard]] Bytes encode() const;
};
struct SpdmMelEntry {
  std::uint32_t mel_index = 1;
  std::uint8_t measurement_index = 1;
  SpdmMeasurementType type = SpdmMeasurementType::kInformational;
  bool raw = false;
  ByteView value{};
  /// The first entry of `entries`, which is shortened by it. Errors: EINVAL.
  static Result<SpdmMelEntry> take(ByteView& entries);
  void append_to(Writer& entries) const;
};

}  // namespace teeio::wire
