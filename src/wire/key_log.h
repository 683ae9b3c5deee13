#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm_algorithms.h"

namespace teeio::wire {

/// Whose messages a key protects.
enum class KeyLogSender : std::uint8_t { kRequester, kResponder };
/// Which of a session's keys it is.
enum class KeyLogPhase : std::uint8_t { kHandshake, kData };

/// One line of a key log: the key and the IV of one sender in one phase of one
/// session, written the moment they come into use. A log beside a capture makes
/// it readable; whoever has it can also forge. As text, words with one space
/// between:
///
///   SPDM 0xfffeffff requester data 0 AES-256-GCM <key, hex> <iv, hex>
///
/// The number counts KEY_UPDATEs of that sender. Sequence numbers begin at 0 with
/// each line. Session IDs may come again later in a log, for another session.
struct KeyLogLine {
  std::uint32_t session_id = 0;
  KeyLogSender sender = KeyLogSender::kRequester;
  KeyLogPhase phase = KeyLogPhase::kHandshake;
  std::uint32_t generation = 0;
  SpdmAead aead = SpdmAead::kAes256Gcm;
  Bytes key{};
  Bytes iv{};
  /// Of the session's key exchange; not empty: what is told is this, before the first key.
  Bytes dhe_secret{};
  bool operator==(const KeyLogLine&) const = default;

  /// Errors: EINVAL for anything else than such a line without its end.
  static Result<KeyLogLine> parse(std::string_view line);
  /// Without an end of line. Of a DHE secret: a comment, which parse() does not take, with the
  /// option by which DMTF's spdm_dump reads the session.
  [[nodiscard]] std::string text() const;
};

}  // namespace teeio::wire
