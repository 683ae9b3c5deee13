#include "firmware/tdx/status.h"

namespace teeio::tdx {

std::string_view code_name(Code code) {
  switch (code) {
#define TDX_CODE(enumerator, text) \
  case Code::enumerator:           \
    return text
    TDX_CODE(kSuccess, "TDX_SUCCESS");
    TDX_CODE(kInterruptedResumable, "TDX_INTERRUPTED_RESUMABLE");
    TDX_CODE(kOperandInvalid, "TDX_OPERAND_INVALID");
    TDX_CODE(kOperandAddrRangeError, "TDX_OPERAND_ADDR_RANGE_ERROR");
    TDX_CODE(kOperandBusy, "TDX_OPERAND_BUSY");
    TDX_CODE(kPreviousTlbEpochBusy, "TDX_PREVIOUS_TLB_EPOCH_BUSY");
    TDX_CODE(kRndNoEntropy, "TDX_RND_NO_ENTROPY");
    TDX_CODE(kBusyHostPriority, "TDX_OPERAND_BUSY_HOST_PRIORITY");
    TDX_CODE(kPageMetadataIncorrect, "TDX_PAGE_METADATA_INCORRECT");
    TDX_CODE(kTdAssociatedPagesExist, "TDX_TD_ASSOCIATED_PAGES_EXIST");
    TDX_CODE(kTdFatal, "TDX_TD_FATAL");
    TDX_CODE(kTdcsNotAllocated, "TDX_TDCS_NOT_ALLOCATED");
    TDX_CODE(kLifecycleStateIncorrect, "TDX_LIFECYCLE_STATE_INCORRECT");
    TDX_CODE(kOpStateIncorrect, "TDX_OP_STATE_INCORRECT");
    TDX_CODE(kNoVcpus, "TDX_NO_VCPUS");
    TDX_CODE(kTdcxNumIncorrect, "TDX_TDCX_NUM_INCORRECT");
    TDX_CODE(kX2apicIdNotUnique, "TDX_X2APIC_ID_NOT_UNIQUE");
    TDX_CODE(kVcpuStateIncorrect, "TDX_VCPU_STATE_INCORRECT");
    TDX_CODE(kVcpuAssociated, "TDX_VCPU_ASSOCIATED");
    TDX_CODE(kVcpuNotAssociated, "TDX_VCPU_NOT_ASSOCIATED");
    TDX_CODE(kMaxVcpusExceeded, "TDX_MAX_VCPUS_EXCEEDED");
    TDX_CODE(kTdKeysNotConfigured, "TDX_TD_KEYS_NOT_CONFIGURED");
    TDX_CODE(kWbcacheNotComplete, "TDX_WBCACHE_NOT_COMPLETE");
    TDX_CODE(kHkidNotFree, "TDX_HKID_NOT_FREE");
    TDX_CODE(kNoHkidReadyToWbcache, "TDX_NO_HKID_READY_TO_WBCACHE");
    TDX_CODE(kFlushvpNotDone, "TDX_FLUSHVP_NOT_DONE");
    TDX_CODE(kInconsistentMsr, "TDX_INCONSISTENT_MSR");
    TDX_CODE(kEptWalkFailed, "TDX_EPT_WALK_FAILED");
    TDX_CODE(kEptEntryNotPresent, "TDX_EPT_ENTRY_NOT_PRESENT");
    TDX_CODE(kGpaRangeNotBlocked, "TDX_GPA_RANGE_NOT_BLOCKED");
    TDX_CODE(kGpaRangeAlreadyBlocked, "TDX_GPA_RANGE_ALREADY_BLOCKED");
    TDX_CODE(kTlbTrackingNotDone, "TDX_TLB_TRACKING_NOT_DONE");
    TDX_CODE(kPageAlreadyAccepted, "TDX_PAGE_ALREADY_ACCEPTED");
    TDX_CODE(kPageSizeMismatch, "TDX_PAGE_SIZE_MISMATCH");
    TDX_CODE(kEptEntryStateIncorrect, "TDX_EPT_ENTRY_STATE_INCORRECT");
    TDX_CODE(kEptPageNotFree, "TDX_EPT_PAGE_NOT_FREE");
    TDX_CODE(kIommuInvalidState, "TDX_IOMMU_INVALID_STATE");
    TDX_CODE(kIqQueueFull, "TDX_IOMMU_IQ_QUEUE_FULL");
    TDX_CODE(kRpNotConfigured, "TDX_IOMMU_RP_NOT_CONFIGURED");
    TDX_CODE(kIotlbTrackingNotDone, "TDX_IOMMU_IOTLB_TRACKING_NOT_DONE");
    TDX_CODE(kRpIdeMustBeDisabled, "TDX_IOMMU_RP_IDE_MUST_BE_DISABLED");
    TDX_CODE(kSpdmHasActiveIdeStreams, "TDX_SPDM_HAS_ACTIVE_IDE_STREAMS");
    TDX_CODE(kSpdmInvalidState, "TDX_SPDM_INVALID_STATE");
    TDX_CODE(kDmarInvalidMappingState, "TDX_DMAR_INVALID_MAPPING_STATE");
    TDX_CODE(kDmarInvalidInvState, "TDX_DMAR_INVALID_INV_STATE");
    TDX_CODE(kDevifPkhMismatch, "TDX_DEVIF_PKH_MISMATCH");
    TDX_CODE(kDevifAlreadyValid, "TDX_DEVIF_ALREADY_VALID");
    TDX_CODE(kTdispInvalidReqSts, "TDX_DEVIF_TDISP_INVALID_REQ_STS");
    TDX_CODE(kTdispInvalidMessage, "TDX_DEVIF_TDISP_INVALID_MESSAGE");
    TDX_CODE(kTdispInvalidState, "TDX_DEVIF_TDISP_INVALID_STATE");
    TDX_CODE(kDevifInvalidState, "TDX_DEVIF_INVALID_STATE");
    TDX_CODE(kDevifHasMappedMmio, "TDX_DEVIF_HAS_MAPPED_MMIO");
    TDX_CODE(kTdispOutReq, "TDX_DEVIF_TDISP_OUT_REQ");
    TDX_CODE(kIdeStreamNotFree, "TDX_IDE_STREAM_NOT_FREE");
    TDX_CODE(kIdeStreamNotSupported, "TDX_IDE_STREAM_NOT_SUPPORTED");
    TDX_CODE(kIdeStreamNotConfigured, "TDX_IDE_STREAM_NOT_CONFIGURED");
    TDX_CODE(kIdeStreamBlocked, "TDX_IDE_STREAM_BLOCKED");
    TDX_CODE(kIdeStreamNotBlocked, "TDX_IDE_STREAM_NOT_BLOCKED");
    TDX_CODE(kIdeStreamAddrOverlap, "TDX_IDE_STREAM_ADDR_OVERLAP");
    TDX_CODE(kIdeStreamRidOverlap, "TDX_IDE_STREAM_RID_OVERLAP");
    TDX_CODE(kIdeStreamHasDeviceInterfaces, "TDX_IDE_STREAM_HAS_DEVICE_INTERFACES");
    TDX_CODE(kIdeKmOutReq, "TDX_IDE_STREAM_IDEKM_OUTREQ");
    TDX_CODE(kIdeKmKeysNotReady, "TDX_IDE_STREAM_IDEKM_KEYS_NOT_READY");
    TDX_CODE(kIdeKmInvalidResponse, "TDX_IDE_STREAM_IDEKM_INVALID_RESPONSE");
    TDX_CODE(kIdeStreamInvalidState, "TDX_IDE_STREAM_INVALID_STATE");
    TDX_CODE(kMmioInvalidPageMetadata, "TDX_MMIO_INVALID_PAGE_METADATA");
    TDX_CODE(kMmioAcceptSizeMismatch, "TDX_MMIO_ACCEPT_SIZE_MISMATCH");
    TDX_CODE(kMmioDevifOwnerMismatch, "TDX_MMIO_DEVIF_OWNER_MISMATCH");
    TDX_CODE(kDmarIndexOutOfBounds, "TDX_DMAR_INDEX_OUT_OF_BOUNDS");
    TDX_CODE(kDmarEntryNotPresent, "TDX_DMAR_ENTRY_NOT_PRESENT");
    TDX_CODE(kTdHasAttachedDevices, "TDX_TD_HAS_ATTACHED_DEVICES");
    TDX_CODE(kIotlbTrackingNotRequired, "TDX_IOMMU_IOTLB_TRACKING_NOT_REQUIRED");
    TDX_CODE(kIommuMtPageInUse, "TDX_IOMMU_MT_PAGE_IN_USE");
    TDX_CODE(kKcbMustBeDisabled, "TDX_IOMMU_KCB_MUST_BE_DISABLED");
    TDX_CODE(kDevifHasMappedDma, "TDX_DEVIF_HAS_MAPPED_DMA");
    TDX_CODE(kDevifmtNotPresent, "TDX_DEVIFMT_NOT_PRESENT");
    TDX_CODE(kDevifInvalidMetadata, "TDX_DEVIF_INVALID_METADATA");
    TDX_CODE(kDevifmtAlreadyPresent, "TDX_DEVIFMT_ALREADY_PRESENT");
    TDX_CODE(kSpdmEntryAlreadyPresent, "TDX_SPDM_ENTRY_ALREADY_PRESENT");
    TDX_CODE(kSpdmEntryNotPresent, "TDX_SPDM_ENTRY_NOT_PRESENT");
    TDX_CODE(kSpdmSessionKeyRequireRefresh, "TDX_SPDM_SESSION_KEY_REQUIRE_REFRESH");
    TDX_CODE(kMmiomtNotPresent, "TDX_MMIOMT_NOT_PRESENT");
    TDX_CODE(kDevifInvalidTdiConfiguration, "TDX_DEVIF_INVALID_TDI_CONFIGURATION");
    TDX_CODE(kTdispErrorState, "TDX_DEVIF_TDISP_ERROR_STATE");
    TDX_CODE(kMmioInvalidHpaOffset, "TDX_MMIO_INVALID_HPA_OFFSET");
    TDX_CODE(kSpdmInvalidMessage, "TDX_SDPM_INVALID_MESSAGE");  // the source's spelling
    TDX_CODE(kIommuEcmdTimeout, "TDX_IOMMU_ECMD_TIMEOUT");
    TDX_CODE(kGuestInvNotRequired, "TDX_GUEST_INV_NOT_REQUIRED");
    TDX_CODE(kGuestInvInProgress, "TDX_GUEST_INV_IN_PROGRESS");
    TDX_CODE(kGuestInvInvalidDesc, "TDX_GUEST_INV_INVALID_DESC");
    TDX_CODE(kSpdmRequest, "TDX_SPDM_REQUEST");
    TDX_CODE(kInvalidReportmacstruct, "TDX_INVALID_REPORTMACSTRUCT");
#undef TDX_CODE
  }
  return "TDX_UNKNOWN";
}

std::string_view operand_name(Operand which) {
  switch (which) {
    case Operand::kRax:
      return "RAX";
    case Operand::kRcx:
      return "RCX";
    case Operand::kRdx:
      return "RDX";
    case Operand::kR8:
      return "R8";
    case Operand::kR9:
      return "R9";
    case Operand::kR10:
      return "R10";
    case Operand::kR11:
      return "R11";
    case Operand::kR12:
      return "R12";
    case Operand::kR13:
      return "R13";
    case Operand::kR14:
      return "R14";
    case Operand::kR15:
      return "R15";
    case Operand::kAttributes:
      return "ATTRIBUTES";
    case Operand::kMaxVcpus:
      return "MAX_VCPUS";
    case Operand::kTdr:
      return "TDR";
    case Operand::kTdcx:
      return "TDCX";
    case Operand::kTdvpr:
      return "TDVPR";
    case Operand::kKot:
      return "KOT";
    case Operand::kWbcache:
      return "WBCACHE";
    case Operand::kOpState:
      return "OP_STATE";
    case Operand::kSeptTree:
      return "SEPT_TREE";
    case Operand::kSeptEntry:
      return "SEPT_ENTRY";
    case Operand::kRtmr:
      return "RTMR";
    case Operand::kTdEpoch:
      return "TD_EPOCH";
    case Operand::kExtension:
      return "EXTENSION";
    case Operand::kNumber:
      return "a number";
    case Operand::kMmiomt:
      return "MMIOMT";
    case Operand::kDmar:
      return "DMAR";
  }
  return "?";
}

std::string_view Status::name() const { return code_name(code_); }

}  // namespace teeio::tdx
