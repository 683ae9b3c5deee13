#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::hw {

/// Fault reasons that this IOMMU reports. Source: Intel VT-d spec 7.1.3, table
/// "DMA remapping fault conditions" (scalable mode); Linux drivers/iommu/intel/dmar.c,
/// dma_remap_sm_fault_reasons[].
enum class FaultReason : std::uint16_t {
  kRootTableAddress = 0x30,
  kRootEntryAccess = 0x38,
  kRootEntryNotPresent = 0x39,
  kContextEntryAccess = 0x40,
  kContextEntryNotPresent = 0x41,
  kPasidNotEnabled = 0x45,
  kPasidBeyondDirectory = 0x46,
  kPasidDirectoryAccess = 0x50,
  kPasidDirectoryNotPresent = 0x51,
  kPasidEntryAccess = 0x58,
  kPasidEntryNotPresent = 0x59,
  kPasidEntryInvalid = 0x5b,
  kFirstStageAccess = 0x70,
  kFirstStageNotPresent = 0x71,
  kFirstStageReserved = 0x72,
  kFirstStageTopAccess = 0x73,
  kFirstStageBeyondWidth = 0x74,
  kFirstStageTopReadPermission = 0x75,
  kFirstStageReadPermission = 0x76,
  kFirstStageWritePermission = 0x77,
  kSecondStageAccess = 0x78,
  kSecondStagePermission = 0x79,
  kSecondStageReserved = 0x7a,
  kNotCanonical = 0x80,
  kSupervisorOnly = 0x81,
  kAddressBeyondWidth = 0x83,
  kFirstStageNoWrite = 0x85,
  kInterruptAddress = 0x87,
};

/// A fixed sentence for logs.
[[nodiscard]] std::string_view fault_text(FaultReason reason);

}  // namespace teeio::hw
