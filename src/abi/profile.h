#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace teeio::abi {

/// Which set of numbers the proposed ioctls have in a run, so that a branch
/// posted to the lists runs unmodified. The ioctls' structs are the same in all; what
/// a guest request carries is not (RequestDialect).
///
/// Source: the series named in abi/linux/teeio_proposed.h.
enum class AbiProfile : std::uint8_t {
  kTeeio,        ///< all doors at once, on top of everything that 7.3 has
  kIommufdV5,    ///< iommufd owns bind, at the numbers posted in May 2026
  kIommufdV6,    ///< the same at teeio's numbers; objects are not read here
  kIommufdV7,    ///< making a vDEVICE binds, as posted in October 2026
  kVfioRfc2025,  ///< VFIO owns bind, as posted in May 2025
};

inline constexpr std::array kAbiProfiles = {AbiProfile::kTeeio, AbiProfile::kIommufdV5,
                                            AbiProfile::kIommufdV6, AbiProfile::kIommufdV7,
                                            AbiProfile::kVfioRfc2025};

/// How IOMMU_VDEVICE_TSM_REQ's operations are numbered, what they carry, and what a
/// positive answer counts.
enum class RequestDialect : std::uint8_t {
  kV5,  ///< READ_OBJECT 1 to SEV_DISABLE_DMA 7; counts what did not fit
  kV6,  ///< VALIDATE_MMIO 1 to SEV_DISABLE_DMA 4; counts bytes of the response left over
  kV7,  ///< as v6, and READ_OBJECT 5 to OBJECT_INFO 7, with lengths and offsets of 64 bits
};

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
  RequestDialect dialect = RequestDialect::kV5;            ///< of vdevice_tsm_req
  /// IOMMU_VDEVICE_ALLOC binds, and only IOMMU_DESTROY unbinds.
  bool vdevice_binds = false;

  friend bool operator==(const ProposedAbi&, const ProposedAbi&) = default;
};

[[nodiscard]] ProposedAbi proposed_abi(AbiProfile profile);

/// The iommufd ioctl of Linux 7.3 that a proposed one displaces in `profile`.
[[nodiscard]] std::optional<std::uint32_t> hidden_ioctl(AbiProfile profile);

/// The name in a machine file, such as "teeio" or "iommufd-v7".
[[nodiscard]] std::string_view profile_name(AbiProfile profile);

/// Which posting a proposed call of the profile comes from, for people to read.
[[nodiscard]] std::string_view profile_source(AbiProfile profile);

/// The profile of that name; nullopt when there is none. Case matters.
[[nodiscard]] std::optional<AbiProfile> parse_profile(std::string_view name);

}  // namespace teeio::abi
