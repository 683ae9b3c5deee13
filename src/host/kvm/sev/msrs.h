#pragma once

#include <cstdint>

namespace teeio::kvm {

/// Registers of an SNP guest. Source: APM volume 2, 15.34.1 and 15.35.4; Linux
/// asm/msr-index.h, asm/sev-common.h.
inline constexpr std::uint32_t kMsrGhcb = 0xc001'0130;
inline constexpr std::uint32_t kMsrSevStatus = 0xc001'0131;
inline constexpr std::uint64_t kSevStatusSnp = 7;  ///< SEV, SEV-ES, SEV-SNP

/// GHCB_MSR_SEV_INFO: highest version, lowest version, the place of the C-bit.
constexpr std::uint64_t ghcb_sev_info(std::uint16_t version) {
  constexpr std::uint64_t kResponse = 1;
  constexpr std::uint64_t kLowest = 1;
  constexpr std::uint64_t kCBit = 51;
  return std::uint64_t{version} << 48U | kLowest << 32U | kCBit << 24U | kResponse;
}

}  // namespace teeio::kvm
