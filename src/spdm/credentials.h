#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "crypto/identity.h"
#include "wire/spdm_key_pairs.h"

namespace teeio::spdm {

/// The SlotID of a key that the other end was given beforehand (PUB_KEY_ID_CAP), whose
/// SubjectPublicKeyInfo stands for a chain, and how fields of four bits have it. Source: DSP0274
/// 1.2, CHALLENGE, GET_MEASUREMENTS and KEY_EXCHANGE.
constexpr std::uint8_t kKnownKey = 0xff;
constexpr std::uint8_t kKnownKeyInFourBits = 0x0f;

/// What a certificate slot holds.
///
/// Lifetime: `identity` outlives every end that was given the credential; it is
/// parsed once, by whoever made it.
struct Credential {
  const crypto::Identity* identity = nullptr;
  std::uint8_t key_pair_id = 0;   ///< 1–255 in multi-key connections (SPDM 1.3)
  std::uint16_t key_usage = 0xf;  ///< DIGESTS KeyUsageMask: key exchange, challenge, measurement…
  std::uint8_t model = 1;         ///< CertModel: 1 device, 2 alias, 3 generic certificate
};

/// The certificate slots of one end, asked when a message first needs one.
class Credentials {
 public:
  virtual ~Credentials() = default;
  /// The credential of `slot` (0–7) for the algorithms that were negotiated;
  /// nullptr: the slot is empty.
  [[nodiscard]] virtual const Credential* credential(std::uint8_t slot,
                                                     crypto::SignatureAlgorithm algorithm,
                                                     crypto::HashAlgorithm hash) = 0;
};

/// The same slots whatever is negotiated; a slot whose key does not fit is empty.
class FixedCredentials final : public Credentials {
 public:
  /// In slot 0.
  explicit FixedCredentials(const crypto::Identity& identity) { set(0, {&identity, 1}); }
  FixedCredentials() = default;
  void set(std::uint8_t slot, Credential credential) { slots_.at(slot) = credential; }
  [[nodiscard]] const Credential* credential(std::uint8_t slot,
                                             crypto::SignatureAlgorithm algorithm,
                                             crypto::HashAlgorithm hash) override;

 private:
  std::array<Credential, 8> slots_{};
};

/// Changes what is in the slots, and the keys behind them. GET_CSR, SET_CERTIFICATE and
/// SET_KEY_PAIR_INFO are not offered by an end that has none.
class Provisioning {
 public:
  virtual ~Provisioning() = default;
  /// Which key: of a pair, or (0: no multi-key connection) slot 0's, of the agreed algorithms.
  struct Key {
    std::uint8_t pair = 0;
    crypto::SignatureAlgorithm algorithm = crypto::SignatureAlgorithm::kEcdsaP384;
    crypto::HashAlgorithm hash = crypto::HashAlgorithm::kSha384;
  };
  /// A certification request, DER, for the key. `requester_info`: a CertificationRequestInfo
  /// with what the requester wants in it; may be empty. Errors: EINVAL it makes no sense, or
  /// there is no such key; anything else the peer hears as Unspecified.
  virtual Result<Bytes> csr(const Key& key, ByteView requester_info, ByteView opaque) = 0;
  /// Puts certificates in a slot, or empties it (no certificates). `model`: as Credential has it;
  /// 0: none is named (no multi-key connection, or nothing is put in). The end asks its
  /// Credentials anew afterwards. Errors: EINVAL the chain does not fit the
  /// slot's key; anything else, that it does not verify among it, the peer hears as Unspecified.
  virtual Result<void> set_chain(std::uint8_t slot, const Key& key, std::uint8_t model,
                                 ByteView certificates) = 0;

  /// A key pair as it is now, whether or not a slot shows it.
  struct KeyPair {
    std::uint8_t total = 0;                  ///< pairs in all, numbered from 1
    std::uint16_t capabilities = 0;          ///< of wire::SpdmKeyPairCap: what set_pair() takes
    std::uint16_t usage = 0;                 ///< of wire::SpdmKeyUsage
    std::uint8_t slot_mask = 0;              ///< the slots that it is associated with
    std::optional<crypto::PublicKey> key{};  ///< nullopt: erased
  };
  /// Errors: EINVAL there is no such pair.
  virtual Result<KeyPair> key_pair(const Key& key) = 0;
  /// What SET_KEY_PAIR_INFO wishes, checked against the pair's capabilities.
  struct PairWish {
    wire::SpdmKeyPairOperation operation = wire::SpdmKeyPairOperation::kChange;
    std::uint16_t usage = 0;  ///< 0: as it is
    std::uint8_t slot_mask = 0;
  };
  /// The end asks its Credentials anew afterwards. Errors: EINVAL there is no such pair; EBUSY a
  /// slot is in the way; anything else the peer hears as Unspecified.
  virtual Result<void> set_pair(const Key& key, const PairWish& wish) = 0;
};

/// One measurement block. Source: DSP0274 1.2 table 54 (DMTF measurement specification).
struct Measurement {
  std::uint8_t index = 1;  ///< 1–0xfe
  std::uint8_t type = 0;   ///< DMTFSpecMeasurementValueType bits 6:0
  bool raw = false;        ///< true: `value` is a raw bit stream; false: its hash is what goes out
  Bytes value;
  bool in_tcb = true;   ///< counted by the TCB measurement summary
  bool logged = false;  ///< what was measured is an entry of the extension log
};

/// A measurement extension log with an entry for each block that is `logged`, in their order:
/// what was measured, raw, under the block's index and type. Precondition: values fit 16 bits.
/// Source: DSP0274 1.3, "DMTF measurement extension log format"; libspdm spdm.h,
/// spdm_mel_entry_dmtf_t. That an entry repeats what a block's digest is of is this device's
/// choice.
[[nodiscard]] Bytes extension_log_of(std::span<const Measurement> blocks);

class MeasurementSource {
 public:
  virtual ~MeasurementSource() = default;
  /// All blocks in order of index, as they are now.
  [[nodiscard]] virtual std::vector<Measurement> measurements() = 0;
  /// DMTF's measurement extension log (wire::SpdmMelHeader and its entries). Empty: a
  /// log without entries is shown. It is only ever appended to. Source: DSP0274 1.3, 10.24.
  [[nodiscard]] virtual Bytes extension_log() { return {}; }
};

/// Blocks that do not change.
class FixedMeasurements final : public MeasurementSource {
 public:
  explicit FixedMeasurements(std::vector<Measurement> blocks, Bytes extension_log = {})
      : blocks_(std::move(blocks)), log_(std::move(extension_log)) {}
  [[nodiscard]] std::vector<Measurement> measurements() override { return blocks_; }
  [[nodiscard]] Bytes extension_log() override { return log_; }

 private:
  const std::vector<Measurement> blocks_;
  const Bytes log_;
};

/// A pre-shared key and the hint that names it.
struct Psk {
  Bytes hint;
  Bytes key;
};

}  // namespace teeio::spdm
