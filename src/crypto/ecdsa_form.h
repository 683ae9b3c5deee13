#pragma once

#include "base/bytes.h"

namespace teeio::crypto::detail {

/// An ECDSA signature as SPDM has it, r || s at full width, of OpenSSL's DER. `size` in bytes.
/// Precondition: OpenSSL made it, for a curve of half that size.
[[nodiscard]] Bytes raw_signature(const Bytes& der, std::size_t size);
/// And back: any r and s.
[[nodiscard]] Bytes der_signature(ByteView raw);

}  // namespace teeio::crypto::detail
