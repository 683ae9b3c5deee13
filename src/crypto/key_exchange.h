#pragma once

#include <cstdint>

#include "base/result.h"
#include "crypto/handles.h"
#include "crypto/secret.h"

namespace teeio::crypto {

/// SPDM's DHE groups, in the order of their bits.
enum class KeyExchangeGroup : std::uint8_t {
  kFfdhe2048,
  kFfdhe3072,
  kFfdhe4096,
  kP256,
  kP384,
  kP521,
};

/// Bytes of ExchangeData: the prime's size, or X and Y at full width.
[[nodiscard]] std::size_t exchange_data_size(KeyExchangeGroup group);

/// One side's ephemeral key pair.
///
/// Lifetime: OpenSSL wipes the private half with it.
/// Locking: none; a value.
class EphemeralKey {
 public:
  /// A new pair from the random source.
  [[nodiscard]] static EphemeralKey generate(KeyExchangeGroup group);

  /// What goes on the wire (DSP0274, KEY_EXCHANGE, ExchangeData): big endian, X || Y
  /// without the format byte, or the public value with its leading zeros.
  [[nodiscard]] ByteView exchange_data() const { return exchange_data_; }

  /// The shared secret: X of the common point, or the common value with its
  /// leading zeros. Errors: EINVAL when `peer` has another size or is no public
  /// key of the group (off the curve; 0, 1 or p - 1).
  [[nodiscard]] Result<Secret> derive(ByteView peer) const;

  [[nodiscard]] KeyExchangeGroup group() const { return group_; }

 private:
  EphemeralKey(KeyExchangeGroup group, detail::Handle<evp_pkey_st> key, Bytes exchange_data)
      : group_(group), key_(std::move(key)), exchange_data_(std::move(exchange_data)) {}

  KeyExchangeGroup group_;
  detail::Handle<evp_pkey_st> key_;
  Bytes exchange_data_;
};

}  // namespace teeio::crypto
