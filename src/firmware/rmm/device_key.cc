#include "firmware/rmm/device_key.h"

#include <array>

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
