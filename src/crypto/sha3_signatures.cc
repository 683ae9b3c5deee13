#include <openssl/objects.h>

#include <utility>

#include "crypto/openssl.h"

namespace teeio::crypto::detail {

/// OpenSSL 3.0 signs with ECDSA and SHA-3, and calls its own certificates' and requests'
/// signature algorithm unknown: crypto/objects/obj_xref.txt has no rows for them.
void know_ecdsa_with_sha3() {
  static const bool known = [] {
    constexpr std::pair<int, int> kRows[] = {{NID_ecdsa_with_SHA3_256, NID_sha3_256},
                                             {NID_ecdsa_with_SHA3_384, NID_sha3_384},
                                             {NID_ecdsa_with_SHA3_512, NID_sha3_512}};
    for (const auto& [signature, hash] : kRows)
      if (OBJ_find_sigid_algs(signature, nullptr, nullptr) != 1)
        OBJ_add_sigid(signature, hash, NID_X9_62_id_ecPublicKey);
    return true;
  }();
  (void)known;
}

}  // namespace teeio::crypto::detail
