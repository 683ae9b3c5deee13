#include "abi/profile.h"

#include <utility>

#include "abi/iommufd.h"
#include "abi/vfio.h"

namespace teeio::abi {
namespace {

// vIOMMU type of the 2025 branches. Linux 6.17 gave the same number to
// TEGRA241_CMDQV, which no machine of ours has.
constexpr std::uint32_t kViommuTypeTsmRfc = 2;

}  // namespace

ProposedAbi proposed_abi(AbiProfile profile) {
  ProposedAbi abi{};
  abi.viommu_type_tsm = IOMMU_VIOMMU_TYPE_TSM;
  switch (profile) {
    case AbiProfile::kTeeio:
      // 0x94 belongs to HW_QUEUE_ALLOC here, so the 2025 guest request is absent.
      abi.vfio_tsm_bind = VFIO_DEVICE_TSM_BIND;
      abi.vfio_tsm_unbind = VFIO_DEVICE_TSM_UNBIND;
      abi.vdevice_tsm_op = IOMMU_VDEVICE_TSM_OP;
      abi.vdevice_tsm_req = IOMMU_VDEVICE_TSM_REQ;
      return abi;
    case AbiProfile::kIommufdV5:
      abi.vdevice_tsm_op = IOMMU_VDEVICE_TSM_OP_V5;
      abi.vdevice_tsm_req = IOMMU_VDEVICE_TSM_REQ_V5;
      return abi;
    case AbiProfile::kIommufdV6:
      abi.vdevice_tsm_op = IOMMU_VDEVICE_TSM_OP;
      abi.vdevice_tsm_req = IOMMU_VDEVICE_TSM_REQ;
      abi.dialect = RequestDialect::kV6;
      return abi;
    case AbiProfile::kIommufdV7:
      abi.vdevice_tsm_req = IOMMU_VDEVICE_TSM_REQ_V7;
      abi.dialect = RequestDialect::kV7;
      abi.vdevice_binds = true;
      return abi;
    case AbiProfile::kVfioRfc2025:
      abi.vfio_tsm_bind = VFIO_DEVICE_TSM_BIND;
      abi.vfio_tsm_unbind = VFIO_DEVICE_TSM_UNBIND;
      abi.vdevice_tsm_guest_request = IOMMU_VDEVICE_TSM_GUEST_REQUEST;
      abi.viommu_type_tsm = kViommuTypeTsmRfc;
      return abi;
  }
  std::unreachable();
}

std::optional<std::uint32_t> hidden_ioctl(AbiProfile profile) {
  switch (profile) {
    case AbiProfile::kTeeio:
    case AbiProfile::kIommufdV6:
    case AbiProfile::kIommufdV7:
      return std::nullopt;
    case AbiProfile::kIommufdV5:
      return IOMMU_IOAS_NOIOMMU_GET_PA;
    case AbiProfile::kVfioRfc2025:
      return IOMMU_HW_QUEUE_ALLOC;
  }
  std::unreachable();
}

std::string_view profile_name(AbiProfile profile) {
  switch (profile) {
    case AbiProfile::kTeeio:
      return "teeio";
    case AbiProfile::kIommufdV5:
      return "iommufd-v5";
    case AbiProfile::kIommufdV6:
      return "iommufd-v6";
    case AbiProfile::kIommufdV7:
      return "iommufd-v7";
    case AbiProfile::kVfioRfc2025:
      return "vfio-rfc-2025";
  }
  std::unreachable();
}

std::string_view profile_source(AbiProfile profile) {
  switch (profile) {
    case AbiProfile::kTeeio:
      return "VFIO's calls: RFC of 2025-05-29; iommufd's: v5 of 2026-05-25, at numbers of teeio's";
    case AbiProfile::kIommufdV5:
      return "\"Add iommufd ioctls to support TSM operations\" v5, 2026-05-25";
    case AbiProfile::kIommufdV6:
      return "the tree after v5: operations renumbered, objects left to netlink";
    case AbiProfile::kIommufdV7:
      return "\"iommufd: vIOMMUs and TSM guest requests for confidential guests\" v7, 2026-10-08";
    case AbiProfile::kVfioRfc2025:
      return "\"Host side support for TDISP using TSM\" RFC, 2025-05-29";
  }
  std::unreachable();
}

std::optional<AbiProfile> parse_profile(std::string_view name) {
  for (const AbiProfile profile : kAbiProfiles) {
    if (profile_name(profile) == name) return profile;
  }
  return std::nullopt;
}

}  // namespace teeio::abi
