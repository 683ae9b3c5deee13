#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace teeio::wire {

// Post-quantum algorithms of SPDM 1.4. Bits and sizes checked against libspdm's spdm.h
// (SPDM_ALGORITHMS_PQC_ASYM_ALGO_…, SPDM_ALGORITHMS_KEM_ALG_…) and libspdm_crypt_pqc_*.c;
// FIPS 203, 204 and 205 have the sizes too.

/// Bits of PqcAsymAlgo and ReqPqcAsymAlg: ML-DSA-44, -65, -87, then SLH-DSA, SHA2 and SHAKE
/// in turn: 128s, 128f, 192s, 192f, 256s, 256f.
inline constexpr std::uint32_t kSpdmAllPqcAsym = 0x7fff;
/// Bits of KEMAlg: ML-KEM-512, -768, -1024.
inline constexpr std::uint16_t kSpdmAllKem = 0x7;

/// Bytes; 0 for a value that is not exactly one known bit.
[[nodiscard]] std::size_t spdm_pqc_signature_size(std::uint32_t pqc_asym);
/// KEY_EXCHANGE carries the encapsulation key, KEY_EXCHANGE_RSP the ciphertext.
[[nodiscard]] std::size_t spdm_kem_request_size(std::uint32_t kem);
[[nodiscard]] std::size_t spdm_kem_response_size(std::uint32_t kem);
/// "ML-DSA-65", "SLH-DSA-SHA2-128S", "ML-KEM-768"; "" for other values.
[[nodiscard]] std::string_view spdm_pqc_asym_name(std::uint32_t pqc_asym);
[[nodiscard]] std::string_view spdm_kem_name(std::uint32_t kem);

}  // namespace teeio::wire
