#include <fmt/format.h>

#include "host/kvm/rmm/realm_vm.h"
#include "host/pci_tsm/cca/cca_driver.h"
#include "machine/parts.h"
#include "machine/spdm_setup.h"

namespace teeio::machine {
namespace {

/// An Arm host: the slice of the RMM, KVM's realm type, Arm CCA's TSM driver.
class CcaPlatform final : public Platform {
 public:
  explicit CcaPlatform(const PlatformParts& parts)
      : rmm_(parts.memory, parts.trace, root_ports(parts), firmware_channels(parts.config)),
        host_(rmm_, parts.memory, parts.trace),
        vm_type_(host_),
        driver_(host_, root_ports(parts)) {}

  [[nodiscard]] tsm::Driver& driver() override { return driver_; }
  [[nodiscard]] std::vector<kvm::VmTypeFactory*> vm_types() override { return {&vm_type_}; }
  void census(std::map<std::string, std::string>& into) override {
    into["rmm granules"] = fmt::format("{}", rmm_.granules());
  }

 private:
  static std::vector<hw::RootPort*> root_ports(const PlatformParts& parts) {
    std::vector<hw::RootPort*> ports;
    for (const auto& port : parts.root_ports) ports.push_back(port.get());
    return ports;
  }

  rmm::Rmm rmm_;
  kvm::RealmHost host_;
  kvm::RealmVmFactory vm_type_;
  tsm::CcaDriver driver_;
};

}  // namespace

Result<std::unique_ptr<Platform>> make_cca_platform(const PlatformParts& parts) {
  return std::unique_ptr<Platform>(std::make_unique<CcaPlatform>(parts));
}

}  // namespace teeio::machine
