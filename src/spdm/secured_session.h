#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "crypto/aead.h"
#include "spdm/key_schedule.h"
#include "wire/secured_message.h"

namespace teeio::spdm {

/// How a session's records look and what they are sealed with.
struct SessionConfig {
  std::uint32_t id = 0;  ///< the requester's half low, the responder's half high
  /// The direction that this end seals; the other is what it opens.
  Direction sealing = Direction::kRequests;
  Derivation derivation{};
  crypto::AeadAlgorithm aead = crypto::AeadAlgorithm::kAes256Gcm;
  /// Of the sequence number on the wire: none over DOE and TCP, 2 over MCTP
  /// (DSP0276 "Secured messages over MCTP"). At most 8.
  std::uint8_t sequence_bytes = 0;
  /// Random bytes behind the message, from 1 to this; 0: none (DOE). libspdm takes
  /// 32 over MCTP.
  std::uint8_t max_padding = 0;
  /// False: messages are authenticated and travel in the clear (no ENCRYPT_CAP).
  bool encrypted = true;
  /// The largest sequence number that may be used; then the keys must be updated.
  std::uint64_t max_sequence = 0xffff'ffff'ffff'fffe;
};

/// The record layer of one session: DSP0277, "Secured Messages using SPDM".
///
///   session ID u32 | sequence number | length u16 |
///   encrypted { application length u16 | message | random } | tag
///
/// The sequence number counts each direction's records from 0 under each key. It
/// makes the nonce whether or not it travels, so a record that is lost, repeated,
/// reordered or changed does not open. The nonce is the IV xor the number, little
/// endian at its beginning: fixed by DSP0277 1.2, an integrator's choice before.
///
/// After a failed open() the session is at its end (DSP0274, DecryptError): the
/// owner destroys it, which wipes its keys.
///
/// Locking: none; the owner's.
class SecuredSession {
 public:
  /// With the handshake's secrets, or with data secrets where the handshake was in
  /// the clear.
  SecuredSession(const SessionConfig& config, const TrafficSecrets& secrets);

  /// The data secrets take over in both directions, sequence numbers at 0. Updates
  /// that were under way are forgotten.
  void install(const TrafficSecrets& secrets);

  /// The session ID of a record, without looking further. Errors: EINVAL below 4 bytes.
  [[nodiscard]] static Result<std::uint32_t> session_id_of(ByteView record);

  /// One record. Errors: EMSGSIZE when the message does not fit into one; EOVERFLOW
  /// when the sequence numbers are used up.
  Result<Bytes> seal(ByteView message);
  /// As seal(), behind what `out` holds already (a transport's header): one copy.
  Result<void> seal_behind(Bytes& out, ByteView message);

  /// The message in `record`, decrypted where it is: a view into it. Bytes behind the
  /// record are ignored (DOE pads). Errors: EINVAL when the record is not as long
  /// as it says, is of another session, or shows another sequence number; EACCES when it is not
  /// authentic under any key that is in use; EOVERFLOW as seal().
  Result<std::span<std::byte>> open_in_place(std::span<std::byte> record);
  /// As open_in_place(), leaving `record` as it is.
  Result<Bytes> open(ByteView record);

  // KEY_UPDATE (DSP0274, "Key update"). A direction's new key is used at once and
  // its old one kept until the peer has shown that it took the new one.

  /// Errors: EALREADY while an update of that direction is under way.
  Result<void> begin_update(Direction direction);
  /// Wipes the old key. In the direction that this end opens, the first record under
  /// the new key has done so already.
  void commit_update(Direction direction);
  [[nodiscard]] bool is_updating(Direction direction) const {
    return lane(direction).old.has_value();
  }

  [[nodiscard]] std::uint32_t id() const { return config_.id; }
  [[nodiscard]] const SessionConfig& config() const { return config_; }
  /// Sequence number of the next record.
  [[nodiscard]] std::uint64_t sequence(Direction direction) const {
    return lane(direction).current.sequence;
  }
  /// 64 bits that tell keys apart without telling a key.
  [[nodiscard]] std::uint64_t key_digest(Direction direction) const {
    return lane(direction).current.digest;
  }
  /// The key itself, derived again: for a key log.
  [[nodiscard]] TrafficKey current_key(Direction direction) const {
    return traffic_key(config_.derivation, config_.aead, lane(direction).current.secret);
  }
  /// Bytes that a record adds to a message, random ones not counted.
  [[nodiscard]] std::size_t overhead() const {
    return header_size() + (config_.encrypted ? sizeof(std::uint16_t) : 0) + crypto::kAeadTagSize;
  }

 private:
  struct Key {
    crypto::Secret secret;
    crypto::Aead aead;
    crypto::Secret iv;
    std::uint64_t digest = 0;
    std::uint64_t sequence = 0;
  };
  struct Lane {
    Key current;
    std::optional<Key> old;
  };
  [[nodiscard]] std::size_t header_size() const {
    return sizeof(std::uint32_t) + config_.sequence_bytes + sizeof(std::uint16_t);
  }
  [[nodiscard]] Lane& lane(Direction direction) {
    return direction == Direction::kRequests ? requests_ : responses_;
  }
  [[nodiscard]] const Lane& lane(Direction direction) const {
    return direction == Direction::kRequests ? requests_ : responses_;
  }
  [[nodiscard]] Direction opening() const {
    return config_.sealing == Direction::kRequests ? Direction::kResponses : Direction::kRequests;
  }
  [[nodiscard]] Key make_key(Direction direction, crypto::Secret secret) const;
  [[nodiscard]] Result<wire::SecuredMessage> take_apart(ByteView record) const;
  Result<void> decrypt(Key& key, const wire::SecuredMessage& record,
                       std::span<std::byte> text) const;
  Result<void> decrypt_with_either(const wire::SecuredMessage& record, std::span<std::byte> text);
  /// The message in decrypted text: without its length and what is behind it.
  [[nodiscard]] Result<std::span<std::byte>> message_in(std::span<std::byte> text) const;

  SessionConfig config_;
  Lane requests_;
  Lane responses_;
};

}  // namespace teeio::spdm
