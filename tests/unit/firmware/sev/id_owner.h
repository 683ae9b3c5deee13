#pragma once

#include <array>

#include "crypto/keys.h"
#include "wire/snp_report.h"

namespace teeio::sev::test {

/// An owner of guests, with the keys that sign ID blocks.
struct IdOwner {
  crypto::PrivateKey id_key = crypto::PrivateKey::generate(crypto::KeyType::kP384);
  crypto::PrivateKey author_key = crypto::PrivateKey::generate(crypto::KeyType::kP384);

  /// An ID block: 56860, "ID block".
  static Bytes block(ByteView digest, std::uint64_t policy) {
    const Bytes family(16, std::byte{0xfa}), image(16, std::byte{0x1a});
    Writer out;
    return out.bytes(digest).bytes(family).bytes(image).le(1U).le(7U).le(policy).take();
  }
  /// The page that says who signed it.
  [[nodiscard]] Bytes authentication(ByteView block) const {
    Writer out;
    out.le(1U).le(1U).zeros(0x40 - 8);
    out.bytes(signature(id_key, block)).bytes(key_field(id_key)).zeros(0x680 - 0x644);
    out.bytes(signature(author_key, key_field(id_key))).bytes(key_field(author_key));
    Bytes page = out.take();
    page.resize(4096);
    return page;
  }
  static Bytes signature(const crypto::PrivateKey& key, ByteView message) {
    const auto numbers =
        key.sign(crypto::SignatureAlgorithm::kEcdsaP384, crypto::HashAlgorithm::kSha384, message);
    return wire::snp_signature_field(*numbers);
  }
  /// The curve, and the point's coordinates as little-endian numbers of 72 bytes.
  static Bytes key_field(const crypto::PrivateKey& key) {
    constexpr std::size_t kNumber = 48;
    const Bytes der = key.public_key().der();  // ends with X || Y
    Writer out;
    out.le(2U);
    for (const ByteView number :
         {ByteView(der).last(2 * kNumber).first(kNumber), ByteView(der).last(kNumber)})
      out.bytes(Bytes(number.rbegin(), number.rend())).zeros(72 - kNumber);
    Bytes field = out.take();
    field.resize(0x404);
    return field;
  }
};

}  // namespace teeio::sev::test
