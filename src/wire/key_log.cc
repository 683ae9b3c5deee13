#include "wire/key_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/hex.h"

namespace teeio::wire {
namespace {

constexpr std::string_view kFirstWord = "SPDM";
constexpr std::size_t kMaxKey = 64;  ///< bytes; no AEAD of SPDM has more

/// The next word of `rest`, which loses it and the space behind it.
std::string_view next_word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(rest.size(), end + 1));
  return word;
}

std::optional<std::uint32_t> number(std::string_view text, int base) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Not empty, and no longer than a key.
std::optional<Bytes> secret_from_hex(std::string_view text) {
  if (text.empty() || text.size() / 2 > kMaxKey) return std::nullopt;
  return from_hex(text);
}

constexpr std::array kLoggedAeads{SpdmAead::kAes128Gcm, SpdmAead::kAes256Gcm,
                                  SpdmAead::kChaCha20Poly1305, SpdmAead::kSm4Gcm};

/// Of each AEAD of SPDM.
constexpr std::size_t kIvSize = 12;

constexpr std::size_t key_size(SpdmAead aead) {
  return aead == SpdmAead::kAes128Gcm || aead == SpdmAead::kSm4Gcm ? 16 : 32;
}

std::optional<SpdmAead> aead_named(std::string_view name) {
  for (const SpdmAead aead : kLoggedAeads)
    if (spdm_aead_name(std::to_underlying(aead)) == name) return aead;
  return std::nullopt;
}

}  // namespace

Result<KeyLogLine> KeyLogLine::parse(std::string_view line) {
  const auto bad = [](std::string_view why) { return fail(Errno::kInval, why); };
  if (line.ends_with(' ')) return bad("the line ends with a space");
  if (next_word(line) != kFirstWord) return bad("a line of a key log begins with SPDM");
  const std::string_view id = next_word(line);
  if (!id.starts_with("0x") && !id.starts_with("0X"))
    return bad("the session ID is not 0x and hexadecimal");
  const auto session_id = number(id.substr(2), 16);
  if (!session_id) return bad("the session ID is not 0x and hexadecimal");
  const std::string_view sender = next_word(line);
  if (sender != "requester" && sender != "responder")
    return bad("the sender is neither requester nor responder");
  const std::string_view phase = next_word(line);
  if (phase != "handshake" && phase != "data")
    return bad("the phase is neither handshake nor data");
  const auto generation = number(next_word(line), 10);
  if (!generation) return bad("the count of key updates is no number");
  const auto aead = aead_named(next_word(line));
  if (!aead) return bad("the algorithm is unknown");
  auto key = secret_from_hex(next_word(line));
  auto iv = secret_from_hex(next_word(line));
  if (!key || !iv) return bad("key and IV are not hexadecimal");
  if (!line.empty()) return bad("something follows the IV");
  if (key->size() != key_size(*aead) || iv->size() != kIvSize)
    return bad("key or IV has another size than the algorithm's");
  return KeyLogLine{*session_id,
                    sender == "requester" ? KeyLogSender::kRequester : KeyLogSender::kResponder,
                    phase == "handshake" ? KeyLogPhase::kHandshake : KeyLogPhase::kData,
                    *generation,
                    *aead,
                    std::move(*key),
                    std::move(*iv),
                    {}};
}

std::string KeyLogLine::text() const {
  if (!dhe_secret.empty())
    return fmt::format("# session {:#010x}: spdm_dump --dhe_secret {}", session_id,
                       to_hex(dhe_secret));
  std::string out = fmt::format("{} {:#010x} {} {} {} {} ", kFirstWord, session_id,
                                sender == KeyLogSender::kRequester ? "requester" : "responder",
                                phase == KeyLogPhase::kHandshake ? "handshake" : "data", generation,
                                spdm_aead_name(std::to_underlying(aead)));
  out += to_hex(key);
  out += ' ';
  out += to_hex(iv);
  return out;
}

}  // namespace teeio::wire
