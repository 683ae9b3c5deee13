#include <fmt/format.h>

#include <optional>

#include "firmware/rmm/rows.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/pci_tsm/cca/cca_driver.h"
#include "machine/spdm_setup.h"
#include "machine/vendors.h"
#include "machine/vtd_iommus.h"

namespace teeio::machine {
namespace {

/// The SMMU of that number: its non-secure page 0. Addresses are this model's.
Hpa psmmu(std::uint32_t iommu) { return rmm::Settings::kPsmmu + iommu * 0x20000; }

rmm::Settings settings(const Config& config) {
  rmm::Settings settings;
  if (config.rmm_defects) settings.defects = rmm::Defects::kAs9a7f8ef4;
  settings.psmmus.clear();
  for (std::uint32_t i = 0; i < config.iommus; ++i) settings.psmmus.push_back(psmmu(i));
  for (const RootPortConfig& port : config.root_ports) settings.psmmu_of_port.push_back(port.iommu);
  return settings;
}

std::vector<hw::RootPort*> bare(const std::vector<tsm::CcaPort>& ports) {
  std::vector<hw::RootPort*> bare;
  for (const tsm::CcaPort& port : ports) bare.push_back(port.port);
  return bare;
}

/// An Arm host: the RMM, KVM's realm type, Arm CCA's TSM driver. Its
/// IOMMUs stand in for SMMUs (docs/divergences.md); no guest's code runs.
class CcaPlatform final : public Platform {
 public:
  explicit CcaPlatform(const PlatformParts& parts)
      : parts_(parts), iommus_(parts, vtd::Model::kStandIn) {}

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return iommus_.at(id); }
  Result<void> boot(const RootPorts& ports) override {
    std::vector<tsm::CcaPort> all;
    for (std::size_t i = 0; i < ports.size(); ++i)
      all.push_back({.port = ports[i].get(), .psmmu = psmmu(parts_.config.root_ports[i].iommu)});
    firmware_.emplace(parts_, all);
    return firmware_->host.start_smmus(settings(parts_.config).psmmus);
  }
  Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) override {
    return iommus_.driver(id);
  }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override {
    return {&firmware_->vm_type};
  }
  [[nodiscard]] tsm::Driver* driver() override { return &firmware_->driver; }
  [[nodiscard]] std::vector<std::string_view> firmware_commands() const override {
    std::vector<std::string_view> names;
    for (const rmm::Row* row : rmm::rows()) names.push_back(row->name);
    return names;
  }
  void census(std::map<std::string, std::string>& into) override {
    into["rmm granules"] = fmt::format("{}", firmware_->rmm.granules());
  }

 private:
  struct Firmware {
    Firmware(const PlatformParts& parts, const std::vector<tsm::CcaPort>& ports)
        : rmm(parts.memory, parts.trace, bare(ports), firmware_channels(parts.config),
              settings(parts.config)),
          host(rmm, parts.memory, parts.trace),
          vm_type(host),
          driver(host, ports,
                 parts.config.cca_locks ? tsm::CcaBind::kLocked : tsm::CcaBind::kUnlocked) {}
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
