#pragma once

#include <cstdint>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace teeio::spdm {

/// A session has keys of its own for each: what the requester seals and what the
/// responder seals, whoever asks (encapsulated requests are kResponses).
enum class Direction : std::uint8_t { kRequests, kResponses };

/// What fixes every derivation: SPDM's version ("spdm1.2 " in each label) and the
/// hash of HMAC and HKDF.
struct Derivation {
  std::uint8_t version = 0x12;  ///< as in SPDMVersion: 0x11 to 0x14
  crypto::HashAlgorithm hash = crypto::HashAlgorithm::kSha384;
};

/// The secrets of one phase, from which keys and IVs come.
struct TrafficSecrets {
  crypto::Secret requests;
  crypto::Secret responses;
  [[nodiscard]] const crypto::Secret& of(Direction direction) const {
    return direction == Direction::kRequests ? requests : responses;
  }
};

/// What an AEAD needs: EncryptionKey and Salt (the IV before the sequence number).
struct TrafficKey {
  crypto::Secret key;
  crypto::Secret iv;  ///< crypto::kAeadNonceSize bytes
};
/// bin_str5 and bin_str6.
[[nodiscard]] TrafficKey traffic_key(const Derivation& how, crypto::AeadAlgorithm aead,
                                     const crypto::Secret& secret);
/// The next data secret of a direction (KEY_UPDATE): bin_str9.
[[nodiscard]] crypto::Secret updated_secret(const Derivation& how, const crypto::Secret& secret);

/// SPDM's key schedule from the shared secret to the data secrets.
///
/// Source: DSP0274 1.1–1.4, clause "Key schedule"; the names bin_str0 to bin_str9
/// are that clause's.
///
/// Lifetime: made when TH1 is known, of use until data() and the last FINISH
/// message; everything in it is wiped with it.
/// Locking: none; a value.
class KeySchedule {
 public:
  /// `shared` is the Diffie-Hellman secret, `th1` the hash of the transcript up to
  /// KEY_EXCHANGE_RSP without its verify data.
  [[nodiscard]] static KeySchedule from_exchange(const Derivation& how, ByteView shared,
                                                 const crypto::Digest& th1);
  /// `th1` up to PSK_EXCHANGE_RSP without its verify data. From 1.3 on Salt_0 is all
  /// ones for a PSK, so that it never gives what an exchange would.
  [[nodiscard]] static KeySchedule from_psk(const Derivation& how, ByteView psk,
                                            const crypto::Digest& th1);

  [[nodiscard]] const TrafficSecrets& handshake() const { return handshake_; }

  /// RequesterVerifyData or ResponderVerifyData: HMAC under that side's finished key
  /// (bin_str7) of the transcript hash at its place.
  [[nodiscard]] crypto::Digest finished(Direction whose, const crypto::Digest& transcript) const;
  /// Whether `received` is that, in constant time.
  [[nodiscard]] bool is_finished(Direction whose, const crypto::Digest& transcript,
                                 ByteView received) const;

  struct Data {
    TrafficSecrets secrets;
    crypto::Secret export_master;
  };
  /// After FINISH_RSP (or PSK_FINISH_RSP, or PSK_EXCHANGE_RSP when there is no
  /// PSK_FINISH): bin_str3, bin_str4, bin_str8 over TH2.
  [[nodiscard]] Data data(const crypto::Digest& th2) const;

 private:
  KeySchedule(const Derivation& how, ByteView salt0, ByteView shared, const crypto::Digest& th1);

  Derivation how_;
  crypto::Secret handshake_secret_;
  TrafficSecrets handshake_;
};

}  // namespace teeio::spdm
