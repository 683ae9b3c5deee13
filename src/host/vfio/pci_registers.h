#pragma once

#include <cstdint>

namespace teeio::vfio {

// The registers of config space that VFIO looks at. Source: PCIe Base Spec 7.5;
// names as Linux include/uapi/linux/pci_regs.h without the prefix.
inline constexpr std::uint16_t kCommand = 0x04;
inline constexpr std::uint16_t kStatus = 0x06;
inline constexpr std::uint16_t kBar0 = 0x10;
inline constexpr std::uint16_t kRomBar = 0x30;
inline constexpr std::uint32_t kRomEnable = 1;
inline constexpr std::uint16_t kCapabilitiesPointer = 0x34;
inline constexpr std::uint16_t kInterruptLine = 0x3c;
inline constexpr std::uint16_t kInterruptPin = 0x3d;
inline constexpr std::uint16_t kHeaderBytes = 0x40;
inline constexpr std::uint32_t kCommandIo = 1U << 0U;
inline constexpr std::uint32_t kCommandMemory = 1U << 1U;
inline constexpr std::uint32_t kCommandMaster = 1U << 2U;
inline constexpr std::uint32_t kCommandIntxDisable = 1U << 10U;
inline constexpr std::uint32_t kStatusCapabilities = 1U << 4U;

inline constexpr std::uint8_t kCapabilityPm = 0x01;
inline constexpr std::uint16_t kPmCapabilities = 2;
inline constexpr std::uint32_t kPmePossible = 0xf800;
inline constexpr std::uint32_t kPmD1 = 1U << 9U;
inline constexpr std::uint32_t kPmD2 = 1U << 10U;
inline constexpr std::uint16_t kPmControl = 4;
inline constexpr std::uint32_t kPmStateMask = 3;
inline constexpr std::uint32_t kPmeEnable = 1U << 8U;
inline constexpr std::uint32_t kPmeStatus = 1U << 15U;

inline constexpr std::uint8_t kCapabilityMsi = 0x05;
inline constexpr std::uint16_t kMsiFlags = 2;
inline constexpr std::uint16_t kMsiAddress = 4;
inline constexpr std::uint32_t kMsiEnable = 1U << 0U;
inline constexpr std::uint32_t kMsiPossible = 7U << 1U;
inline constexpr std::uint32_t kMsiChosen = 7U << 4U;
inline constexpr std::uint32_t kMsi64Bit = 1U << 7U;
inline constexpr std::uint32_t kMsiMaskable = 1U << 8U;

inline constexpr std::uint8_t kCapabilityMsix = 0x11;
inline constexpr std::uint16_t kMsixControl = 2;
inline constexpr std::uint16_t kMsixTable = 4;
inline constexpr std::uint32_t kMsixTableSize = 0x7ff;
inline constexpr std::uint32_t kMsixBarMask = 7;
inline constexpr std::uint32_t kMsixEntryBytes = 16;

inline constexpr std::uint16_t kPcieDeviceCapabilities = 4;
inline constexpr std::uint32_t kDevCapFlr = 1U << 28U;
inline constexpr std::uint16_t kPcieDeviceControl = 8;
inline constexpr std::uint32_t kDevControlPayload = 7U << 5U;
inline constexpr std::uint32_t kDevControlPhantom = 1U << 9U;
inline constexpr std::uint32_t kDevControlReadRequest = 7U << 12U;
inline constexpr std::uint32_t kDevControlFlr = 1U << 15U;
inline constexpr std::uint16_t kPcieDeviceControl2 = 0x28;
inline constexpr std::uint32_t kDevControl2Ari = 1U << 5U;

inline constexpr std::uint16_t kAfCapabilities = 3;
inline constexpr std::uint32_t kAfFlrAndPending = 3;
inline constexpr std::uint16_t kAfControl = 4;

inline constexpr std::uint16_t kExtendedSriov = 0x10;
inline constexpr std::uint16_t kSriovControl = 0x08;
inline constexpr std::uint32_t kSriovVfEnable = 1;
inline constexpr std::uint16_t kSriovVfDevice = 0x1a;

}  // namespace teeio::vfio
