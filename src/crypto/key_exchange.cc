#include "crypto/key_exchange.h"

#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/ec.h>

#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "crypto/ec_public_key.h"
#include "crypto/kept_results.h"
#include "crypto/openssl.h"
#include "crypto/random.h"

namespace teeio::crypto {
namespace {

struct Group {
  const char* algorithm;
  const char* name;
  std::size_t size;  ///< bytes of ExchangeData
};
// By KeyExchangeGroup.
constexpr std::array<Group, 6> kGroups = {{{"DH", "ffdhe2048", 256},
                                           {"DH", "ffdhe3072", 384},
                                           {"DH", "ffdhe4096", 512},
                                           {"EC", "P-256", 64},
                                           {"EC", "P-384", 96},
                                           {"EC", "P-521", 132}}};
/// "Uncompressed point" (SEC 1, 2.3.3), which SPDM leaves out.
constexpr std::byte kUncompressed{4};

const Group& row(KeyExchangeGroup group) { return kGroups[static_cast<std::size_t>(group)]; }
bool is_curve(KeyExchangeGroup group) { return group >= KeyExchangeGroup::kP256; }

EVP_PKEY* make_parameters(const Group& group) {
  const detail::Handle<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_from_name(nullptr, group.algorithm, nullptr));
  EVP_PKEY* parameters = nullptr;
  TEEIO_CHECK(context != nullptr && EVP_PKEY_paramgen_init(context.get()) == 1 &&
                  EVP_PKEY_CTX_set_group_name(context.get(), group.name) == 1 &&
                  EVP_PKEY_paramgen(context.get(), &parameters) == 1,
              "OpenSSL lacks a group");
  return parameters;
}

/// The group itself, made at its first use and kept: from its name it would be
/// computed anew for each key.
EVP_PKEY* parameters(KeyExchangeGroup group) {
  // One function-local static each, since a group costs and few are used.
  switch (group) {
    case KeyExchangeGroup::kFfdhe2048: {
      static EVP_PKEY* const made = make_parameters(row(group));
      return made;
    }
    case KeyExchangeGroup::kFfdhe3072: {
      static EVP_PKEY* const made = make_parameters(row(group));
      return made;
    }
    case KeyExchangeGroup::kFfdhe4096: {
      static EVP_PKEY* const made = make_parameters(row(group));
      return made;
    }
    case KeyExchangeGroup::kP256: {
      static EVP_PKEY* const made = make_parameters(row(group));
      return made;
    }
    case KeyExchangeGroup::kP384: {
      static EVP_PKEY* const made = make_parameters(row(group));
      return made;
    }
    case KeyExchangeGroup::kP521: {
      static EVP_PKEY* const made = make_parameters(row(group));
      return made;
    }
  }
  return nullptr;
}

Bytes encoded_public_key(EVP_PKEY* key) {
  unsigned char* encoded = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(key, &encoded);
  TEEIO_CHECK(size != 0, "OpenSSL encodes no public key");
  const auto bytes = std::as_bytes(std::span(encoded, size));
  Bytes out(bytes.begin(), bytes.end());
  OPENSSL_free(encoded);
  return out;
}

Bytes public_value(EVP_PKEY* key, KeyExchangeGroup group) {
  Bytes out = encoded_public_key(key);
  if (is_curve(group)) out.erase(out.begin());  // kUncompressed
  TEEIO_CHECK(out.size() == row(group).size, "a public value has another size than its group's");
  return out;
}

/// The peer's key, or null when it is none: for curves OpenSSL looks here whether
/// the point is on it; with cofactor 1 that is all there is to look at.
detail::Handle<EVP_PKEY> peer_key(KeyExchangeGroup group, ByteView exchange_data) {
  detail::Handle<EVP_PKEY> peer(EVP_PKEY_new());
  TEEIO_CHECK(peer != nullptr && EVP_PKEY_copy_parameters(peer.get(), parameters(group)) == 1,
              "OpenSSL copies no group");
  std::array<std::byte, 1 + 512> encoded{};
  std::size_t size = 0;
  if (is_curve(group)) encoded[size++] = kUncompressed;
  std::memcpy(encoded.data() + size, exchange_data.data(), exchange_data.size());
  size += exchange_data.size();
  if (EVP_PKEY_set1_encoded_public_key(peer.get(), detail::data_of(encoded), size) != 1)
    return nullptr;
  return peer;
}

detail::Handle<EVP_PKEY> make_pair(KeyExchangeGroup group) {
  detail::direct_openssl_draws();
  const detail::Handle<EVP_PKEY_CTX> context(
      EVP_PKEY_CTX_new_from_pkey(nullptr, parameters(group), nullptr));
  EVP_PKEY* made = nullptr;
  TEEIO_CHECK(context != nullptr && EVP_PKEY_keygen_init(context.get()) == 1 &&
                  EVP_PKEY_keygen(context.get(), &made) == 1,
              "OpenSSL generates no key");
  return detail::Handle<EVP_PKEY>(made);
}

/// Errors: as EphemeralKey::derive(), the size apart.
Result<Secret> shared_secret(EVP_PKEY* ours, KeyExchangeGroup group, ByteView peer) {
  const detail::Handle<EVP_PKEY> theirs = peer_key(group, peer);
  if (theirs == nullptr)
    return fail(Errno::kInval, "the peer's exchange data is no point of the curve");
  const detail::Handle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_pkey(nullptr, ours, nullptr));
  TEEIO_CHECK(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1,
              "OpenSSL derives no secret");
  if (!is_curve(group))
    TEEIO_CHECK(EVP_PKEY_CTX_set_dh_pad(context.get(), 1) == 1, "OpenSSL derives no secret");
  Secret out(is_curve(group) ? peer.size() / 2 : peer.size());
  std::size_t size = out.size();
  if (EVP_PKEY_derive_set_peer_ex(context.get(), theirs.get(), /*validate_peer=*/0) != 1 ||
      EVP_PKEY_derive(context.get(), detail::out_of(out.writable()), &size) != 1)
    return fail(Errno::kInval, "the peer's exchange data is no public key of the group");
  TEEIO_CHECK(size == out.size(), "a shared secret has another size than its group's");
  return out;
}

detail::Handle<EVP_PKEY> seeded_pair(KeyExchangeGroup group, std::uint64_t seed) {
  const Digest inputs =
      hash(HashAlgorithm::kSha256, {detail::operation("pair"), bytes_of(group), bytes_of(seed)});
  EVP_PKEY* const found = detail::keeps_objects() ? detail::kept_key(inputs) : nullptr;
  if (found != nullptr) return detail::Handle<EVP_PKEY>(found);
  const SeededRandom draws(seed);
  detail::Handle<EVP_PKEY> made = make_pair(group);
  if (detail::keeps_objects()) {
    detail::keep_key(inputs, made.get());
    detail::note_pair(std::to_underlying(group), seed);
  }
  return made;
}

/// Where results are kept: by one number of the run's sequence.
detail::Handle<EVP_PKEY> new_pair(KeyExchangeGroup group) {
  if (!detail::keeps_results()) return make_pair(group);
  std::uint64_t seed = 0;
  fill_random(writable_bytes_of(seed));
  return seeded_pair(group, seed);
}

}  // namespace

void detail::make_noted_pair(std::uint8_t group, std::uint64_t seed) {
  if (group < kGroups.size()) (void)seeded_pair(static_cast<KeyExchangeGroup>(group), seed);
}

Bytes detail::point_of(evp_pkey_st* key) { return encoded_public_key(key); }

std::shared_ptr<evp_pkey_st> detail::ec_public_key(KeyExchangeGroup curve, ByteView point) {
  TEEIO_CHECK(is_curve(curve) && point.size() == row(curve).size, "no point of a curve");
  return peer_key(curve, point);
}

std::size_t exchange_data_size(KeyExchangeGroup group) { return row(group).size; }

EphemeralKey EphemeralKey::generate(KeyExchangeGroup group) {
  detail::Handle<EVP_PKEY> key = new_pair(group);
  Bytes exchange_data = public_value(key.get(), group);
  return {group, std::move(key), std::move(exchange_data)};
}

Result<Secret> EphemeralKey::derive(ByteView peer) const {
  if (peer.size() != exchange_data_size(group_))
    return fail(Errno::kInval, "the peer's exchange data has another size than the group's");
  if (!detail::keeps_results()) return shared_secret(key_.get(), group_, peer);
  const Digest inputs = hash(HashAlgorithm::kSha256,
                             {detail::operation("derive"), bytes_of(group_), exchange_data_, peer});
  if (const Bytes* const found = detail::kept(inputs)) return Secret(*found);
  const SeededRandom hidden(detail::kHiddenDraws);
  Result<Secret> made = shared_secret(key_.get(), group_, peer);
  if (made) detail::keep(inputs, made->view());
  return made;
}

}  // namespace teeio::crypto
