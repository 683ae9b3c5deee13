#include <fmt/format.h>

#include <optional>

#include "firmware/tdx/leaf_names.h"
#include "guest/factory.h"
#include "host/kvm/tdx/tdx_vm.h"
#include "host/pci_tsm/tdx/tdx_driver.h"
#include "machine/spdm_setup.h"
#include "machine/vendors.h"
#include "machine/vtd_iommus.h"

namespace teeio::machine {
namespace {

/// An Intel host: VT-d, the TDX module, KVM's TD type, TDX Connect's TSM driver.
class TdxPlatform final : public Platform {
 public:
  explicit TdxPlatform(const PlatformParts& parts)
      : parts_(parts), iommus_(parts, vtd::Model::kIntel) {}

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return iommus_.at(id); }

  /// Each IOMMU's trusted side comes up with two pages lent to the module.
  Result<void> boot(const RootPorts& ports) override {
    firmware_.emplace(parts_, module_platform(ports), driver_ports(ports));
    for (std::uint32_t iommu = 0; iommu < parts_.config.iommus; ++iommu) {
      TEEIO_ASSIGN(const Hpa root, parts_.memory.alloc_page());
      TEEIO_ASSIGN(const Hpa queue, parts_.memory.alloc_page());
      const auto done = firmware_->host.extension(
          [&] { return firmware_->module.tdh_iommu_setup(iommu, root, queue); });
      if (!done.ok())
        return std::unexpected(kvm::leaf_error(done, "TDH.IOMMU.SETUP failed at boot"));
    }
    return {};
  }

  Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) override {
    return iommus_.driver(id);
  }
  [[nodiscard]] std::unique_ptr<hw::CpuFactory> cpu_factory() override {
    return parts_.config.guest_code ? guest::make_unicorn_factory() : nullptr;
  }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override {
    return {&firmware_->vm_type};
  }
  [[nodiscard]] tsm::Driver* driver() override { return &firmware_->driver; }
  [[nodiscard]] std::vector<std::string_view> firmware_commands() const override {
    return tdx::leaf_names();
  }
  void census(std::map<std::string, std::string>& into) override {
    into["tdx module pages"] = fmt::format("{}", firmware_->module.pages_owned());
  }

 private:
  struct Firmware {
    Firmware(const PlatformParts& parts, tdx::Platform platform,
             std::vector<tsm::TdxDriver::Port> ports)
        : module(parts.memory, parts.trace, std::move(platform)),
          host(module, parts.memory, parts.trace, parts.config.iommus, parts.config.hkids),
          vm_type(host),
          driver(host, std::move(ports)) {}
    tdx::Module module;
    kvm::TdxHost host;
    kvm::TdxVmFactory vm_type;
    tsm::TdxDriver driver;
  };

  tdx::Platform module_platform(const RootPorts& ports) {
    tdx::Platform platform;
    platform.hkids = parts_.config.hkids;
    platform.channels = firmware_channels(parts_.config);
    for (std::uint32_t iommu = 0; iommu < parts_.config.iommus; ++iommu) {
      tdx::Platform::Wiring wiring{.iommu = &iommus_.at(iommu), .root_ports = {}};
      for (std::size_t i = 0; i < ports.size(); ++i)
        if (parts_.config.root_ports[i].iommu == iommu) wiring.root_ports.push_back(ports[i].get());
      platform.iommus.push_back(std::move(wiring));
    }
    return platform;
  }

  std::vector<tsm::TdxDriver::Port> driver_ports(const RootPorts& root_ports) const {
    std::vector<tsm::TdxDriver::Port> ports;
    std::map<std::uint32_t, std::uint32_t> count;
    for (std::size_t i = 0; i < root_ports.size(); ++i) {
      const std::uint32_t iommu = parts_.config.root_ports[i].iommu;
      ports.push_back({.port = root_ports[i].get(), .iommu = iommu, .index = count[iommu]++});
    }
    return ports;
  }

  const PlatformParts parts_;
  VtdIommus iommus_;
  std::optional<Firmware> firmware_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_tdx_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<TdxPlatform>(parts));
}

}  // namespace teeio::machine
