#include <fmt/format.h>

#include "entry/vendor_nodes.h"
#include "firmware/sev/attestation.h"
#include "firmware/sev/fenced_mmio.h"
#include "firmware/sev/io_guard.h"
#include "firmware/sev/launch.h"
#include "firmware/sev/tio.h"
#include "guest/factory.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/pci_tsm/sev/sev_driver.h"
#include "machine/amd_iommus.h"
#include "machine/spdm_setup.h"
#include "machine/vendors.h"

namespace teeio::machine {
namespace {

/// An AMD host: its IOMMU with secure device tables, the secure processor with SEV-SNP,
/// SEV-TIO, KVM's SNP type, SEV-TIO's driver.
class SevPlatform final : public Platform {
 public:
  explicit SevPlatform(const PlatformParts& parts)
      : parts_(parts),
        rmp_(parts.memory),
        guard_(parts.trace),
        psp_(parts.memory, parts.trace, rmp_, {}),
        launch_(psp_, guard_),
        attestation_(psp_),
        iommus_(parts, guard_, rmp_),
        psp_host_(psp_, parts.memory, parts.trace),
        sev_host_(psp_host_, parts.config.hkids, [this] { return attestation_.endorsement(); }),
        vm_type_(sev_host_) {}

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return iommus_.at(id); }
  Result<void> boot(const RootPorts& ports) override {
    std::vector<sev::TioPort> known;
    std::vector<hw::RootPort*> all;
    for (std::size_t n = 0; n < ports.size(); ++n) {
      all.push_back(ports[n].get());
      known.push_back({.port = ports[n].get(),
                       .number = ports[n]->port_number(),
                       .root = parts_.config.root_ports.at(n).iommu});
    }
    tio_.emplace(psp_, guard_, std::move(known), firmware_channels(parts_.config));
    driver_.emplace(psp_host_, std::move(all));
    TEEIO_TRY(psp_host_.snp_init(true));
    return driver_->init();
  }
  [[nodiscard]] hw::MmioTarget* trusted_mmio(Bdf function, std::uint32_t iommu,
                                             hw::MmioTarget* device) override {
    if (device == nullptr) return nullptr;
    auto& fenced = fenced_[device];
    if (fenced == nullptr)
      fenced = std::make_unique<sev::FencedMmio>(guard_, iommu, function.rid(), *device);
    return fenced.get();
  }
  [[nodiscard]] tsm::Driver* driver() override { return &*driver_; }
  Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) override {
    return iommus_.driver(id);
  }
  [[nodiscard]] std::unique_ptr<hw::CpuFactory> cpu_factory() override {
    return parts_.config.guest_code ? guest::make_unicorn_factory() : nullptr;
  }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override { return {&vm_type_}; }
  [[nodiscard]] std::vector<entry::VendorNode*> nodes() override { return {node_.get()}; }
  [[nodiscard]] std::vector<std::string_view> firmware_commands() const override {
    return psp_.commands_that_may_fail();
  }
  void census(std::map<std::string, std::string>& into) override {
    into["rmp assigned"] = fmt::format("{}", rmp_.assigned());
    into["psp guests"] = fmt::format("{}", psp_.guest_count());
    into["secure device entries"] = fmt::format("{}", guard_.entries());
    into["tio contexts"] = fmt::format("{}", tio_->devices() + tio_->tdis());
  }

 private:
  const PlatformParts parts_;
  sev::Rmp rmp_;
  sev::IoGuard guard_;
  sev::Platform psp_;
  sev::Launch launch_;
  sev::Attestation attestation_;
  AmdIommus iommus_;
  kvm::PspHost psp_host_;
  kvm::SevHost sev_host_;
  kvm::SevVmFactory vm_type_;
  std::unique_ptr<entry::VendorNode> node_ = entry::make_sev_node(psp_host_);
  std::map<hw::MmioTarget*, std::unique_ptr<sev::FencedMmio>> fenced_;  // by what is behind it
  std::optional<sev::Tio> tio_;
  std::optional<tsm::SevDriver> driver_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_sev_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<SevPlatform>(parts));
}

}  // namespace teeio::machine
