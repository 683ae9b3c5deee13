#include "crypto/handles.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "crypto/hashes_of_run.h"
#include "crypto/secret.h"

namespace teeio::crypto {
namespace detail {

void Free::operator()(evp_md_ctx_st* p) const {
  if (hash_is_over(p)) EVP_MD_CTX_free(p);
}
void Free::operator()(evp_mac_ctx_st* p) const { EVP_MAC_CTX_free(p); }
void Free::operator()(evp_cipher_ctx_st* p) const { EVP_CIPHER_CTX_free(p); }
void Free::operator()(evp_pkey_st* p) const { EVP_PKEY_free(p); }
void Free::operator()(evp_pkey_ctx_st* p) const { EVP_PKEY_CTX_free(p); }
void Free::operator()(x509_st* p) const { X509_free(p); }
void Free::operator()(x509_store_st* p) const { X509_STORE_free(p); }

}  // namespace detail

void wipe(std::span<std::byte> memory) {
  if (!memory.empty()) OPENSSL_cleanse(memory.data(), memory.size());
}

bool equal_in_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace teeio::crypto
