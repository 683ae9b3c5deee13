#include "decode/key_ring.h"

#include <algorithm>
#include <array>

#include "crypto/aead.h"

namespace teeio::decode {
namespace {

std::optional<crypto::AeadAlgorithm> algorithm_of(wire::SpdmAead aead) {
  switch (aead) {
    case wire::SpdmAead::kAes128Gcm:
      return crypto::AeadAlgorithm::kAes128Gcm;
    case wire::SpdmAead::kAes256Gcm:
      return crypto::AeadAlgorithm::kAes256Gcm;
    case wire::SpdmAead::kChaCha20Poly1305:
      return crypto::AeadAlgorithm::kChaCha20Poly1305;
    case wire::SpdmAead::kSm4Gcm:
      return std::nullopt;  // OpenSSL 3.0 has none
  }
  return std::nullopt;
}

using Nonce = std::array<std::byte, crypto::kAeadNonceSize>;

/// The IV xor the number, little-endian at its beginning. Source: DSP0277 1.2, 6.
Nonce nonce_of(ByteView iv, std::uint64_t sequence) {
  Nonce nonce{};
  std::ranges::copy(iv, nonce.begin());
  for (std::size_t i = 0; i < sizeof(sequence); ++i)
    nonce[i] ^= static_cast<std::byte>(sequence >> 8U * i);
  return nonce;
}

/// Whether a record that shows the low bytes `shown` can have number `sequence`.
bool may_be(ByteView shown, std::uint64_t sequence) {
  for (const std::byte byte : shown) {
    if (byte != static_cast<std::byte>(sequence)) return false;
    sequence >>= 8U;
  }
  return true;
}

/// A message that a key opened.
struct OpenedText {
  std::uint64_t sequence = 0;
  Bytes application;
};

/// What the record's number `sequence` holds under that key. A session that only
/// authenticates has its message among the associated data, without a length of
/// its own (DSP0277, "MAC only"); which it is, the tag says.
std::optional<Bytes> open_as(crypto::Aead& aead, const wire::KeyLogLine& line,
                             const wire::SecuredMessage& record, std::uint64_t sequence) {
  const Nonce nonce = nonce_of(line.iv, sequence);
  const crypto::Aead::ConstTag tag(record.tag.data(), crypto::kAeadTagSize);
  Bytes text(record.ciphertext.size());
  if (aead.open(nonce, record.associated, record.ciphertext, text, tag)) {
    const auto plain = wire::SecuredPlaintext::decode(text);
    if (!plain) return std::nullopt;
    return Bytes(plain->application.begin(), plain->application.end());
  }
  const ByteView clear = record.wire.first(record.associated.size() + record.ciphertext.size());
  if (!aead.open(nonce, clear, ByteView{}, std::span<std::byte>{}, tag)) return std::nullopt;
  return Bytes(record.ciphertext.begin(), record.ciphertext.end());
}

/// Opens `record` with one key as number `first` or one of the few behind it.
std::optional<OpenedText> try_key(const wire::KeyLogLine& line, const wire::SecuredMessage& record,
                                  std::uint64_t first) {
  const auto algorithm = algorithm_of(line.aead);
  if (!algorithm || line.key.size() != crypto::aead_key_size(*algorithm) ||
      line.iv.size() != crypto::kAeadNonceSize)
    return std::nullopt;
  crypto::Aead aead(*algorithm, crypto::Aead::Direction::kOpen, line.key);
  for (std::uint64_t sequence = first; sequence <= first + KeyRing::kMaxGap; ++sequence) {
    if (!may_be(record.sequence, sequence)) continue;
    if (auto text = open_as(aead, line, record, sequence))
      return OpenedText{sequence, std::move(*text)};
  }
  return std::nullopt;
}

}  // namespace

void KeyRing::add(const wire::KeyLogLine& line) {
  if (line.key.empty()) return;  // a DHE secret: the keys that come of it follow
  const Sender sender =
      line.sender == wire::KeyLogSender::kRequester ? Sender::kRequester : Sender::kResponder;
  senders_[{line.session_id, sender}].lines.push_back(line);
}

std::optional<KeyRing::Opened> KeyRing::open_with(Keys& keys, const wire::SecuredMessage& record) {
  const std::size_t end = std::min(keys.lines.size(), keys.current + 1 + kMaxKeysAhead);
  for (std::size_t i = keys.current; i < end; ++i) {
    auto opened = try_key(keys.lines[i], record, i == keys.current ? keys.next_sequence : 0);
    if (!opened) continue;
    keys.current = i;
    keys.next_sequence = opened->sequence + 1;
    return Opened{.phase = keys.lines[i].phase,
                  .sequence = opened->sequence,
                  .application = std::move(opened->application)};
  }
  return std::nullopt;
}

Result<KeyRing::Opened> KeyRing::open(const wire::SecuredMessage& record, Sender likely) {
  const Sender other = likely == Sender::kRequester ? Sender::kResponder : Sender::kRequester;
  bool known = false;
  for (const Sender sender : {likely, other}) {
    const auto keys = senders_.find({record.session_id, sender});
    if (keys == senders_.end()) continue;
    known = true;
    auto opened = open_with(keys->second, record);
    if (!opened) continue;
    opened->sender = sender;
    return std::move(*opened);
  }
  if (!known) return fail(Errno::kNoEnt, "the key log has no key of this session");
  return fail(Errno::kAcces, "no key of the log opens it");
}

KeyLogText parse_key_log(std::string_view text) {
  KeyLogText log;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // of an editor of Windows
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const bool cut = end == std::string_view::npos;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(cut ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    auto parsed = wire::KeyLogLine::parse(line);
    if (parsed) {
      log.lines.push_back(std::move(*parsed));
    } else if (cut) {
      log.cut_line = number;
    } else if (log.bad_line == 0) {
      log.bad_line = number;
      log.bad_why = parsed.error().why;
    }
  }
  return log;
}

}  // namespace teeio::decode
