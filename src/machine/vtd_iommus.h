#pragma once

#include <memory>
#include <vector>

#include "host/iommu/vtd/driver.h"
#include "hw/vtd/vtd_iommu.h"
#include "machine/platform.h"

namespace teeio::machine {

/// The IOMMUs of a platform that has VT-d's, or a stand-in with its tables.
class VtdIommus {
 public:
  VtdIommus(const PlatformParts& parts, vtd::Model model) : memory_(parts.memory), model_(model) {
    for (std::uint32_t id = 0; id < parts.config.iommus; ++id)
      hardware_.push_back(std::make_unique<hw::VtdIommu>(parts.memory, parts.trace, id));
  }
  [[nodiscard]] hw::VtdIommu& at(std::uint32_t id) { return *hardware_.at(id); }
  Result<std::unique_ptr<iommu::Iommu>> driver(std::uint32_t id) {
    TEEIO_ASSIGN(auto driver,
                 vtd::Driver::create(memory_, at(id), vtd::DefaultDomain::kTranslated, model_));
    return std::unique_ptr<iommu::Iommu>(std::move(driver));
  }

 private:
  hw::PhysicalMemory& memory_;
  const vtd::Model model_;
  std::vector<std::unique_ptr<hw::VtdIommu>> hardware_;
};

}  // namespace teeio::machine
