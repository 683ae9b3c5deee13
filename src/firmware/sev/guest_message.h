#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::sev {

/// A message between a guest and the firmware, sealed with one of the guest's message keys:
/// what the host carries and cannot read. Source: 56860, 8.26; Linux
/// arch/x86/include/asm/sev.h, struct snp_guest_msg_hdr; the nonce is the sequence number.
struct GuestMessage {
  static constexpr std::size_t kHeaderSize = 0x60;
  static constexpr std::size_t kMaxPayload = 4000;  ///< bytes: what the page leaves
  std::uint64_t sequence = 0;
  std::uint8_t type = 0;
  std::uint8_t version = 1;
  std::uint8_t key = 0;  ///< which of the message keys: the VMPL
  Bytes payload;

  /// Header and sealed payload. Precondition: key < kMessageKeys, payload of at most
  /// kMaxPayload bytes.
  [[nodiscard]] Bytes seal(const std::array<std::byte, 32>& message_key) const;
};

/// A message as it lies in a page, its payload still sealed.
struct SealedMessage {
  GuestMessage message;  ///< payload as it is
  std::array<std::byte, 48> associated{};
  std::array<std::byte, 16> tag{};

  /// Errors: EINVAL for another algorithm, header version or size, key, or a payload that
  /// leaves the page.
  static Result<SealedMessage> decode(ByteView page);
  /// Errors: EACCES when it is not authentic.
  [[nodiscard]] Result<GuestMessage> open(const std::array<std::byte, 32>& message_key) const;
};

}  // namespace teeio::sev
