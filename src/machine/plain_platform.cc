#include "guest/factory.h"
#include "machine/iommu_unit.h"
#include "machine/vendors.h"
#include "machine/vtd_iommus.h"

namespace teeio::machine {
namespace {

/// An Intel host without trusted firmware.
class PlainPlatform final : public Platform {
 public:
  explicit PlainPlatform(const PlatformParts& parts)
      : guest_code_(parts.config.guest_code), iommus_(parts, vtd::Model::kIntel) {}

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return iommus_.at(id); }
  Result<void> boot(const RootPorts& /*ports*/) override { return {}; }
  Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) override {
    return iommus_.driver(id);
  }
  [[nodiscard]] std::unique_ptr<hw::CpuFactory> cpu_factory() override {
    return guest_code_ ? guest::make_unicorn_factory() : nullptr;
  }

 private:
  const bool guest_code_;
  VtdIommus iommus_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_plain_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<PlainPlatform>(parts));
}

Result<IommuUnit> make_iommu_unit(hw::PhysicalMemory& memory, object::Trace& trace,
                                  std::uint32_t id) {
  auto hardware = std::make_unique<hw::VtdIommu>(memory, trace, id);
  TEEIO_ASSIGN(auto driver,
               vtd::Driver::create(memory, *hardware, vtd::DefaultDomain::kTranslated));
  return IommuUnit{.hardware = std::move(hardware), .driver = std::move(driver)};
}

}  // namespace teeio::machine
