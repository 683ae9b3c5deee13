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
    case FaultReason::kSecondStageAccess:
      return "second-stage entry cannot be read";
    case FaultReason::kSecondStagePermission:
      return "second-stage entry does not permit the access";
    case FaultReason::kSecondStageReserved:
      return "second-stage entry has reserved bits set";
    case FaultReason::kAddressBeyondWidth:
      return "address is beyond the domain's width";
    case FaultReason::kInterruptAddress:
      return "the interrupt range cannot be read";
  }
  return "?";
}

}  // namespace teeio::hw
