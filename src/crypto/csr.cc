#include "crypto/csr.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "crypto/openssl.h"
#include "crypto/random.h"

namespace teeio::crypto {
namespace {

struct FreeRequest {
  void operator()(X509_REQ* p) const { X509_REQ_free(p); }
};
using Request = std::unique_ptr<X509_REQ, FreeRequest>;
struct FreeExtensions {
  void operator()(STACK_OF(X509_EXTENSION) * p) const {
    sk_X509_EXTENSION_pop_free(p, X509_EXTENSION_free);
  }
};
struct FreeInfo {
  void operator()(X509_REQ_INFO* p) const { X509_REQ_INFO_free(p); }
};

/// The info inside of a request whose algorithm and signature say nothing: OpenSSL reads
/// subject and extensions of whole requests only.
Request read_info(ByteView info) {
  const unsigned char* at = detail::data_of(info);
  const std::unique_ptr<X509_REQ_INFO, FreeInfo> alone(
      d2i_X509_REQ_INFO(nullptr, &at, static_cast<long>(info.size())));
  if (alone == nullptr || at != detail::data_of(info) + info.size()) return nullptr;
  // AlgorithmIdentifier { ecdsa-with-SHA256 }, BIT STRING of nothing.
  constexpr std::array<std::uint8_t, 15> kTail{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
                                               0x3d, 0x04, 0x03, 0x02, 0x03, 0x01, 0x00};
  const std::size_t inside = info.size() + kTail.size();
  if (inside > 0xffff) return nullptr;
  Writer whole;
  whole.le(std::uint8_t{0x30}).le(std::uint8_t{0x82});
  whole.le(static_cast<std::uint8_t>(inside >> 8U)).le(static_cast<std::uint8_t>(inside));
  const Bytes der = whole.bytes(info).bytes(std::as_bytes(std::span(kTail))).take();
  at = detail::data_of(der);
  return Request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
}

Result<void> take_over(X509_REQ* made, ByteView wanted) {
  const Request theirs = read_info(wanted);
  if (theirs == nullptr) return fail(Errno::kInval, "no CertificationRequestInfo");
  X509_NAME* const subject = X509_REQ_get_subject_name(theirs.get());
  if (X509_NAME_entry_count(subject) > 0 && X509_REQ_set_subject_name(made, subject) != 1)
    return fail(Errno::kInval, "a request's subject cannot be read");
  const std::unique_ptr<STACK_OF(X509_EXTENSION), FreeExtensions> extensions(
      X509_REQ_get_extensions(theirs.get()));
  if (sk_X509_EXTENSION_num(extensions.get()) > 0 &&
      X509_REQ_add_extensions(made, extensions.get()) != 1)
    return fail(Errno::kInval, "a request's extensions cannot be read");
  return {};
}

}  // namespace

Result<Bytes> certification_request(const PrivateKey& key, HashAlgorithm hash,
                                    std::string_view name, ByteView wanted) {
  detail::direct_openssl_draws();
  const Request made(X509_REQ_new());
  TEEIO_CHECK(
      made != nullptr && X509_REQ_set_pubkey(made.get(), key.handle()) == 1 &&
          X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(name.data()),
                                     static_cast<int>(name.size()), -1, 0) == 1,
      "OpenSSL makes no certification request");
  if (!wanted.empty()) TEEIO_TRY(take_over(made.get(), wanted));
  const bool bare = signs_without_digest(key.public_key().type());
  if (X509_REQ_sign(made.get(), key.handle(), bare ? nullptr : detail::md(hash)) <= 0)
    return fail(Errno::kInval, "the key signs no certification request");
  Bytes der(static_cast<std::size_t>(std::max(0, i2d_X509_REQ(made.get(), nullptr))));
  unsigned char* at = detail::out_of(der);
  (void)i2d_X509_REQ(made.get(), &at);
  return der;
}

Result<void> verify_certification_request(ByteView der, const PublicKey& key) {
  const unsigned char* at = detail::data_of(der);
  const Request read(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (read == nullptr || at != detail::data_of(der) + der.size())
    return fail(Errno::kInval, "no certification request");
  EVP_PKEY* const inside = X509_REQ_get0_pubkey(read.get());
  if (inside == nullptr) return fail(Errno::kInval, "a certification request's key cannot be read");
  if (EVP_PKEY_eq(inside, key.handle()) != 1)
    return fail(Errno::kAcces, "a certification request is of another key");
  detail::know_ecdsa_with_sha3();
  if (X509_REQ_verify(read.get(), inside) != 1)
    return fail(Errno::kAcces, "a certification request's signature is wrong");
  return {};
}

}  // namespace teeio::crypto
