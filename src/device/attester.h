#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "crypto/identity.h"
#include "device/dsm_spdm.h"
#include "object/trace.h"
#include "spdm/credentials.h"
#include "spdm/observer.h"

namespace teeio::device {

/// What a card shows of itself over SPDM: certificates in slot 0, made when a request
/// first needs them; measurements; and each message in the trace, by name.
///
/// Measurement blocks: 1 boot ROM and 2 firmware (digests), 3 hardware configuration
/// and 4 interfaces (raw). docs/devices/dma-engine.md has their contents.
///
/// Lifetime: within its DSM, outlives the DSM's channel. Locking: the card's lock.
class Attester final : public spdm::Credentials,
                       public spdm::MeasurementSource,
                       public spdm::Observer {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    /// State of every TDI: requester ID (u16), state (u8), lock flags (u16).
    [[nodiscard]] virtual Bytes interfaces() const = 0;
    virtual void session_ended(std::uint32_t session) = 0;
  };
  Attester(object::Trace& trace, Bdf bdf, const DsmSpdm& setup, Owner& owner);

  const spdm::Credential* credential(std::uint8_t slot, crypto::SignatureAlgorithm algorithm,
                                     crypto::HashAlgorithm hash) override;
  std::vector<spdm::Measurement> measurements() override;
  /// Blocks 1 to 3, which are measured once.
  Bytes extension_log() override;
  /// The last SPDM request that came, by name; a literal.
  [[nodiscard]] std::string_view last_request() const { return last_request_; }
  void received(std::uint32_t session, ByteView spdm) override;
  void sent(std::uint32_t session, ByteView spdm) override;
  void session_ended(std::uint32_t session, spdm::SessionEnd reason) override;
  void sealed(std::uint32_t session, std::uint64_t key_digest, std::uint64_t sequence) override;

 private:
  object::Trace& trace_;
  const Bdf bdf_;
  const crypto::KeyType key_type_;
  const std::uint64_t seed_;
  const Bytes hardware_;
  const std::string_view model_;
  Owner& owner_;
  std::string_view last_request_ = "an object";
  std::optional<crypto::Pki> pki_;  ///< once asked for
  spdm::FixedCredentials slots_;
  std::optional<object::Trace::Call> call_;  ///< the SPDM request being answered
};

}  // namespace teeio::device
