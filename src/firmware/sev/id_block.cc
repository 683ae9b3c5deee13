#include "firmware/sev/id_block.h"

#include <algorithm>

namespace teeio::sev {
namespace {

constexpr std::uint32_t kCurveP384 = 2;  ///< ECC_CURVE_NAME_SECP384R1
constexpr std::size_t kNumber = 48;
constexpr std::size_t kNumberField = 72;  ///< each, little-endian

// Places in the page of who signed.
constexpr std::size_t kBlockSignatureAt = 0x40, kIdKeyAt = 0x240;
constexpr std::size_t kIdKeySignatureAt = 0x680, kAuthorKeyAt = 0x880;
constexpr std::size_t kSignatureField = 0x200, kKeyField = 0x404;

/// Two numbers of P-384, big-endian, from their fields; nullopt: one is larger.
std::optional<Bytes> numbers_of(ByteView field) {
  Writer out;
  for (const std::size_t at : {std::size_t{0}, kNumberField}) {
    const ByteView number = field.subspan(at, kNumber);
    const ByteView above = field.subspan(at + kNumber, kNumberField - kNumber);
    if (!std::ranges::all_of(above, [](std::byte b) { return b == std::byte{0}; })) return {};
    out.bytes(Bytes(number.rbegin(), number.rend()));
  }
  return out.take();
}

}  // namespace

IdBlock IdBlock::decode(ByteView block) {
  IdBlock found;
  Reader in(block);
  std::ranges::copy(in.take(found.digest.size()), found.digest.begin());
  std::ranges::copy(in.take(found.family_id.size()), found.family_id.begin());
  std::ranges::copy(in.take(found.image_id.size()), found.image_id.begin());
  in.skip(sizeof(std::uint32_t));  // version
  found.guest_svn = in.le<std::uint32_t>();
  found.policy = in.le<std::uint64_t>();
  return found;
}

IdAuthentication IdAuthentication::decode(ByteView page) {
  Reader in(page);
  IdAuthentication found{.id_key_algorithm = in.le<std::uint32_t>(),
                         .author_key_algorithm = in.le<std::uint32_t>()};
  found.block_signature = page.subspan(kBlockSignatureAt, kSignatureField);
  found.id_key = page.subspan(kIdKeyAt, kKeyField);
  found.id_key_signature = page.subspan(kIdKeySignatureAt, kSignatureField);
  found.author_key = page.subspan(kAuthorKeyAt, kKeyField);
  return found;
}

std::optional<crypto::PublicKey> key_of_field(ByteView field) {
  Reader in(field);
  if (in.le<std::uint32_t>() != kCurveP384) return std::nullopt;
  const auto point = numbers_of(in.rest());
  if (!point) return std::nullopt;
  auto key = crypto::PublicKey::from_point(crypto::KeyType::kP384, *point);
  if (!key) return std::nullopt;
  return *key;
}

bool is_signed_by(const crypto::PublicKey& key, ByteView message, ByteView signature_field) {
  const auto signature = numbers_of(signature_field);
  return signature && key.verify(crypto::SignatureAlgorithm::kEcdsaP384,
                                 crypto::HashAlgorithm::kSha384, message, *signature);
}

}  // namespace teeio::sev
