#include "spdm/framing.h"

#include <utility>

#include "wire/transport_framing.h"

namespace teeio::spdm {
namespace {

// DSP0276: two bytes of the sequence number travel. libspdm pads by 1 to 32.
constexpr std::uint8_t kMctpSequenceBytes = 2;
constexpr std::uint8_t kMctpMaxPadding = 32;

wire::SpdmAead bit_of(crypto::AeadAlgorithm aead) {
  switch (aead) {
    case crypto::AeadAlgorithm::kAes128Gcm:
      return wire::SpdmAead::kAes128Gcm;
    case crypto::AeadAlgorithm::kAes256Gcm:
      return wire::SpdmAead::kAes256Gcm;
    case crypto::AeadAlgorithm::kChaCha20Poly1305:
      return wire::SpdmAead::kChaCha20Poly1305;
  }
  std::unreachable();
}

}  // namespace

SessionConfig secured_framing(Transport transport) {
  SessionConfig config;
  if (transport == Transport::kMctp) {
    config.sequence_bytes = kMctpSequenceBytes;
    config.max_padding = kMctpMaxPadding;
  }
  return config;
}

Bytes to_application(Transport transport, ByteView message) {
  switch (transport) {
    case Transport::kNone:
    case Transport::kPciDoe:
      return {message.begin(), message.end()};
    case Transport::kMctp:
      return wire::MctpMessage{std::to_underlying(wire::MctpType::kSpdm), false, message}.encode();
    case Transport::kTcp:
      return wire::TcpBindingMessage{wire::TcpBindingMessage::kVersion,
                                     std::to_underlying(wire::TcpBindingType::kOutOfSession),
                                     message}
          .encode();
  }
  std::unreachable();
}

Result<ApplicationView> from_application(Transport transport, ByteView application) {
  switch (transport) {
    case Transport::kNone:
    case Transport::kPciDoe:
      return ApplicationView{true, application};
    case Transport::kMctp: {
      TEEIO_ASSIGN(const auto message, wire::MctpMessage::decode(application));
      if (message.type != std::to_underlying(wire::MctpType::kSpdm))
        return ApplicationView{false, application};
      return ApplicationView{true, message.body};
    }
    case Transport::kTcp: {
      TEEIO_ASSIGN(const auto message, wire::TcpBindingMessage::decode(application));
      return ApplicationView{true, message.body};
    }
  }
  std::unreachable();
}

Result<Bytes> seal_application(SecuredSession& channel, ByteView application, Observer* observer) {
  const Direction sealing = channel.config().sealing;
  const std::uint64_t key = channel.key_digest(sealing);
  const std::uint64_t sequence = channel.sequence(sealing);
  auto record = channel.seal(application);
  if (record && observer != nullptr) observer->sealed(channel.id(), key, sequence);
  return record;
}

void report_dhe_secret(Observer* observer, std::uint32_t session, ByteView secret) {
  if (observer == nullptr || !observer->wants_keys()) return;
  wire::KeyLogLine line;
  line.session_id = session;
  line.dhe_secret.assign(secret.begin(), secret.end());
  observer->keys(line);
}

void KeyReporter::start(Observer* observer, const SessionConfig& config,
                        const TrafficSecrets& secrets, KeyPhase phase) {
  if (observer == nullptr || !observer->wants_keys()) return;
  observer_ = observer;
  session_ = config.id;
  derivation_ = config.derivation;
  aead_ = config.aead;
  phase_ = phase;
  secrets_ = {secrets.requests.clone(), secrets.responses.clone()};
  request_updates_ = 0;
  response_updates_ = 0;
  report(Direction::kRequests, 0);
  report(Direction::kResponses, 0);
}

void KeyReporter::update(Direction direction) {
  if (observer_ == nullptr) return;
  const bool requests = direction == Direction::kRequests;
  crypto::Secret& secret = requests ? secrets_.requests : secrets_.responses;
  secret = updated_secret(derivation_, secret);
  report(direction, requests ? ++request_updates_ : ++response_updates_);
}

void KeyReporter::report(Direction direction, std::uint32_t generation) const {
  const TrafficKey key = traffic_key(derivation_, aead_, secrets_.of(direction));
  wire::KeyLogLine line;
  line.session_id = session_;
  line.sender = direction == Direction::kRequests ? wire::KeyLogSender::kRequester
                                                  : wire::KeyLogSender::kResponder;
  line.phase = phase_;
  line.generation = generation;
  line.aead = bit_of(aead_);
  const ByteView key_bytes = key.key.view();
  line.key.assign(key_bytes.begin(), key_bytes.end());
  const ByteView iv = key.iv.view();
  line.iv.assign(iv.begin(), iv.end());
  observer_->keys(line);
}

}  // namespace teeio::spdm
