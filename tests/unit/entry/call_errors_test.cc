#include "abi/call_errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "entry/support.h"

namespace teeio::entry {
namespace {

const std::set<std::string_view> kPlain = {"open", "read",      "write",          "attribute-read",
                                           "mmap", "fallocate", "attribute-write"};

TEST(CallErrors, AreOfCallsThatThereAre) {
  std::set<std::string_view> names = kPlain;
  for (const SupportRow& row : support_table(abi::AbiProfile::kTeeio)) names.insert(row.name);
  for (const std::string_view call : abi::calls_with_errors())
    EXPECT_TRUE(names.contains(call)) << call;
}

TEST(CallErrors, SayEachErrnoOfACallOnceAndWhereItComesFrom) {
  std::set<std::pair<std::string_view, Errno>> seen;
  for (const abi::CallError& row : abi::call_errors()) {
    EXPECT_TRUE(seen.insert({row.call, row.error}).second)
        << row.call << ' ' << errno_name(row.error);
    EXPECT_NE(row.source, "") << row.call;
    EXPECT_NE(errno_name(row.error), "E?") << row.call;
  }
}

TEST(CallErrors, OfOneCallStandTogether) {
  const auto calls = abi::calls_with_errors();
  EXPECT_EQ(std::set(calls.begin(), calls.end()).size(), calls.size());
  EXPECT_TRUE(abi::errors_of("KVM_NOTHING").empty());
  const auto errors = abi::errors_of("KVM_CREATE_VM");
  EXPECT_TRUE(
      std::ranges::all_of(errors, [](const auto& row) { return row.call == "KVM_CREATE_VM"; }));
  EXPECT_EQ(errors.size(), 4U);
}

// What most VMMs do has some errno, so that `teeio sweep` tries it.
TEST(CallErrors, CoverWhatAssignsADevice) {
  for (const char* call :
       {"KVM_CREATE_VM", "KVM_SET_USER_MEMORY_REGION2", "VFIO_DEVICE_BIND_IOMMUFD",
        "IOMMU_IOAS_MAP", "IOMMU_VIOMMU_ALLOC", "IOMMU_VDEVICE_ALLOC", "VFIO_DEVICE_TSM_BIND"})
    EXPECT_FALSE(abi::errors_of(call).empty()) << call;
}

}  // namespace
}  // namespace teeio::entry
