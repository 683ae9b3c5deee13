#pragma once

#include <cstdint>

namespace teeio::vfio {

// The registers of config space that VFIO looks at. Source: PCIe Base Spec 7.5;
// names as Linux include/uapi/linux/pci_regs.h without the prefix.
inline constexpr std::uint16_t kCommand = 0x04;
inline constexpr std::uint16_t kBar0 = 0x10;
inline constexpr std::uint16_t kRomBar = 0x30;
inline constexpr std::uint32_t kCommandMemory = 1U << 1U;
inline constexpr std::uint32_t kCommandMaster = 1U << 2U;

inline constexpr std::uint8_t kCapabilityPm = 0x01;
inline constexpr std::uint16_t kPmControl = 4;
inline constexpr std::uint32_t kPmStateMask = 3;

inline constexpr std::uint8_t kCapabilityMsix = 0x11;
inline constexpr std::uint16_t kMsixControl = 2;

inline constexpr std::uint16_t kPcieDeviceCapabilities = 4;
inline constexpr std::uint32_t kDevCapFlr = 1U << 28U;
inline constexpr std::uint16_t kPcieDeviceControl = 8;
inline constexpr std::uint32_t kDevControlFlr = 1U << 15U;

}  // namespace teeio::vfio
