#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "hw/config_space.h"
#include "hw/pci_function.h"

namespace teeio::hw {

// Registers of every function and of capabilities that most have. Source: PCIe
// Base Spec 7.5.1 (headers), 7.5.2 (power management), 7.5.3 (PCI Express).

inline constexpr std::uint8_t kCapabilityPowerManagement = 0x01;

inline constexpr std::uint16_t kCommand = 0x04;
inline constexpr std::uint16_t kCommandIoSpace = 0x0001;
inline constexpr std::uint16_t kCommandMemorySpace = 0x0002;
inline constexpr std::uint16_t kCommandBusMaster = 0x0004;
inline constexpr std::uint16_t kCommandIntxDisable = 0x0400;
inline constexpr std::uint16_t kFirstBar = 0x10;
inline constexpr std::uint16_t kRomBar = 0x30;
inline constexpr std::uint32_t kRomEnable = 1;
inline constexpr std::uint16_t kInterruptLine = 0x3c;
inline constexpr std::uint16_t kInterruptPin = 0x3d;

/// Offsets in the PCI Express capability.
inline constexpr std::uint16_t kExpressDeviceCapabilities = 0x04;
inline constexpr std::uint16_t kExpressDeviceControl = 0x08;
inline constexpr std::uint32_t kDeviceCapabilityFlr = 0x1000'0000;
inline constexpr std::uint32_t kDeviceCapabilityTeeIo = 0x4000'0000;
inline constexpr std::uint16_t kDeviceControlFlr = 0x8000;

/// Offset of the control and status register in the power management capability.
inline constexpr std::uint16_t kPowerControl = 0x04;

struct Identity {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;  ///< base class 23:16, sub-class, programming interface
  std::uint8_t revision = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem = 0;
  bool multi_function = false;
};

/// A type 0 header: command, status, and BARs that can be sized by writing ones.
/// A VF's BARs read as zero (its PF's SR-IOV capability has them): pass none.
void add_endpoint_header(ConfigSpace& config, const Identity& identity, std::span<const Bar> bars);
/// The expansion ROM's register of such a header.
void add_rom_bar(ConfigSpace& config, const Bar& rom);

struct BridgeRange {
  std::uint64_t base = 0;  ///< of 1 MiB granularity
  std::uint64_t last = 0;  ///< last byte; base = last = 0: closed
};
struct BridgeHeader {
  Identity identity;
  std::uint8_t primary = 0, secondary = 0, subordinate = 0;
  BridgeRange memory;        ///< below 4 GiB
  BridgeRange io;            ///< of 4 KiB granularity
  BridgeRange prefetchable;  ///< 64-bit
};
/// A type 1 header.
void add_bridge_header(ConfigSpace& config, const BridgeHeader& header);

/// The memory and the prefetchable window that a bridge's registers have open, in this order;
/// none for another function.
[[nodiscard]] std::vector<BridgeRange> bridge_windows(PciFunction& bridge);
/// The I/O window that they have open.
[[nodiscard]] std::optional<BridgeRange> bridge_io_window(PciFunction& bridge);

/// D0 and D3hot, without soft reset. Gives the capability's offset.
std::uint16_t add_power_management(ConfigSpace& config);

/// Bits 7:4 of the PCI Express capabilities register: 7.5.3.2.
enum class ExpressType : std::uint8_t {
  kEndpoint = 0,
  kRootPort = 4,
  kUpstreamPort = 5,
  kIntegratedEndpoint = 9,
};
struct ExpressOptions {
  ExpressType type = ExpressType::kEndpoint;
  bool function_level_reset = false;
  bool tee_io = false;  ///< TDISP, in Device Capabilities
};
/// Version 2, 32 GT/s x16, 256-byte payloads. Gives the capability's offset. The
/// FLR bit of Device Control is not kept: flr_requested() sees it in the write.
std::uint16_t add_pci_express(ConfigSpace& config, const ExpressOptions& options);

/// Source: Linux drivers/pci/iov.c, sriov_enable() and sriov_disable(): a number of VFs
/// and their memory on; with 0 they are off. Precondition: a PF, fewer than its TotalVFs,
/// and one of the numbers is 0.
void set_virtual_functions(PciFunction& pf, std::uint16_t count);

/// Whether a config write of `size_bytes` at `offset` starts a function-level
/// reset of a function whose PCI Express capability is at `express`.
[[nodiscard]] bool flr_requested(std::uint16_t express, std::uint16_t offset, unsigned size_bytes,
                                 std::uint32_t value);

}  // namespace teeio::hw
