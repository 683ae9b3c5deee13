#include "spdm/secured_session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "crypto/random.h"

namespace teeio::spdm {
namespace {

using crypto::kAeadNonceSize;
using crypto::kAeadTagSize;
using Nonce = std::array<std::byte, kAeadNonceSize>;

/// A sequence number as it travels: little endian, as many low bytes as the transport has.
std::array<std::byte, sizeof(std::uint64_t)> little_endian(std::uint64_t sequence) {
  std::array<std::byte, sizeof(sequence)> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(sequence >> (8 * i));
  return out;
}

Nonce nonce(ByteView iv, std::uint64_t sequence) {
  Nonce out;
  std::memcpy(out.data(), iv.data(), out.size());
  const auto number = little_endian(sequence);
  for (std::size_t i = 0; i < number.size(); ++i) out[i] ^= number[i];
  return out;
}

/// The first 8 bytes of SHA-256 over key and IV.
std::uint64_t digest_of(const TrafficKey& key) {
  const crypto::Digest whole =
      crypto::hash(crypto::HashAlgorithm::kSha256, {key.key.view(), key.iv.view()});
  return Reader(whole).le<std::uint64_t>();
}

bool shows_sequence(ByteView carried, std::uint64_t sequence) {
  const auto number = little_endian(sequence);
  return std::ranges::equal(carried, ByteView(number).first(carried.size()));
}

/// Random bytes behind the message, so that its length does not show.
std::size_t draw_padding(std::uint8_t max_padding) {
  if (max_padding == 0) return 0;
  std::byte drawn{};
  crypto::fill_random(std::span(&drawn, 1));
  return 1 + std::to_integer<std::size_t>(drawn) % max_padding;
}

}  // namespace

SecuredSession::SecuredSession(const SessionConfig& config, const TrafficSecrets& secrets)
    : config_(config),
      requests_{make_key(Direction::kRequests, secrets.requests.clone()), std::nullopt},
      responses_{make_key(Direction::kResponses, secrets.responses.clone()), std::nullopt} {
  TEEIO_CHECK(config.sequence_bytes <= sizeof(std::uint64_t),
              "a sequence number has at most 8 bytes on the wire");
}

void SecuredSession::install(const TrafficSecrets& secrets) {
  requests_ = {make_key(Direction::kRequests, secrets.requests.clone()), std::nullopt};
  responses_ = {make_key(Direction::kResponses, secrets.responses.clone()), std::nullopt};
}

SecuredSession::Key SecuredSession::make_key(Direction direction, crypto::Secret secret) const {
  TrafficKey traffic = traffic_key(config_.derivation, config_.aead, secret);
  const auto use = direction == config_.sealing ? crypto::Aead::Direction::kSeal
                                                : crypto::Aead::Direction::kOpen;
  const std::uint64_t digest = digest_of(traffic);
  return {.secret = std::move(secret),
          .aead = crypto::Aead(config_.aead, use, traffic.key.view()),
          .iv = std::move(traffic.iv),
          .digest = digest};
}

Result<std::uint32_t> SecuredSession::session_id_of(ByteView record) {
  Reader in(record);
  const auto id = in.le<std::uint32_t>();
  if (!in.ok()) return fail(Errno::kInval, "a secured message is shorter than a session ID");
  return id;
}

Result<Bytes> SecuredSession::seal(ByteView message) {
  Bytes record;
  TEEIO_TRY(seal_behind(record, message));
  return record;
}

Result<void> SecuredSession::seal_behind(Bytes& out, ByteView message) {
  Key& key = lane(config_.sealing).current;
  if (key.sequence > config_.max_sequence)
    return fail(Errno::kOverflow, "the session's sequence numbers are used up");
  // Only what is encrypted has a length of its own and can hide it.
  const std::size_t inner = config_.encrypted ? sizeof(std::uint16_t) : 0;
  const std::size_t padding = config_.encrypted ? draw_padding(config_.max_padding) : 0;
  const std::size_t text_bytes = inner + message.size() + padding;
  const std::size_t body_bytes = text_bytes + kAeadTagSize;
  if (body_bytes > wire::SecuredMessage::kMaxBody)
    return fail(Errno::kMsgSize, "a message does not fit into a secured message");

  const std::size_t begin = out.size();
  out.reserve(begin + header_size() + body_bytes);
  const auto number = little_endian(key.sequence);
  const Bytes header = wire::encode_secured_header(
      config_.id, ByteView(number).first(config_.sequence_bytes), body_bytes);
  out.insert(out.end(), header.begin(), header.end());
  if (config_.encrypted) {
    out.push_back(static_cast<std::byte>(message.size()));
    out.push_back(static_cast<std::byte>(message.size() >> 8U));
  }
  out.insert(out.end(), message.begin(), message.end());
  out.resize(begin + header.size() + body_bytes);  // only random bytes and tag are zeroed
  std::byte* const text = out.data() + begin + header.size();
  if (padding != 0) crypto::fill_random(std::span(text + inner + message.size(), padding));

  const std::size_t encrypted_bytes = config_.encrypted ? text_bytes : 0;
  const std::size_t associated_bytes = header.size() + text_bytes - encrypted_bytes;
  key.aead.seal(nonce(key.iv.view(), key.sequence), ByteView(out).subspan(begin, associated_bytes),
                std::span(text, encrypted_bytes),
                std::span<std::byte, kAeadTagSize>(text + text_bytes, kAeadTagSize));
  ++key.sequence;  // used, whatever becomes of the record
  return {};
}

Result<wire::SecuredMessage> SecuredSession::take_apart(ByteView record) const {
  TEEIO_ASSIGN(const wire::SecuredMessage parts,
               wire::SecuredMessage::decode(record, config_.sequence_bytes));
  if (parts.session_id != config_.id)
    return fail(Errno::kInval, "a secured message is of another session");
  return parts;
}

Result<void> SecuredSession::decrypt(Key& key, const wire::SecuredMessage& record,
                                     std::span<std::byte> text) const {
  if (key.sequence > config_.max_sequence)
    return fail(Errno::kOverflow, "the session's sequence numbers are used up");
  if (!shows_sequence(record.sequence, key.sequence))
    return fail(Errno::kInval, "a secured message shows another sequence number");
  const crypto::Aead::ConstTag tag(record.tag);
  const Nonce once = nonce(key.iv.view(), key.sequence);
  if (config_.encrypted) {
    TEEIO_TRY(key.aead.open(once, record.associated, record.ciphertext, text, tag));
  } else {
    const ByteView associated = record.wire.first(record.wire.size() - kAeadTagSize);
    TEEIO_TRY(key.aead.open(once, associated, std::span<std::byte>(), tag));
    if (!text.empty()) std::memmove(text.data(), record.ciphertext.data(), text.size());
  }
  ++key.sequence;
  return {};
}

Result<void> SecuredSession::decrypt_with_either(const wire::SecuredMessage& record,
                                                 std::span<std::byte> text) {
  Lane& from_peer = lane(opening());
  if (!from_peer.old) return decrypt(from_peer.current, record, text);
  // A trial that fails destroys what it decrypts in place.
  Bytes trial(text.size());
  if (decrypt(from_peer.current, record, trial)) {
    std::ranges::copy(trial, text.begin());
    crypto::wipe(trial);
    from_peer.old.reset();
    return {};
  }
  TEEIO_TRY(decrypt(*from_peer.old, record, text));
  from_peer.current = *std::move(from_peer.old);
  from_peer.old.reset();
  return {};
}

Result<std::span<std::byte>> SecuredSession::message_in(std::span<std::byte> text) const {
  if (!config_.encrypted) return text;
  TEEIO_ASSIGN(const auto plain, wire::SecuredPlaintext::decode(text));
  return text.subspan(sizeof(std::uint16_t), plain.application.size());
}

Result<std::span<std::byte>> SecuredSession::open_in_place(std::span<std::byte> record) {
  TEEIO_ASSIGN(const wire::SecuredMessage parts, take_apart(record));
  const std::span<std::byte> text =
      record.subspan(parts.associated.size(), parts.ciphertext.size());
  TEEIO_TRY(decrypt_with_either(parts, text));
  return message_in(text);
}

Result<Bytes> SecuredSession::open(ByteView record) {
  TEEIO_ASSIGN(const wire::SecuredMessage parts, take_apart(record));
  Bytes text(parts.ciphertext.begin(), parts.ciphertext.end());
  TEEIO_TRY(decrypt_with_either(parts, text));
  TEEIO_ASSIGN(const std::span<std::byte> message, message_in(text));
  const auto skipped = message.data() - text.data();
  const std::size_t kept = message.size();
  text.erase(text.begin(), text.begin() + skipped);
  text.resize(kept);
  return text;
}

Result<void> SecuredSession::begin_update(Direction direction) {
  Lane& updated = lane(direction);
  if (updated.old) return fail(Errno::kAlready, "a key update is under way");
  crypto::Secret next = updated_secret(config_.derivation, updated.current.secret);
  updated.old = std::move(updated.current);
  updated.current = make_key(direction, std::move(next));
  return {};
}

void SecuredSession::commit_update(Direction direction) { lane(direction).old.reset(); }

}  // namespace teeio::spdm
