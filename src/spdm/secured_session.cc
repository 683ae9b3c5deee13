#include "spdm/secured_session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "crypto/random.h"

namespace teeio::spdm {
namespace {

using crypto::kAeadNonceSize;
using crypto::kAeadTagSize;
using Nonce = std::array<std::byte, kAeadNonceSize>;

/// What a record's length can say: text and tag.
constexpr std::size_t kMaxLength = std::numeric_limits<std::uint16_t>::max();

template <std::unsigned_integral T>
void put_le(std::byte* out, T value, std::size_t bytes = sizeof(T)) {
  for (std::size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
}

Nonce nonce(ByteView iv, std::uint64_t sequence) {
  Nonce out;
  std::memcpy(out.data(), iv.data(), out.size());
  for (std::size_t i = 0; i < sizeof(sequence); ++i)
    out[i] ^= static_cast<std::byte>(sequence >> (8 * i));
  return out;
}

/// The first 8 bytes of SHA-256 over key and IV.
std::uint64_t digest_of(const TrafficKey& key) {
  const crypto::Digest whole =
      crypto::hash(crypto::HashAlgorithm::kSha256, {key.key.view(), key.iv.view()});
  return Reader(whole).le<std::uint64_t>();
}

/// The record's sequence number is the low bytes of the key's.
bool shows_sequence(ByteView on_wire, std::uint64_t sequence) {
  std::array<std::byte, sizeof(sequence)> expected{};
  put_le(expected.data(), sequence);
  return std::equal(on_wire.begin(), on_wire.end(), expected.begin());
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
  if (text_bytes + kAeadTagSize > kMaxLength)
    return fail(Errno::kMsgSize, "a message does not fit into a secured message");

  const std::size_t begin = out.size();
  out.resize(begin + header_size() + text_bytes + kAeadTagSize);
  std::byte* const header = out.data() + begin;
  put_le(header, config_.id);
  put_le(header + sizeof(config_.id), key.sequence, config_.sequence_bytes);
  put_le(header + sizeof(config_.id) + config_.sequence_bytes,
         static_cast<std::uint16_t>(text_bytes + kAeadTagSize));
  std::byte* const text = header + header_size();
  if (config_.encrypted) put_le(text, static_cast<std::uint16_t>(message.size()));
  if (!message.empty()) std::memcpy(text + inner, message.data(), message.size());
  if (padding != 0) crypto::fill_random(std::span(text + inner + message.size(), padding));

  const std::size_t encrypted_bytes = config_.encrypted ? text_bytes : 0;
  const std::size_t associated_bytes = header_size() + text_bytes - encrypted_bytes;
  key.aead.seal(nonce(key.iv.view(), key.sequence), ByteView(header, associated_bytes),
                std::span(text, encrypted_bytes),
                std::span<std::byte, kAeadTagSize>(text + text_bytes, kAeadTagSize));
  ++key.sequence;  // used, whatever becomes of the record
  return {};
}

Result<std::size_t> SecuredSession::text_size(ByteView record) const {
  Reader in(record);
  const auto id = in.le<std::uint32_t>();
  in.skip(config_.sequence_bytes);
  const auto length = in.le<std::uint16_t>();
  if (!in.ok() || length > in.rest().size() || length < kAeadTagSize)
    return fail(Errno::kInval, "a secured message is not as long as it says");
  if (id != config_.id) return fail(Errno::kInval, "a secured message is of another session");
  return length - kAeadTagSize;
}

Result<void> SecuredSession::decrypt(Key& key, ByteView record, std::span<std::byte> text) const {
  if (key.sequence > config_.max_sequence)
    return fail(Errno::kOverflow, "the session's sequence numbers are used up");
  if (!shows_sequence(record.subspan(sizeof(config_.id), config_.sequence_bytes), key.sequence))
    return fail(Errno::kInval, "a secured message shows another sequence number");
  const ByteView on_wire = record.subspan(header_size(), text.size());
  const crypto::Aead::ConstTag tag(record.data() + header_size() + text.size(), kAeadTagSize);
  const Nonce once = nonce(key.iv.view(), key.sequence);
  if (config_.encrypted) {
    TEEIO_TRY(key.aead.open(once, record.first(header_size()), on_wire, text, tag));
  } else {
    TEEIO_TRY(key.aead.open(once, record.first(header_size() + text.size()), std::span<std::byte>(),
                            tag));
    if (!text.empty()) std::memmove(text.data(), on_wire.data(), text.size());
  }
  ++key.sequence;
  return {};
}

Result<void> SecuredSession::decrypt_with_either(ByteView record, std::span<std::byte> text) {
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
  Reader in(text);
  const auto size = in.le<std::uint16_t>();
  if (!in.ok() || size > in.rest().size())
    return fail(Errno::kInval, "a secured message's application length is wrong");
  return text.subspan(sizeof(size), size);
}

Result<std::span<std::byte>> SecuredSession::open_in_place(std::span<std::byte> record) {
  TEEIO_ASSIGN(const std::size_t size, text_size(record));
  const std::span<std::byte> text = record.subspan(header_size(), size);
  TEEIO_TRY(decrypt_with_either(record, text));
  return message_in(text);
}

Result<Bytes> SecuredSession::open(ByteView record) {
  TEEIO_ASSIGN(const std::size_t size, text_size(record));
  Bytes text(size);
  TEEIO_TRY(decrypt_with_either(record, text));
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

Result<void> SecuredSession::discard_update(Direction direction) {
  Lane& updated = lane(direction);
  if (!updated.old) return {};
  if (direction == config_.sealing && updated.current.sequence != 0)
    return fail(Errno::kBusy, "the new key has sealed messages");
  updated.current = *std::move(updated.old);
  updated.old.reset();
  return {};
}

}  // namespace teeio::spdm
