#include "wire/spdm_pqc.h"

#include <array>
#include <bit>

namespace teeio::wire {
namespace {

struct Signature {
  std::string_view name;
  std::size_t size;
};
// In the order of bits.
constexpr std::array<Signature, 15> kSignatures = {{{"ML-DSA-44", 2420},
                                                    {"ML-DSA-65", 3309},
                                                    {"ML-DSA-87", 4627},
                                                    {"SLH-DSA-SHA2-128S", 7856},
                                                    {"SLH-DSA-SHAKE-128S", 7856},
                                                    {"SLH-DSA-SHA2-128F", 17088},
                                                    {"SLH-DSA-SHAKE-128F", 17088},
                                                    {"SLH-DSA-SHA2-192S", 16224},
                                                    {"SLH-DSA-SHAKE-192S", 16224},
                                                    {"SLH-DSA-SHA2-192F", 35664},
                                                    {"SLH-DSA-SHAKE-192F", 35664},
                                                    {"SLH-DSA-SHA2-256S", 29792},
                                                    {"SLH-DSA-SHAKE-256S", 29792},
                                                    {"SLH-DSA-SHA2-256F", 49856},
                                                    {"SLH-DSA-SHAKE-256F", 49856}}};
struct Kem {
  std::string_view name;
  std::size_t key;         ///< encapsulation key
  std::size_t ciphertext;  ///< FIPS 203, table 3
};
constexpr std::array<Kem, 3> kKems = {
    {{"ML-KEM-512", 800, 768}, {"ML-KEM-768", 1184, 1088}, {"ML-KEM-1024", 1568, 1568}}};

template <class Row, std::size_t N>
const Row* find(const std::array<Row, N>& rows, std::uint32_t bits) {
  if (!std::has_single_bit(bits)) return nullptr;
  const auto index = static_cast<std::size_t>(std::countr_zero(bits));
  return index < N ? &rows.at(index) : nullptr;
}

}  // namespace

std::size_t spdm_pqc_signature_size(std::uint32_t pqc_asym) {
  const Signature* const row = find(kSignatures, pqc_asym);
  return row == nullptr ? 0 : row->size;
}
std::size_t spdm_kem_request_size(std::uint32_t kem) {
  const Kem* const row = find(kKems, kem);
  return row == nullptr ? 0 : row->key;
}
std::size_t spdm_kem_response_size(std::uint32_t kem) {
  const Kem* const row = find(kKems, kem);
  return row == nullptr ? 0 : row->ciphertext;
}
std::string_view spdm_pqc_asym_name(std::uint32_t pqc_asym) {
  const Signature* const row = find(kSignatures, pqc_asym);
  return row == nullptr ? std::string_view() : row->name;
}
std::string_view spdm_kem_name(std::uint32_t kem) {
  const Kem* const row = find(kKems, kem);
  return row == nullptr ? std::string_view() : row->name;
}

}  // namespace teeio::wire
