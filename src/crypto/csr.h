#pragma once

#include <string_view>

#include "crypto/keys.h"

namespace teeio::crypto {

/// A certification request (PKCS #10, RFC 2986), DER, for `key` with the common name `name`.
/// `wanted`: a CertificationRequestInfo whose subject, unless it is empty, and whose extensions
/// the request takes over; may be empty. Source: DSP0274 1.2, 10.21, GET_CSR RequesterInfo.
/// Errors: EINVAL when `wanted` is none.
Result<Bytes> certification_request(const PrivateKey& key, HashAlgorithm hash,
                                    std::string_view name, ByteView wanted);

/// It is one, precisely, it is of `key`, and its signature is by that key.
/// Errors: EINVAL it cannot be read; EACCES otherwise.
Result<void> verify_certification_request(ByteView der, const PublicKey& key);

}  // namespace teeio::crypto
