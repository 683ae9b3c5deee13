#include "machine/vendors.h"

#include <algorithm>

#include "base/check.h"

namespace teeio::machine {
namespace {

std::vector<Vendor>& table() {
  static std::vector<Vendor> vendors = {{TsmKind::kNone, make_plain_platform},
                                        {TsmKind::kTdx, make_tdx_platform, failing_tdx_commands},
                                        {TsmKind::kCca, make_cca_platform, failing_cca_commands},
                                        {TsmKind::kSev, make_sev_platform}};
  return vendors;
}

}  // namespace

const std::vector<Vendor>& vendors() { return table(); }

void add_vendor(const Vendor& vendor) {
  TEEIO_CHECK(std::ranges::find(table(), vendor.kind, &Vendor::kind) == table().end(),
              "two vendors have one name");
  table().push_back(vendor);
}

}  // namespace teeio::machine
