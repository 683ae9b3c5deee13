#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::wire {

/// A secured message as it travels: session ID, the transport's part of the
/// sequence number, length, then ciphertext and tag. What is before the
/// ciphertext is associated data. Source: DSP0277 1.0, 6.1; checked against
/// libspdm spdm_secured_message.h.
struct SecuredMessage {
  static constexpr std::size_t kTagSize = 16;      ///< bytes; of every AEAD that SPDM has
  static constexpr std::size_t kMaxBody = 0xffff;  ///< bytes that Length can count
  std::uint32_t session_id = 0;
  ByteView sequence;  ///< the low bytes of the sequence number, little-endian, as carried
  ByteView ciphertext;
  ByteView tag;
  ByteView associated;  ///< the bytes before the ciphertext
  ByteView wire;        ///< all of them, without the transport's padding

  /// `sequence_size`: 0 over DOE and TCP, 2 over MCTP. Bytes behind the stated
  /// length are the transport's padding and ignored.
  /// Errors: EINVAL when `in` is short or Length leaves it or has no room for a tag.
  static Result<SecuredMessage> decode(ByteView in, std::size_t sequence_size);
};

/// What is associated data of a message with `body_size` bytes of ciphertext and
/// tag. Precondition: at most SecuredMessage::kMaxBody.
[[nodiscard]] Bytes encode_secured_header(std::uint32_t session_id, ByteView sequence,
                                          std::size_t body_size);

/// What was encrypted: the application's bytes behind their length, then random
/// bytes that hide it. Source: DSP0277 1.0, 6.1.
struct SecuredPlaintext {
  ByteView application;
  ByteView random;
  /// Errors: EINVAL when the length leaves `in`.
  static Result<SecuredPlaintext> decode(ByteView in);
  /// Precondition: the application's length fits 16 bits.
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
