#include "hw/vtd/iommu_fault.h"

namespace teeio::hw {

std::string_view fault_text(FaultReason reason) {
  switch (reason) {
    case FaultReason::kRootTableAddress:
      return "no root table is set for this side";
    case FaultReason::kRootEntryAccess:
      return "root entry cannot be read";
    case FaultReason::kRootEntryNotPresent:
      return "root entry is not present";
    case FaultReason::kContextEntryAccess:
      return "context entry cannot be read";
    case FaultReason::kContextEntryNotPresent:
      return "context entry is not present";
    case FaultReason::kPasidNotEnabled:
      return "requests with PASID are not enabled in the context entry";
    case FaultReason::kPasidBeyondDirectory:
      return "PASID is beyond the PASID directory";
    case FaultReason::kPasidDirectoryAccess:
      return "PASID directory entry cannot be read";
    case FaultReason::kPasidDirectoryNotPresent:
      return "PASID directory entry is not present";
    case FaultReason::kPasidEntryAccess:
      return "PASID table entry cannot be read";
    case FaultReason::kPasidEntryNotPresent:
      return "PASID table entry is not present";
    case FaultReason::kPasidEntryInvalid:
      return "PASID table entry is invalid";
    case FaultReason::kFirstStageAccess:
      return "first-stage entry cannot be read";
    case FaultReason::kFirstStageNotPresent:
      return "first-stage entry is not present";
    case FaultReason::kFirstStageReserved:
      return "first-stage entry has reserved bits set";
    case FaultReason::kFirstStageTopAccess:
      return "top first-stage entry cannot be read";
    case FaultReason::kFirstStageBeyondWidth:
      return "first-stage entry's address is beyond the second stage's width";
    case FaultReason::kFirstStageTopReadPermission:
      return "second stage does not let the top first-stage entry be read";
    case FaultReason::kFirstStageReadPermission:
      return "second stage does not let a first-stage entry be read";
    case FaultReason::kFirstStageWritePermission:
      return "second stage does not let a first-stage entry's accessed or dirty bit be written";
    case FaultReason::kSecondStageAccess:
      return "second-stage entry cannot be read";
    case FaultReason::kSecondStagePermission:
      return "second-stage entry does not permit the access";
    case FaultReason::kSecondStageReserved:
      return "second-stage entry has reserved bits set";
    case FaultReason::kNotCanonical:
      return "address is not canonical for the first stage";
    case FaultReason::kSupervisorOnly:
      return "first-stage entry is for supervisor requests";
    case FaultReason::kAddressBeyondWidth:
      return "address is beyond the domain's width";
    case FaultReason::kFirstStageNoWrite:
      return "first-stage entry does not permit the write";
    case FaultReason::kInterruptAddress:
      return "the interrupt range cannot be read";
  }
  return "?";
}

}  // namespace teeio::hw
