#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "crypto/keys.h"

namespace teeio::sev {

/// The one signature algorithm of ID blocks: ECDSA of P-384 and SHA-384.
inline constexpr std::uint32_t kEcdsaP384Sha384 = 1;

/// SNP_LAUNCH_FINISH's ID block: what a guest's owner expects of it, and what its reports are
/// to say. Nobody looks at the version of its format. Source: 56860, "ID block"; ASPFW
/// sev_mcmd.h, snp_mcmd_launch_finish_id_block_t.
struct IdBlock {
  static constexpr std::size_t kSize = 96;
  std::array<std::byte, 48> digest{};  ///< of the launch
  std::array<std::byte, 16> family_id{}, image_id{};
  std::uint32_t guest_svn = 0;
  std::uint64_t policy = 0;

  static IdBlock decode(ByteView block);  ///< precondition: kSize bytes
};

/// Who signed it: the ID key the block, and the author's key, if there is one, the ID key.
/// Source: 56860, "ID authentication information structure"; ASPFW sev_mcmd.h,
/// snp_mcmd_launch_finish_id_auth_page_t.
///
/// Lifetime: a view of the page.
struct IdAuthentication {
  static constexpr std::size_t kSize = 4096;
  std::uint32_t id_key_algorithm = 0;
  std::uint32_t author_key_algorithm = 0;
  ByteView block_signature{}, id_key{}, id_key_signature{}, author_key{};

  static IdAuthentication decode(ByteView page);  ///< precondition: kSize bytes
};

/// A public key's field: the curve, and the point's coordinates as little-endian numbers.
/// nullopt: it is no point of P-384. Source: ASPFW ecc.h, ecc_pubkey_t.
[[nodiscard]] std::optional<crypto::PublicKey> key_of_field(ByteView field);
/// Whether the key's owner signed it. Source: ASPFW ecdsa.c, ecdsa_verify().
[[nodiscard]] bool is_signed_by(const crypto::PublicKey& key, ByteView message,
                                ByteView signature_field);

}  // namespace teeio::sev
