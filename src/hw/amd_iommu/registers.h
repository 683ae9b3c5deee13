#pragma once

#include <cstdint>

/// Registers and record formats, as far as the model has them.
/// Source: AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2 to 2.5
/// and 3.4; the numbers as Linux drivers/iommu/amd/amd_iommu_types.h has them.
namespace teeio::hw::amd {

// MMIO registers, 8 bytes each.
inline constexpr std::uint32_t kDeviceTable = 0x0000;  ///< 51:12 base, 8:0 4-KiB pages less one
inline constexpr std::uint32_t kCommandBase = 0x0008;  ///< 51:12 base, 59:56 log2 of entries
inline constexpr std::uint32_t kEventBase = 0x0010;    ///< as kCommandBase
inline constexpr std::uint32_t kControl = 0x0018;
inline constexpr std::uint32_t kExtendedFeatures = 0x0030;
inline constexpr std::uint32_t kExtendedFeatures2 = 0x01a0;
inline constexpr std::uint32_t kCommandHead = 0x2000;
inline constexpr std::uint32_t kCommandTail = 0x2008;
inline constexpr std::uint32_t kEventHead = 0x2010;
inline constexpr std::uint32_t kEventTail = 0x2018;
inline constexpr std::uint32_t kStatus = 0x2020;

// kControl
inline constexpr std::uint64_t kIommuEnable = 1U << 0U;
inline constexpr std::uint64_t kEventLogEnable = 1U << 2U;
inline constexpr std::uint64_t kCommandEnable = 1U << 12U;

// kStatus
inline constexpr std::uint64_t kEventOverflow = 1U << 0U;  ///< write 1 to clear, as the next two
inline constexpr std::uint64_t kEventInterrupt = 1U << 1U;
inline constexpr std::uint64_t kCompletionInterrupt = 1U << 2U;
inline constexpr std::uint64_t kEventLogRunning = 1U << 3U;
inline constexpr std::uint64_t kCommandRunning = 1U << 4U;

// kExtendedFeatures and kExtendedFeatures2
inline constexpr std::uint64_t kInvalidateAllSupported = 1U << 6U;
inline constexpr std::uint64_t kHostSixLevels = 2U << 10U;  ///< HATS
/// HASup and HDSup: accessed and dirty bits of host page tables.
inline constexpr std::uint64_t kHostAccessed = std::uint64_t{1} << 49U;
inline constexpr std::uint64_t kHostDirty = std::uint64_t{1} << 52U;
inline constexpr std::uint64_t kSnpSupported = std::uint64_t{1} << 63U;
inline constexpr std::uint64_t kSevTioSupported = 1U << 1U;  ///< in the second register

inline constexpr std::uint64_t kAddressField = 0x000f'ffff'ffff'f000;  ///< 51:12, everywhere

// Device table entries: four words.
inline constexpr std::uint64_t kDteBytes = 32;
inline constexpr std::uint64_t kDteValid = 1U << 0U;
inline constexpr std::uint64_t kDteTranslationValid = 1U << 1U;
inline constexpr std::uint64_t kDteTracksDirty = 3U
                                                 << 7U;  ///< HAD: accessed and dirty bits are set
inline constexpr unsigned kDteMode = 9;  ///< 11:9, levels of the page table; 0 none, 7 reserved
inline constexpr std::uint64_t kDteRead = std::uint64_t{1} << 61U;
inline constexpr std::uint64_t kDteWrite = std::uint64_t{1} << 62U;
/// Bits of the first word that must be zero: 6:2 and 63.
inline constexpr std::uint64_t kDteReserved = 0x7cU | std::uint64_t{1} << 63U;
/// PPR, GPRP, GIoV, GV, GLX and GCR3: features that this IOMMU has not.
inline constexpr std::uint64_t kDteGuestFields = std::uint64_t{0x1ff} << 52U;

// Page table entries.
inline constexpr std::uint64_t kPtePresent = 1U << 0U;
inline constexpr std::uint64_t kPteAccessed = 1U << 5U;
inline constexpr std::uint64_t kPteDirty = 1U << 6U;
inline constexpr unsigned kPteNextLevel = 9;  ///< 11:9; 0 and 7 are pages
inline constexpr std::uint64_t kPteForceCoherent = std::uint64_t{1} << 60U;
inline constexpr std::uint64_t kPteRead = kDteRead;
inline constexpr std::uint64_t kPteWrite = kDteWrite;
inline constexpr std::uint64_t kPteReserved = std::uint64_t{0x7f} << 52U;  ///< 58:52
inline constexpr unsigned kNextLevelSized = 7;  ///< the page's size is in its address

// Commands: opcode in 31:28 of the second dword.
inline constexpr std::uint64_t kCommandBytes = 16;
enum class Command : std::uint8_t {
  kCompletionWait = 1,
  kInvalidateDevtabEntry = 2,
  kInvalidateIommuPages = 3,
  kInvalidateIotlbPages = 4,
  kInvalidateInterruptTable = 5,
  kInvalidateIommuAll = 8,
};
/// COMPLETION_WAIT: store the data at the address.
inline constexpr std::uint32_t kWaitStore = 1U << 0U;
inline constexpr std::uint32_t kWaitInterrupt = 1U << 1U;
/// INVALIDATE_IOMMU_PAGES: the lowest zero bit from 12 on says the size.
inline constexpr std::uint32_t kPagesSized = 1U << 0U;
inline constexpr std::uint32_t kPagesTables = 1U << 1U;  ///< page directories too (PDE)

// Event log entries: code in 31:28 of the second dword, flags in 27:16.
inline constexpr std::uint64_t kEventBytes = 16;
enum class Event : std::uint8_t {
  kIllegalDeviceTableEntry = 1,
  kIoPageFault = 2,
  kDeviceTableHardwareError = 3,
  kPageTableHardwareError = 4,
  kIllegalCommandError = 5,
  kCommandHardwareError = 6,
  kIotlbInvalidationTimeout = 7,
  kInvalidDeviceRequest = 8,
  kRmpPageFault = 13,
};
// Flags, from bit 16 of the second dword on.
inline constexpr std::uint16_t kFlagPresent = 0x010;      ///< PR
inline constexpr std::uint16_t kFlagWrite = 0x020;        ///< RW
inline constexpr std::uint16_t kFlagPermission = 0x040;   ///< PE, with PR
inline constexpr std::uint16_t kFlagReserved = 0x080;     ///< RZ: a reserved bit is not zero
inline constexpr std::uint16_t kFlagTranslation = 0x100;  ///< TR

}  // namespace teeio::hw::amd
