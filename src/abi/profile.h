#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace teeio::abi {

/// Which set of numbers the proposed ioctls have in a run, so that a branch
/// posted to the lists runs unmodified. The structs are the same in all.
///
/// Source: the series named in abi/linux/teeio_proposed.h.
enum class AbiProfile : std::uint8_t {
  kTeeio,        ///< all doors at once, on top of everything that 7.3 has
  kIommufdV5,    ///< iommufd owns bind, at the numbers posted in May 2026
  kVfioRfc2025,  ///< VFIO owns bind, as posted in May 2025
};

inline constexpr std::array kAbiProfiles = {AbiProfile::kTeeio, AbiProfile::kIommufdV5,
                                            AbiProfile::kVfioRfc2025};

/// What a profile makes of the proposed uAPI. An ioctl is its whole request
/// number (type byte included); nullopt: the profile has no such call, and it
/// answers ENOTTY.
struct ProposedAbi {
  std::optional<std::uint32_t> vfio_tsm_bind;              ///< VFIO_DEVICE_TSM_BIND
  std::optional<std::uint32_t> vfio_tsm_unbind;            ///< VFIO_DEVICE_TSM_UNBIND
  std::optional<std::uint32_t> vdevice_tsm_op;             ///< IOMMU_VDEVICE_TSM_OP
  std::optional<std::uint32_t> vdevice_tsm_req;            ///< IOMMU_VDEVICE_TSM_REQ
  std::optional<std::uint32_t> vdevice_tsm_guest_request;  ///< the 2025 guest request
  std::uint32_t viommu_type_tsm;                           ///< IOMMU_VIOMMU_TYPE_TSM

  friend bool operator==(const ProposedAbi&, const ProposedAbi&) = default;
};

[[nodiscard]] ProposedAbi proposed_abi(AbiProfile profile);

/// The iommufd ioctl of Linux 7.3 that a proposed one displaces in `profile`.
[[nodiscard]] std::optional<std::uint32_t> hidden_ioctl(AbiProfile profile);

/// The name in a machine file: "teeio", "iommufd-v5" or "vfio-rfc-2025".
[[nodiscard]] std::string_view profile_name(AbiProfile profile);

/// The profile of that name; nullopt when there is none. Case matters.
[[nodiscard]] std::optional<AbiProfile> parse_profile(std::string_view name);

}  // namespace teeio::abi
