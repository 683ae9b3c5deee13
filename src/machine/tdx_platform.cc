#include <fmt/format.h>

#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "firmware/tdx/rows.h"
#include "guest/factory.h"
#include "host/kvm/tdx/tdx_vm.h"
#include "host/pci_tsm/tdx/tdx_driver.h"
#include "machine/spdm_setup.h"
#include "machine/vendors.h"
#include "machine/vtd_iommus.h"

namespace teeio::machine {
namespace {

tdx::Api api(const Config& config) { return config.tdx_g2 ? tdx::Api::kG2 : tdx::Api::kG3; }

/// An IOMMU's register base. Addresses are this model's.
Hpa registers(std::uint32_t iommu) { return Hpa{0xfed9'0000 + std::uint64_t{iommu} * kPageSize}; }

/// An Intel host: VT-d, the TDX module, KVM's TD type, TDX Connect's TSM driver.
class TdxPlatform final : public Platform {
 public:
  explicit TdxPlatform(const PlatformParts& parts)
      : parts_(parts), iommus_(parts, vtd::Model::kIntel) {}

  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return iommus_.at(id); }

  /// Each IOMMU's trusted side comes up with pages lent to the module.
  Result<void> boot(const RootPorts& ports) override {
    firmware_.emplace(parts_, module_platform(ports), driver_ports(ports));
    for (std::uint32_t iommu = 0; iommu < parts_.config.iommus; ++iommu) {
      if (parts_.config.tdx_g2) {
        TEEIO_TRY(setup_iommu_g2(iommu));
        continue;
      }
      TEEIO_ASSIGN(const Hpa root, parts_.memory.alloc_page());
      TEEIO_ASSIGN(const Hpa queue, parts_.memory.alloc_page());
      const auto done =
          firmware_->host.call([&] { return setup_iommu(firmware_->module, iommu, root, queue); });
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
    std::vector<std::string_view> names;
    for (const tdx::Row* row : tdx::rows())
      if (!row->of_guest() && row->only.value_or(api(parts_.config)) == api(parts_.config))
        names.push_back(row->name);
    return names;
  }
  [[nodiscard]] std::string_view variant() const override {
    return parts_.config.tdx_g2 ? "tdx_api = \"g2\"" : "tdx_api = \"g3\"";
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
          driver(host, std::move(ports), api(parts.config)) {}
    tdx::Module module;
    kvm::TdxHost host;
    kvm::TdxVmFactory vm_type;
    tsm::TdxDriver driver;
  };

  Result<void> setreg(std::uint32_t iommu, tdx::IommuRegister which, std::uint64_t value) {
    tdx::LeafResult done;
    do
      done = firmware_->host.call(
          [&] { return firmware_->module.tdh_iommu_setreg(iommu, which, value); });
    while (done.status.code() == tdx::Code::kIommuEcmdTimeout);
    if (done.ok()) return {};
    return std::unexpected(kvm::leaf_error(done, "TDH.IOMMU.SETREG failed at boot"));
  }

  /// Of the older API: page by page, then the IOMMU, then its root ports.
  Result<void> setup_iommu_g2(std::uint32_t iommu) {
    for (const tdx::IommuRegister which : tdx::kIommuPageRegisters) {
      TEEIO_ASSIGN(const Hpa page, parts_.memory.alloc_page());
      TEEIO_TRY(setreg(iommu, which, raw(page)));
    }
    TEEIO_TRY(setreg(iommu, tdx::IommuRegister::kConfigIommu, 0));
    for (const RootPortConfig& port : parts_.config.root_ports)
      if (port.iommu == iommu)
        TEEIO_TRY(setreg(iommu, tdx::IommuRegister::kConfigRootPort, port.bdf.rid()));
    return {};
  }

  /// Of the newer API: the pages as a list, the IOMMU by its registers.
  tdx::LeafResult setup_iommu(tdx::Module& module, std::uint32_t iommu, Hpa root, Hpa queue) {
    const auto list = parts_.memory.alloc_page();
    TEEIO_CHECK(list.has_value(), "a machine that boots has a page");
    const bool written =
        parts_.memory.write(*list, Writer().le(raw(root)).le(raw(queue)).take()).has_value();
    TEEIO_CHECK(written, "a page of RAM takes a list");
    const auto done =
        module.g3().tdh_iommu_setup(registers(iommu), tdx::HpaArray(*list, tdx::kIommuPages));
    parts_.memory.free_page(*list);
    return done;
  }

  tdx::Platform module_platform(const RootPorts& ports) {
    tdx::Platform platform;
    platform.hkids = parts_.config.hkids;
    platform.api = api(parts_.config);
    platform.channels = firmware_channels(parts_.config);
    for (std::uint32_t iommu = 0; iommu < parts_.config.iommus; ++iommu) {
      tdx::Platform::Wiring wiring{
          .iommu = &iommus_.at(iommu), .registers = registers(iommu), .root_ports = {}};
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

std::vector<std::string_view> failing_tdx_commands(const Config& config) {
  std::vector<std::string_view> names;
  for (const tdx::Row* row : tdx::rows())
    if (!row->fails.empty() && row->only.value_or(api(config)) == api(config))
      names.push_back(row->name);
  return names;
}

Result<std::unique_ptr<Platform>> make_tdx_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<TdxPlatform>(parts));
}

}  // namespace teeio::machine
