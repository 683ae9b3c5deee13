#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "entry/vendor_node.h"
#include "host/iommu/iommu.h"
#include "host/kvm/kvm.h"
#include "host/pci_tsm/driver.h"
#include "hw/cpu.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "hw/root_port.h"
#include "machine/config.h"
#include "object/trace.h"

namespace teeio::machine {

/// What a platform is made on.
struct PlatformParts {
  const Config& config;
  hw::PhysicalMemory& memory;
  object::Trace& trace;
};
using RootPorts = std::vector<std::unique_ptr<hw::RootPort>>;

/// A vendor's own part of a machine: IOMMUs, CPUs, firmware, VM types, drivers.
///
/// Lifetime: what it was made on outlives it; what it gives lives as long as it.
/// Locking: made and booted by one task; what it gives has its own.
class Platform {
 public:
  virtual ~Platform() = default;

  /// Config::iommus of them, from construction on.
  [[nodiscard]] virtual hw::Iommu& iommu(std::uint32_t id) = 0;
  /// Firmware comes up, with everything plugged in that it knows of. Called once,
  /// before what follows. Errors: the firmware's, as Linux's errnos.
  virtual Result<void> boot(const RootPorts& ports) = 0;
  /// What answers CPUs' private accesses to a function's BAR: `device`, or what stands
  /// before it on the way. Lives as long as the platform; null for a null `device`.
  [[nodiscard]] virtual hw::MmioTarget* trusted_mmio(Bdf /*function*/, std::uint32_t /*iommu*/,
                                                     hw::MmioTarget* device) {
    return device;
  }
  /// The kernel's driver of an IOMMU. Errors: ENOMEM.
  virtual Result<std::unique_ptr<iommu::Iommu>> iommu_driver(std::uint32_t id) = 0;
  /// What runs guests' code; null: nothing does.
  [[nodiscard]] virtual std::unique_ptr<hw::CpuFactory> cpu_factory() { return nullptr; }
  /// VM types beyond KVM's own.
  [[nodiscard]] virtual std::vector<kvm::VmTypeFactory*> vm_types() { return {}; }
  /// Null: the machine has no TSM.
  [[nodiscard]] virtual tsm::Driver* driver() { return nullptr; }
  /// Nodes of /dev of the vendor's own.
  [[nodiscard]] virtual std::vector<entry::VendorNode*> nodes() { return {}; }
  /// What `--inject firmware:` can name; empty where nothing of the firmware's can be made fail.
  [[nodiscard]] virtual std::vector<std::string_view> firmware_commands() const { return {}; }
  /// Which of its variants the firmware is, as the machine file says it; empty: it has none.
  [[nodiscard]] virtual std::string_view variant() const { return {}; }
  /// Pages that the firmware has and other counters of its own.
  virtual void census(std::map<std::string, std::string>& /*into*/) {}
};

}  // namespace teeio::machine
