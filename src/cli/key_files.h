#pragma once

#include <expected>
#include <string>

#include "crypto/keys.h"

namespace teeio::cli {

// Errors are ready to print, with the file's name.
/// SubjectPublicKeyInfo, PEM or DER.
[[nodiscard]] std::expected<crypto::PublicKey, std::string> read_public_key(
    const std::string& file);
/// PKCS #8 or traditional, PEM, unencrypted.
[[nodiscard]] std::expected<crypto::PrivateKey, std::string> read_private_key(
    const std::string& file);

}  // namespace teeio::cli
