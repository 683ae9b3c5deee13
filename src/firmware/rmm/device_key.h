#pragma once

#include "base/result.h"
#include "firmware/rmm/records.h"

namespace teeio::rmm {

/// The key of the leaf of a chain (certificates one behind the other), as
/// PDEV_SET_PUBKEY wants it: an elliptic curve's point uncompressed, RSA's modulus.
/// Errors: EINVAL when there is no chain; EOPNOTSUPP for another kind of key.
Result<PublicKeyParams> device_key(ByteView certificates);
/// Whether the bytes are a key of their algorithm. An RSA key is any odd number.
[[nodiscard]] bool is_device_key(const PublicKeyParams& params);
/// Whether it is that of the chain's leaf.
[[nodiscard]] bool same_device_key(const PublicKeyParams& params, ByteView certificates);
/// Bytes of a key; 0: there is no such algorithm.
[[nodiscard]] std::size_t device_key_bytes(std::uint8_t algorithm);

}  // namespace teeio::rmm
