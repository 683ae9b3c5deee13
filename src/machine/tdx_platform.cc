#include <fmt/format.h>

#include "host/pci_tsm/tdx/tdx_driver.h"
#include "machine/parts.h"
#include "machine/spdm_setup.h"

namespace teeio::machine {
namespace {

/// An Intel host: the TDX module, KVM's TD type, TDX Connect's TSM driver.
class TdxPlatform final : public Platform {
 public:
  explicit TdxPlatform(const PlatformParts& parts)
      : memory_(parts.memory),
        module_(parts.memory, parts.trace, firmware_platform(parts)),
        tdx_host_(module_, parts.memory, parts.trace, parts.config.iommus, parts.config.hkids),
        vm_type_(tdx_host_),
        driver_(tdx_host_, driver_ports(parts)),
        iommus_(parts.config.iommus) {}

  /// The boot step: each IOMMU's trusted side, with two pages lent to the module.
  Result<void> boot() {
    for (std::uint32_t iommu = 0; iommu < iommus_; ++iommu) {
      TEEIO_ASSIGN(const Hpa root, memory_.alloc_page());
      TEEIO_ASSIGN(const Hpa queue, memory_.alloc_page());
      const auto done =
          tdx_host_.extension([&] { return module_.tdh_iommu_setup(iommu, root, queue); });
      if (!done.ok())
        return std::unexpected(kvm::leaf_error(done, "TDH.IOMMU.SETUP failed at boot"));
    }
    return {};
  }

  [[nodiscard]] tsm::Driver& driver() override { return driver_; }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override { return {&vm_type_}; }
  void census(std::map<std::string, std::string>& into) override {
    into["tdx module pages"] = fmt::format("{}", module_.pages_owned());
  }

 private:
  static tdx::Platform firmware_platform(const PlatformParts& parts) {
    tdx::Platform platform;
    platform.hkids = parts.config.hkids;
    platform.channels = firmware_channels(parts.config);
    for (std::uint32_t iommu = 0; iommu < parts.config.iommus; ++iommu) {
      tdx::Platform::Wiring wiring{.iommu = parts.iommus[iommu].get(), .root_ports = {}};
      for (std::size_t i = 0; i < parts.root_ports.size(); ++i)
        if (parts.config.root_ports[i].iommu == iommu)
          wiring.root_ports.push_back(parts.root_ports[i].get());
      platform.iommus.push_back(std::move(wiring));
    }
    return platform;
  }

  static std::vector<tsm::TdxDriver::Port> driver_ports(const PlatformParts& parts) {
    std::vector<tsm::TdxDriver::Port> ports;
    std::map<std::uint32_t, std::uint32_t> count;
    for (std::size_t i = 0; i < parts.root_ports.size(); ++i) {
      const std::uint32_t iommu = parts.config.root_ports[i].iommu;
      ports.push_back({.port = parts.root_ports[i].get(), .iommu = iommu, .index = count[iommu]++});
    }
    return ports;
  }

  hw::PhysicalMemory& memory_;
  tdx::Module module_;
  kvm::TdxHost tdx_host_;
  kvm::TdxVmFactory vm_type_;
  tsm::TdxDriver driver_;
  const std::uint32_t iommus_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_tdx_platform(const PlatformParts& parts) {
  auto platform = std::make_unique<TdxPlatform>(parts);
  TEEIO_TRY(platform->boot());
  return std::unique_ptr<Platform>(std::move(platform));
}

}  // namespace teeio::machine
