#include "spdm/key_schedule.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "crypto/hkdf.h"

namespace teeio::spdm {
namespace {

using crypto::Digest;
using crypto::Secret;

/// BinConcat(Length, Version, Label, Context): DSP0274, "Key schedule". Length is
/// two bytes, little endian; Context may be absent.
Bytes bin_concat(const Derivation& how, std::size_t length, std::string_view label,
                 ByteView context) {
  const std::array<char, 8> version = {'s',
                                       'p',
                                       'd',
                                       'm',
                                       static_cast<char>('0' + (how.version >> 4U)),
                                       '.',
                                       static_cast<char>('0' + (how.version & 0xfU)),
                                       ' '};
  Bytes out;
  out.reserve(sizeof(std::uint16_t) + version.size() + label.size() + context.size());
  out.push_back(static_cast<std::byte>(length));
  out.push_back(static_cast<std::byte>(length >> 8U));
  for (const ByteView part :
       {ByteView(std::as_bytes(std::span(version))), std::as_bytes(std::span(label)), context})
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

Secret expand(const Derivation& how, const Secret& secret, std::string_view label, ByteView context,
              std::size_t size) {
  return crypto::hkdf_expand(how.hash, secret.view(), bin_concat(how, size, label, context), size);
}

TrafficSecrets expand_both(const Derivation& how, const Secret& secret, std::string_view requests,
                           std::string_view responses, const Digest& context) {
  const std::size_t size = crypto::hash_size(how.hash);
  return {expand(how, secret, requests, context, size),
          expand(how, secret, responses, context, size)};
}

constexpr std::uint8_t kSpdm13 = 0x13;

}  // namespace

TrafficKey traffic_key(const Derivation& how, crypto::AeadAlgorithm aead, const Secret& secret) {
  return {expand(how, secret, "key", {}, crypto::aead_key_size(aead)),
          expand(how, secret, "iv", {}, crypto::kAeadNonceSize)};
}

Secret updated_secret(const Derivation& how, const Secret& secret) {
  return expand(how, secret, "traffic upd", {}, crypto::hash_size(how.hash));
}

KeySchedule::KeySchedule(const Derivation& how, ByteView salt0, ByteView shared, const Digest& th1)
    : how_(how),
      handshake_secret_(crypto::hkdf_extract(how.hash, salt0, shared)),
      handshake_(expand_both(how, handshake_secret_, "req hs data", "rsp hs data", th1)) {}

KeySchedule KeySchedule::from_exchange(const Derivation& how, ByteView shared, const Digest& th1) {
  return {how, Digest(crypto::hash_size(how.hash)), shared, th1};
}

KeySchedule KeySchedule::from_psk(const Derivation& how, ByteView psk, const Digest& th1) {
  Digest salt0(crypto::hash_size(how.hash));
  if (how.version >= kSpdm13) std::ranges::fill(salt0.writable(), std::byte{0xff});
  return {how, salt0, psk, th1};
}

Digest KeySchedule::finished(Direction whose, const Digest& transcript) const {
  const Secret key =
      expand(how_, handshake_.of(whose), "finished", {}, crypto::hash_size(how_.hash));
  return crypto::hmac(how_.hash, key.view(), transcript);
}

bool KeySchedule::is_finished(Direction whose, const Digest& transcript, ByteView received) const {
  return crypto::equal_in_constant_time(finished(whose, transcript), received);
}

KeySchedule::Data KeySchedule::data(const Digest& th2) const {
  const std::size_t size = crypto::hash_size(how_.hash);
  const Secret salt1 = expand(how_, handshake_secret_, "derived", {}, size);
  const Secret master = crypto::hkdf_extract(how_.hash, salt1.view(), Digest(size));
  return {expand_both(how_, master, "req app data", "rsp app data", th2),
          expand(how_, master, "exp master", th2, size)};
}

}  // namespace teeio::spdm
