#include "abi/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "abi/iommufd.h"
#include "abi/vfio.h"

namespace teeio::abi {
namespace {

// Every iommufd and VFIO-device ioctl that Linux 7.3 has.
std::set<std::uint32_t> released_ioctls() {
  std::set<std::uint32_t> all;
  for (std::uint32_t nr = IOMMUFD_CMD_BASE; nr <= IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA; ++nr) {
    all.insert(_IO(IOMMUFD_TYPE, nr));
  }
  for (std::uint32_t nr = 0; nr <= 21; ++nr) all.insert(_IO(VFIO_TYPE, VFIO_BASE + nr));
  return all;
}

std::vector<std::uint32_t> proposed_ioctls(AbiProfile profile) {
  const ProposedAbi abi = proposed_abi(profile);
  std::vector<std::uint32_t> all;
  for (const auto& request : {abi.vfio_tsm_bind, abi.vfio_tsm_unbind, abi.vdevice_tsm_op,
                              abi.vdevice_tsm_req, abi.vdevice_tsm_guest_request}) {
    if (request.has_value()) all.push_back(*request);
  }
  return all;
}

TEST(AbiProfile, ReleasedIoctlIsDisplacedOnlyIfTheProfileSaysSo) {
  for (const AbiProfile profile : kAbiProfiles) {
    std::set<std::uint32_t> taken = released_ioctls();
    if (const auto hidden = hidden_ioctl(profile)) {
      EXPECT_EQ(taken.erase(*hidden), 1U) << profile_name(profile);
    }
    for (const std::uint32_t request : proposed_ioctls(profile)) {
      EXPECT_TRUE(taken.insert(request).second)
          << profile_name(profile) << " gives 0x" << std::hex << request << " twice";
    }
  }
}

TEST(AbiProfile, ProfileThatHidesACallUsesItsNumber) {
  for (const AbiProfile profile : kAbiProfiles) {
    const auto hidden = hidden_ioctl(profile);
    if (!hidden.has_value()) continue;
    const auto proposed = proposed_ioctls(profile);
    EXPECT_NE(std::find(proposed.begin(), proposed.end(), *hidden), proposed.end())
        << profile_name(profile);
  }
}

// The numbers in the posted mails, written out: a branch was built with them.
TEST(AbiProfile, PostedBranchesKeepTheirNumbers) {
  const ProposedAbi v5 = proposed_abi(AbiProfile::kIommufdV5);
  EXPECT_EQ(v5.vdevice_tsm_op, 0x3b95U);
  EXPECT_EQ(v5.vdevice_tsm_req, 0x3b96U);
  EXPECT_EQ(v5.vfio_tsm_bind, std::nullopt);
  const ProposedAbi rfc = proposed_abi(AbiProfile::kVfioRfc2025);
  EXPECT_EQ(rfc.vfio_tsm_bind, 0x3b7aU);
  EXPECT_EQ(rfc.vfio_tsm_unbind, 0x3b7bU);
  EXPECT_EQ(rfc.vdevice_tsm_guest_request, 0x3b94U);
  EXPECT_EQ(rfc.vdevice_tsm_op, std::nullopt);
  EXPECT_EQ(rfc.viommu_type_tsm, 2U);
}

TEST(AbiProfile, NamesParseBackAndNothingElseDoes) {
  for (const AbiProfile profile : kAbiProfiles) {
    EXPECT_EQ(parse_profile(profile_name(profile)), profile);
  }
  for (const char* bad : {"", "Teeio", "iommufd", "iommufd-v5 ", "vfio-rfc-2026"}) {
    EXPECT_EQ(parse_profile(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace teeio::abi
