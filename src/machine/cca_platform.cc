#include <fmt/format.h>

#include <optional>

#include "firmware/rmm/rows.h"
#include "guest/factory.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/pci_tsm/cca/cca_driver.h"
#include "hw/smmu/smmu.h"
#include "machine/spdm_setup.h"
#include "machine/vendors.h"
#include "machine/vtd_iommus.h"

namespace teeio::machine {
namespace {

/// The SMMU of that number: its non-secure page 0. Addresses are this model's.
Hpa psmmu(std::uint32_t iommu) { return rmm::Settings::kPsmmu + iommu * 0x20000; }

/// An SMMU: the realm half is one, a stand-in takes the place of the other.
class HalfSmmu final : public hw::Iommu {
 public:
  HalfSmmu(const PlatformParts& parts, hw::Iommu& shared)
      : shared_(shared), realm_(parts.memory, parts.trace, shared.id(), rmm::kRealmWorld) {}
  [[nodiscard]] hw::Smmu& realm() { return realm_; }

  [[nodiscard]] std::uint32_t id() const override { return shared_.id(); }
  std::expected<Translation, hw::IommuFault> translate(hw::Requester from, hw::TBit t, Iova address,
                                                       hw::DmaAccess access) override {
    return t == hw::TBit::kShared ? shared_.translate(from, t, address, access)
                                  : realm_.translate(from, address, access);
  }
  std::expected<Translation, hw::IommuFault> translate_run(hw::Requester from, hw::TBit t,
                                                           Iova address, std::uint64_t size_bytes,
                                                           hw::DmaAccess access) override {
    return t == hw::TBit::kShared ? shared_.translate_run(from, t, address, size_bytes, access)
                                  : realm_.translate(from, address, access);
  }
  [[nodiscard]] std::uint64_t generation(hw::TBit side) const override {
    return side == hw::TBit::kShared ? shared_.generation(side) : realm_.generation();
  }
  [[nodiscard]] hw::RequestsInFlight& in_flight(hw::TBit side) override {
    return side == hw::TBit::kShared ? shared_.in_flight(side) : hw::Iommu::in_flight(side);
  }

 private:
  hw::Iommu& shared_;
  hw::Smmu realm_;
};

rmm::Settings settings(const Config& config, const std::vector<std::unique_ptr<HalfSmmu>>& smmus) {
  rmm::Settings settings;
  if (config.rmm_defects) settings.defects = rmm::Defects::kAs9a7f8ef4;
  // Where no realm's code runs, that is in explorations, a REC is one step of its host's.
  if (!config.guest_code) settings.rec_granules = 0;
  settings.psmmus.clear();
  for (std::uint32_t i = 0; i < config.iommus; ++i) settings.psmmus.push_back(psmmu(i));
  for (const auto& smmu : smmus) settings.smmus.push_back(&smmu->realm());
  for (const RootPortConfig& port : config.root_ports) settings.psmmu_of_port.push_back(port.iommu);
  return settings;
}

std::vector<hw::RootPort*> bare(const std::vector<tsm::CcaPort>& ports) {
  std::vector<hw::RootPort*> bare;
  for (const tsm::CcaPort& port : ports) bare.push_back(port.port);
  return bare;
}

/// An Arm host: the RMM with the realm half of SMMUs, KVM's realm type, Arm CCA's TSM driver.
/// What a realm runs are AArch64 instructions.
class CcaPlatform final : public Platform {
 public:
  explicit CcaPlatform(const PlatformParts& parts)
      : parts_(parts),
        iommus_(parts, vtd::Model::kStandIn),
        cpus_(parts.config.guest_code ? guest::make_arm_factory() : nullptr) {
    for (std::uint32_t id = 0; id < parts.config.iommus; ++id)
      smmus_.push_back(std::make_unique<HalfSmmu>(parts, iommus_.at(id)));
  }

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return *smmus_.at(id); }
  Result<void> boot(const RootPorts& ports) override {
    std::vector<tsm::CcaPort> all;
    for (std::size_t i = 0; i < ports.size(); ++i)
      all.push_back({.port = ports[i].get(), .psmmu = psmmu(parts_.config.root_ports[i].iommu)});
    const rmm::Settings known = settings(parts_.config, smmus_);
    firmware_.emplace(parts_, all, known, cpus_.get());
    return firmware_->host.start_smmus(known.psmmus);
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
    Firmware(const PlatformParts& parts, const std::vector<tsm::CcaPort>& ports,
             const rmm::Settings& settings, hw::CpuFactory* cpus)
        : rmm(parts.memory, parts.trace, bare(ports), firmware_channels(parts.config), settings),
          host(rmm, parts.memory, parts.trace, cpus),
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
  const std::unique_ptr<hw::CpuFactory> cpus_;
  std::vector<std::unique_ptr<HalfSmmu>> smmus_;
  std::optional<Firmware> firmware_;
};

}  // namespace

std::vector<std::string_view> failing_cca_commands(const Config&) {
  std::vector<std::string_view> names;
  for (const rmm::Row* row : rmm::rows())
    if (!row->fails.empty()) names.push_back(row->name);
  return names;
}

Result<std::unique_ptr<Platform>> make_cca_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<CcaPlatform>(parts));
}

}  // namespace teeio::machine
