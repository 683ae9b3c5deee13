#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace teeio::sev {

/// Security version numbers of what runs below guests, a byte each. Source: Linux
/// include/linux/psp-sev.h, struct sev_snp_tcb_version_genoa_milan.
struct TcbVersion {
  std::uint8_t boot_loader = 0;
  std::uint8_t tee = 0;
  std::uint8_t snp = 0;
  std::uint8_t microcode = 0;
  bool operator==(const TcbVersion&) const = default;

  [[nodiscard]] std::uint64_t encode() const;
  static TcbVersion decode(std::uint64_t word);
  /// No number is above the other's.
  [[nodiscard]] bool at_most(const TcbVersion& other) const;
};
/// Bits of the word that no number is in.
inline constexpr std::uint64_t kTcbReserved = 0x0000'ffff'ffff'0000;

/// What attestation tells of a chip: its name, what runs on it, and what SNP_CONFIG has set.
///
/// Locking: the platform's.
class Chip {
 public:
  static constexpr std::size_t kIdSize = 64;  ///< bytes
  /// No chip's in particular (model's choice).
  static constexpr TcbVersion kCurrent{.boot_loader = 4, .tee = 0, .snp = 22, .microcode = 213};

  using Id = std::array<std::byte, kIdSize>;
  [[nodiscard]] const Id& id();    ///< made when it is first asked for
  TcbVersion reported = kCurrent;  ///< by which the VCEK is chosen
  TcbVersion committed = kCurrent;
  bool mask_id = false;   ///< reports have zeros for the ID
  bool mask_key = false;  ///< reports are not signed

 private:
  Id id_{};
  bool named_ = false;
};

}  // namespace teeio::sev
