#pragma once

#include "spdm/observer.h"
#include "spdm/secured_session.h"
#include "spdm/transport.h"
#include "wire/key_log.h"

namespace teeio::spdm {

/// What a transport fixes of its sessions' records; the rest is the default.
[[nodiscard]] SessionConfig secured_framing(Transport transport);

/// Inside a session a transport may put its own header before an SPDM message.
/// Appends it with `message` to `out`.
[[nodiscard]] Bytes to_application(Transport transport, ByteView message);
struct ApplicationView {
  bool spdm = true;  ///< false: another MCTP message, type byte and all
  ByteView bytes;
};
/// Errors: EINVAL when the header is missing or another.
Result<ApplicationView> from_application(Transport transport, ByteView application);

/// Seals, and tells the observer. Errors:
/// SecuredSession::seal()'s.
Result<Bytes> seal_application(SecuredSession& channel, ByteView application, Observer* observer);

using KeyPhase = wire::KeyLogPhase;

/// Tells an observer that wants keys what a session's key exchange has come to.
void report_dhe_secret(Observer* observer, std::uint32_t session, ByteView secret);

/// Tells an observer that wants it each key of one session as it comes into use.
///
/// Lifetime: the session's; secrets are kept only for an observer that wants them.
class KeyReporter {
 public:
  void start(Observer* observer, const SessionConfig& config, const TrafficSecrets& secrets,
             KeyPhase phase);
  /// KEY_UPDATE took that direction to its next key.
  void update(Direction direction);

 private:
  void report(Direction direction, std::uint32_t generation) const;

  Observer* observer_ = nullptr;  ///< nullptr: does not want to know
  std::uint32_t session_ = kNoSession;
  Derivation derivation_;
  crypto::AeadAlgorithm aead_ = crypto::AeadAlgorithm::kAes256Gcm;
  KeyPhase phase_ = KeyPhase::kHandshake;
  TrafficSecrets secrets_;
  std::uint32_t request_updates_ = 0;
  std::uint32_t response_updates_ = 0;
};

}  // namespace teeio::spdm
