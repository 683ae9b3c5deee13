#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "firmware/sev/secure_tables.h"
#include "host/iommu/amd/driver.h"
#include "hw/amd_iommu/amd_iommu.h"
#include "machine/platform.h"

namespace teeio::machine {

/// The IOMMUs of an AMD host with SNP, and their secure sides.
class AmdIommus {
 public:
  AmdIommus(const PlatformParts& parts, sev::IoGuard& guard, sev::Rmp& rmp)
      : memory_(parts.memory) {
    for (const auto& port : parts.config.root_ports)
      last_bus_ = std::max<std::uint8_t>(last_bus_, static_cast<std::uint8_t>(port.bus));
    for (std::uint32_t id = 0; id < parts.config.iommus; ++id) {
      hardware_.push_back(std::make_unique<hw::AmdIommu>(parts.memory, parts.trace, id));
      secure_.push_back(std::make_unique<sev::SecureTables>(guard, rmp, id));
      hardware_.back()->set_secure_side(*secure_.back());
    }
  }
  [[nodiscard]] hw::AmdIommu& at(std::uint32_t id) { return *hardware_.at(id); }
  Result<std::unique_ptr<iommu::Iommu>> driver(std::uint32_t id) {
    TEEIO_ASSIGN(auto driver, amdvi::Driver::create(memory_, at(id),
                                                    amdvi::DefaultDomain::kTranslated, last_bus_));
    return std::unique_ptr<iommu::Iommu>(std::move(driver));
  }

 private:
  hw::PhysicalMemory& memory_;
  std::uint8_t last_bus_ = 0;
  std::vector<std::unique_ptr<sev::SecureTables>> secure_;
  std::vector<std::unique_ptr<hw::AmdIommu>> hardware_;
};

}  // namespace teeio::machine
