#pragma once

#include <memory>

// OpenSSL's types, so that its headers stay out of ours.
struct evp_md_ctx_st;
struct evp_mac_ctx_st;
struct evp_cipher_ctx_st;
struct evp_pkey_st;
struct evp_pkey_ctx_st;
struct x509_st;
struct x509_store_st;

namespace teeio::crypto::detail {

struct Free {
  void operator()(evp_md_ctx_st* p) const;
  void operator()(evp_mac_ctx_st* p) const;
  void operator()(evp_cipher_ctx_st* p) const;
  void operator()(evp_pkey_st* p) const;
  void operator()(evp_pkey_ctx_st* p) const;
  void operator()(x509_st* p) const;
  void operator()(x509_store_st* p) const;
};

/// Owns one OpenSSL object.
template <class T>
using Handle = std::unique_ptr<T, Free>;

}  // namespace teeio::crypto::detail
