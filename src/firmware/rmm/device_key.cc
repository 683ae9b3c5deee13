#include "firmware/rmm/device_key.h"

#include <algorithm>
#include <span>

#include "crypto/certificate.h"

namespace teeio::rmm {
namespace {

constexpr std::uint8_t kRsa3072 = 0;
constexpr std::uint8_t kP256 = 1;
constexpr std::uint8_t kP384 = 2;

/// SubjectPublicKeyInfo up to the point. Source: RFC 5480, 2; RFC 5280, 4.1.
constexpr std::uint8_t kP256Info[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
constexpr std::uint8_t kP384Info[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                      0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};

/// The generator of P-256, which needs no look: what hosts name for devices that show no
/// certificate. Source: FIPS 186-4, D.1.2.3.
constexpr std::uint8_t kP256Generator[] = {
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
    0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
    0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
    0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

/// The modulus of an RSA-3072 key: SubjectPublicKeyInfo ends in it and the exponent 65537.
Result<Bytes> modulus(ByteView info) {
  constexpr std::size_t kExponent = 5;  // its tag, length and value
  constexpr std::size_t kModulus = 384;
  if (info.size() < kExponent + kModulus)
    return fail(Errno::kOpNotSupp, "the device's key is too short");
  const ByteView bytes = info.subspan(info.size() - kExponent - kModulus, kModulus);
  return Bytes(bytes.begin(), bytes.end());
}

}  // namespace

std::size_t device_key_bytes(std::uint8_t algorithm) {
  switch (algorithm) {
    case kRsa3072:
      return 384;
    case kP256:
      return 65;
    case kP384:
      return 97;
    default:
      return 0;
  }
}

Result<PublicKeyParams> device_key(ByteView certificates) {
  TEEIO_ASSIGN(const auto chain, crypto::CertificateChain::parse(certificates));
  const crypto::PublicKey& key = chain.leaf().public_key();
  PublicKeyParams params;
  const Bytes info = key.der();
  if (key.type() == crypto::KeyType::kRsa3072) {
    params.algorithm = kRsa3072;
    TEEIO_ASSIGN(params.key, modulus(info));
  } else if (key.type() == crypto::KeyType::kP256 || key.type() == crypto::KeyType::kP384) {
    params.algorithm = key.type() == crypto::KeyType::kP256 ? kP256 : kP384;
    const auto size = static_cast<std::ptrdiff_t>(device_key_bytes(params.algorithm));
    params.key.assign(info.end() - size, info.end());
  } else {
    return fail(Errno::kOpNotSupp, "the monitor has no algorithm for the device's key");
  }
  params.key_length = params.key.size();
  return params;
}

bool is_device_key(const PublicKeyParams& params) {
  if (params.key.size() != device_key_bytes(params.algorithm)) return false;
  if (params.algorithm == kRsa3072) return (params.key.back() & std::byte{1}) != std::byte{0};
  if (std::ranges::equal(params.key, std::as_bytes(std::span(kP256Generator)))) return true;
  Bytes info;
  const auto prefix = params.algorithm == kP256
                          ? std::as_bytes(std::span<const std::uint8_t>(kP256Info))
                          : std::as_bytes(std::span<const std::uint8_t>(kP384Info));
  info.assign(prefix.begin(), prefix.end());
  info.insert(info.end(), params.key.begin(), params.key.end());
  return crypto::PublicKey::from_der(info).has_value();
}

bool same_device_key(const PublicKeyParams& params, ByteView certificates) {
  const auto wanted = device_key(certificates);
  return wanted && wanted->algorithm == params.algorithm && wanted->key == params.key;
}

}  // namespace teeio::rmm
