#include "spdm/suite.h"

#include <array>
#include <bit>
#include <utility>

#include "wire/spdm_pqc.h"

namespace teeio::spdm {
namespace {

/// The algorithm at the one bit that is set. Tables follow the order of bits.
template <class T, std::size_t N>
std::optional<T> pick(std::uint32_t bits, const std::array<std::optional<T>, N>& table) {
  if (!std::has_single_bit(bits)) return std::nullopt;
  const auto index = static_cast<std::size_t>(std::countr_zero(bits));
  return index < N ? table[index] : std::nullopt;
}

using Hash = crypto::HashAlgorithm;
using Signature = crypto::SignatureAlgorithm;
using Group = crypto::KeyExchangeGroup;
using Aead = crypto::AeadAlgorithm;

constexpr std::array<std::optional<Hash>, 6> kHashes{
    Hash::kSha256, Hash::kSha384, Hash::kSha512, Hash::kSha3_256, Hash::kSha3_384, Hash::kSha3_512};
// Bit 9 is SM2.
constexpr std::array<std::optional<Signature>, 11> kSignatures{
    Signature::kRsaSsa2048, Signature::kRsaPss2048, Signature::kRsaSsa3072, Signature::kRsaPss3072,
    Signature::kEcdsaP256,  Signature::kRsaSsa4096, Signature::kRsaPss4096, Signature::kEcdsaP384,
    Signature::kEcdsaP521,  std::nullopt,           Signature::kEd25519};
constexpr std::array<std::optional<Group>, 6> kGroups{Group::kFfdhe2048, Group::kFfdhe3072,
                                                      Group::kFfdhe4096, Group::kP256,
                                                      Group::kP384,      Group::kP521};
constexpr std::array<std::optional<Aead>, 3> kAeads{Aead::kAes128Gcm, Aead::kAes256Gcm,
                                                    Aead::kChaCha20Poly1305};

}  // namespace

std::optional<Hash> hash_of(std::uint32_t base_hash) { return pick(base_hash, kHashes); }
// Bit 0 says "raw bit streams only"; the others follow BaseHashAlgo's order.
std::optional<Hash> measurement_hash_of(std::uint32_t bits) {
  return (bits & 1U) != 0 ? std::nullopt : pick(bits >> 1U, kHashes);
}
std::optional<Signature> signature_of(std::uint32_t base_asym) {
  return pick(base_asym, kSignatures);
}
std::optional<Group> group_of(std::uint16_t dhe) { return pick(dhe, kGroups); }
std::optional<Aead> aead_of(std::uint16_t aead) { return pick(aead, kAeads); }

std::optional<Signature> pqc_signature_of(std::uint32_t pqc_asym) {
  if (!std::has_single_bit(pqc_asym) || (pqc_asym & wire::kSpdmAllPqcAsym) == 0)
    return std::nullopt;
  // Both go in the order of bits.
  return static_cast<Signature>(std::to_underlying(Signature::kMlDsa44) +
                                std::countr_zero(pqc_asym));
}
std::optional<crypto::KemAlgorithm> kem_of(std::uint16_t kem) {
  if (!std::has_single_bit(kem) || (kem & wire::kSpdmAllKem) == 0) return std::nullopt;
  return static_cast<crypto::KemAlgorithm>(std::countr_zero(kem));
}

std::uint32_t available_pqc_signatures() {
  std::uint32_t bits = 0;
  for (std::uint32_t bit = 1; bit <= wire::kSpdmAllPqcAsym; bit <<= 1U)
    if (crypto::available(crypto::key_type(*pqc_signature_of(bit)))) bits |= bit;
  return bits;
}
std::uint16_t available_kems() {
  unsigned bits = 0;
  for (unsigned bit = 1; bit <= wire::kSpdmAllKem; bit <<= 1U)
    if (crypto::available(*kem_of(static_cast<std::uint16_t>(bit)))) bits |= bit;
  return static_cast<std::uint16_t>(bits);
}

Suite Suite::of(const Algorithms& chosen) {
  const auto either = [](std::optional<Signature> classical, std::uint32_t pqc) {
    return classical ? classical : pqc_signature_of(pqc);
  };
  return {.hash = hash_of(chosen.base_hash),
          .measurement_hash = measurement_hash_of(chosen.measurement_hash),
          .asym = either(signature_of(chosen.base_asym), chosen.pqc_asym),
          .req_asym = either(signature_of(chosen.req_base_asym), chosen.req_pqc_asym),
          .group = group_of(chosen.dhe),
          .kem = chosen.dhe == 0 ? kem_of(chosen.kem) : std::nullopt,
          .aead = aead_of(chosen.aead)};
}

}  // namespace teeio::spdm
