#include <fmt/format.h>

#include <optional>

#include "host/kvm/rmm/realm_vm.h"
#include "host/pci_tsm/cca/cca_driver.h"
#include "machine/spdm_setup.h"
#include "machine/vendors.h"
#include "machine/vtd_iommus.h"

namespace teeio::machine {
namespace {

/// An Arm host: the slice of the RMM, KVM's realm type, Arm CCA's TSM driver. Its
/// IOMMUs stand in for SMMUs (docs/divergences.md); no guest's code runs.
class CcaPlatform final : public Platform {
 public:
  explicit CcaPlatform(const PlatformParts& parts)
      : parts_(parts), iommus_(parts, vtd::Model::kStandIn) {}

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return iommus_.at(id); }
  Result<void> boot(const RootPorts& ports) override {
    std::vector<hw::RootPort*> all;
    for (const auto& port : ports) all.push_back(port.get());
    firmware_.emplace(parts_, all);
    return {};
  }
  Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) override {
    return iommus_.driver(id);
  }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override {
    return {&firmware_->vm_type};
  }
  [[nodiscard]] tsm::Driver* driver() override { return &firmware_->driver; }
  void census(std::map<std::string, std::string>& into) override {
    into["rmm granules"] = fmt::format("{}", firmware_->rmm.granules());
  }

 private:
  struct Firmware {
    Firmware(const PlatformParts& parts, const std::vector<hw::RootPort*>& ports)
        : rmm(parts.memory, parts.trace, ports, firmware_channels(parts.config)),
          host(rmm, parts.memory, parts.trace),
          vm_type(host),
          driver(host, ports) {}
    rmm::Rmm rmm;
    kvm::RealmHost host;
    kvm::RealmVmFactory vm_type;
    tsm::CcaDriver driver;
  };

  const PlatformParts parts_;
  VtdIommus iommus_;
  std::optional<Firmware> firmware_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_cca_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<CcaPlatform>(parts));
}

}  // namespace teeio::machine
