#include "crypto/ecdsa_form.h"

#include <openssl/bn.h>
#include <openssl/ec.h>

#include <memory>

#include "base/check.h"
#include "crypto/openssl.h"

namespace teeio::crypto::detail {
namespace {

struct FreeEcdsaSig {
  void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
};
using EcdsaSig = std::unique_ptr<ECDSA_SIG, FreeEcdsaSig>;

}  // namespace

Bytes raw_signature(const Bytes& der, std::size_t size) {
  const unsigned char* at = data_of(der);
  const EcdsaSig parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  TEEIO_CHECK(parsed != nullptr, "OpenSSL made no ECDSA signature");
  Bytes raw(size);
  const int half = static_cast<int>(size / 2);
  unsigned char* const out = out_of(raw);
  TEEIO_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), out, half) == half &&
                  BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), out + half, half) == half,
              "an ECDSA signature is wider than its curve");
  return raw;
}

Bytes der_signature(ByteView raw) {
  const EcdsaSig parsed(ECDSA_SIG_new());
  const int half = static_cast<int>(raw.size() / 2);
  BIGNUM* const r = BN_bin2bn(data_of(raw), half, nullptr);
  BIGNUM* const s = BN_bin2bn(data_of(raw) + half, half, nullptr);
  TEEIO_CHECK(parsed != nullptr && ECDSA_SIG_set0(parsed.get(), r, s) == 1,
              "OpenSSL makes no ECDSA signature");
  Bytes der(static_cast<std::size_t>(i2d_ECDSA_SIG(parsed.get(), nullptr)));
  unsigned char* out = out_of(der);
  (void)i2d_ECDSA_SIG(parsed.get(), &out);
  return der;
}

}  // namespace teeio::crypto::detail
