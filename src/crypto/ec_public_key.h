#pragma once

#include <memory>

#include "crypto/key_exchange.h"

namespace teeio::crypto::detail {

/// The key with this point (X || Y) of a curve that is kept, not looked up anew: a fraction
/// of what OpenSSL's decoders take. Null: it is no point of the curve. Precondition: the
/// size is the curve's.
[[nodiscard]] std::shared_ptr<evp_pkey_st> ec_public_key(KeyExchangeGroup curve, ByteView point);

/// The public half of a curve's key, whole or not: its point in SEC 1's encoding.
[[nodiscard]] Bytes point_of(evp_pkey_st* key);

}  // namespace teeio::crypto::detail
