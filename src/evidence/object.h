#pragma once

#include "base/result.h"
#include "spdm/channel.h"

namespace teeio::evidence {

/// The most bytes of an evidence file, as the kernel's netlink proposal limits an object.
inline constexpr std::size_t kMaxFile = 16U << 20U;

/// The inverse of spdm::encode_evidence(); `record` stays empty, since the transcript has
/// it. Errors: EINVAL when the sizes are not those of the parts, or the reserved word is
/// not zero.
Result<spdm::Evidence> decode_evidence(ByteView object);

/// What a relying party is given: the device's evidence, and what came with it. Parts that
/// are absent are empty.
///
/// As a file: either the evidence object alone, as a guest reads it, or a bundle: eight
/// bytes of magic, then parts (u32 type, u32 size, bytes), little-endian, each type once.
/// docs/attestation.md has the layout.
struct Bundle {
  Bytes object;           ///< spdm::encode_evidence()
  Bytes report;           ///< TDISP device interface report
  Bytes vca;              ///< before SPDM 1.2 the transcript lacks it: GET_VERSION … ALGORITHMS
  Bytes evidence_digest;  ///< SHA-384 of `object`, as the guest's firmware vouched for it
  Bytes report_digest;    ///< SHA-384 of `report`, likewise

  [[nodiscard]] Bytes encode() const;
  /// A file of either kind. Errors: EINVAL when it is neither, is cut short, has a part
  /// twice or of an unknown type, or lacks the evidence object; E2BIG above kMaxFile.
  static Result<Bundle> decode(ByteView file);
};

}  // namespace teeio::evidence
