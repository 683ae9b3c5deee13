#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/kvm/vm_ops.h"
#include "host/pci_tsm/driver.h"
#include "machine/vendors.h"
#include "unit/machine/null_vendor/null_iommu.h"

namespace teeio::machine::test {

inline constexpr TsmKind kNullVendor{"null"};
inline constexpr std::uint64_t kNullVm = 0x7e;

/// KVM's part: VMs with private memory that nothing protects.
class NullVmFactory final : public kvm::VmTypeFactory {
 public:
  [[nodiscard]] std::uint64_t type() const override { return kNullVm; }
  Result<std::unique_ptr<kvm::VmOps>> make(kvm::Vm&) override {
    struct NullVm final : kvm::VmOps {
      [[nodiscard]] bool has_private_memory() const override { return true; }
    };
    return std::unique_ptr<kvm::VmOps>(std::make_unique<NullVm>());
  }
};

/// The TSM's part: says yes to everything, and writes down what it was asked.
class NullDriver final : public tsm::Driver {
 public:
  [[nodiscard]] std::string_view name() const override { return "null"; }
  [[nodiscard]] std::string_view platform_device() const override { return "faux/null_host"; }
  [[nodiscard]] tsm::TvmArch arch() const override { return tsm::TvmArch::kSev; }
  Result<void> connect(hw::PciFunction&) override { return note("connect"); }
  void disconnect(hw::PciFunction&) override { (void)note("disconnect"); }
  Result<void> bind(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&) override { return note("bind"); }
  void unbind(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&, tsm::TeardownHandlers& owner) override {
    owner.disable_mmio();
    owner.recover_mmio();
    (void)note("unbind");
  }
  tsm::GuestOutcome guest_request(hw::PciFunction&, const tsm::Tdi&, kvm::Vm&,
                                  const tsm::GuestRequest&) override {
    constexpr std::uint64_t kCode = 0x7e;
    if (auto noted = note("request"); !noted) return {std::unexpected(noted.error()), kCode};
    return {Bytes{}, kCode};
  }
  std::string asked;

 private:
  Result<void> note(std::string_view what) {
    asked.append(asked.empty() ? "" : " ").append(what);
    return {};
  }
};

class NullPlatform final : public Platform {
 public:
  explicit NullPlatform(const PlatformParts& parts) {
    last = this;
    for (std::uint32_t id = 0; id < parts.config.iommus; ++id)
      iommus_.push_back(std::make_unique<NullIommu>(id));
  }
  [[nodiscard]] hw::Iommu& iommu(std::uint32_t id) override { return *iommus_.at(id); }
  Result<void> boot(const RootPorts&) override { return {}; }
  Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) override {
    return std::unique_ptr<iommu::Iommu>(std::make_unique<NullIommuDriver>(*iommus_.at(id)));
  }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override { return {&vm_type_}; }
  [[nodiscard]] tsm::Driver* driver() override { return &tsm; }

  NullDriver tsm;
  static inline NullPlatform* last = nullptr;  ///< for the test to look at

 private:
  std::vector<std::unique_ptr<NullIommu>> iommus_;
  NullVmFactory vm_type_;
};

}  // namespace teeio::machine::test
