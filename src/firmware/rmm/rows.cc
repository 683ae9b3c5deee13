#include "firmware/rmm/rows.h"

#include <utility>

namespace teeio::rmm {

std::span<const Row* const> rows() {
  static constexpr const Row* kRows[] = {&row::kPdevCreate,
                                         &row::kPdevCommunicate,
                                         &row::kPdevGetState,
                                         &row::kPdevSetPubkey,
                                         &row::kPdevStreamConnect,
                                         &row::kPdevStreamComplete,
                                         &row::kPdevStreamDisconnect,
                                         &row::kPdevStreamKeyRefresh,
                                         &row::kPdevStreamKeyPurge,
                                         &row::kPdevStop,
                                         &row::kPdevAbort,
                                         &row::kPdevDestroy,
                                         &row::kVdevCreate,
                                         &row::kVdevCommunicate,
                                         &row::kVdevGetState,
                                         &row::kVdevLock,
                                         &row::kVdevStart,
                                         &row::kVdevGetMeasurements,
                                         &row::kVdevGetInterfaceReport,
                                         &row::kVdevComplete,
                                         &row::kVdevUnlock,
                                         &row::kVdevAbort,
                                         &row::kVdevDestroy,
                                         &row::kPsmmuActivate,
                                         &row::kPsmmuDeactivate,
                                         &row::kPsmmuStL2Create,
                                         &row::kPsmmuStL2Destroy,
                                         &row::kRttDevMap,
                                         &row::kRttDevUnmap,
                                         &row::kRttDevValidate,
                                         &row::kOpContinue,
                                         &row::kOpMemDonate,
                                         &row::kOpMemReclaim,
                                         &row::kOpCancel,
                                         &row::kRsiVdevGetInfo,
                                         &row::kRsiVdevValidateMapping,
                                         &row::kRsiVdevDmaEnable,
                                         &row::kRsiVdevDmaDisable,
                                         &row::kRsiIpaStateSet,
                                         &row::kRsiVersion,
                                         &row::kRsiFeatures,
                                         &row::kRsiMeasurementRead,
                                         &row::kRsiMeasurementExtend,
                                         &row::kRsiAttestTokenInit,
                                         &row::kRsiAttestTokenContinue,
                                         &row::kRsiRealmConfig,
                                         &row::kRsiIpaStateGet,
                                         &row::kRsiHostCall,
                                         &row::kPsciVersion,
                                         &row::kPsciCpuSuspend,
                                         &row::kPsciCpuOff,
                                         &row::kPsciCpuOn,
                                         &row::kPsciAffinityInfo,
                                         &row::kPsciSystemOff,
                                         &row::kPsciSystemReset,
                                         &row::kPsciFeatures,
                                         &row::kGranuleRangeDelegate,
                                         &row::kGranuleRangeUndelegate,
                                         &row::kRealmCreate,
                                         &row::kRealmActivate,
                                         &row::kRealmTerminate,
                                         &row::kRealmDestroy,
                                         &row::kRecCreate,
                                         &row::kRecDestroy,
                                         &row::kRecEnter,
                                         &row::kPsciComplete,
                                         &row::kRttDataMapInit,
                                         &row::kRttDataMap,
                                         &row::kRttDataUnmap,
                                         &row::kRttUnprotMap,
                                         &row::kRttUnprotUnmap,
                                         &row::kRttCreate,
                                         &row::kRttDestroy,
                                         &row::kRttFold,
                                         &row::kRttReadEntry,
                                         &row::kRttInitRipas,
                                         &row::kRttSetRipas};
  return kRows;
}

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kSuccess:
      return "RMI_SUCCESS";
    case Code::kInput:
      return "RMI_ERROR_INPUT";
    case Code::kRealm:
      return "RMI_ERROR_REALM";
    case Code::kRec:
      return "RMI_ERROR_REC";
    case Code::kRtt:
      return "RMI_ERROR_RTT";
    case Code::kNotSupported:
      return "RMI_ERROR_NOT_SUPPORTED";
    case Code::kDevice:
      return "RMI_ERROR_DEVICE";
    case Code::kRttAux:
      return "RMI_ERROR_RTT_AUX";
    case Code::kPsmmuSt:
      return "RMI_ERROR_PSMMU_ST";
    case Code::kDpt:
      return "RMI_ERROR_DPT";
    case Code::kBusy:
      return "RMI_BUSY";
    case Code::kGlobal:
      return "RMI_ERROR_GLOBAL";
    case Code::kTracking:
      return "RMI_ERROR_TRACKING";
    case Code::kIncomplete:
      return "RMI_INCOMPLETE";
    case Code::kBlocked:
      return "RMI_BLOCKED";
    case Code::kGpt:
      return "RMI_ERROR_GPT";
    case Code::kGranule:
      return "RMI_ERROR_GRANULE";
    case Code::kPsciNotSupported:
      return "PSCI_NOT_SUPPORTED";
    case Code::kPsciInvalidParameters:
      return "PSCI_INVALID_PARAMETERS";
    case Code::kPsciDenied:
      return "PSCI_DENIED";
    case Code::kPsciAlreadyOn:
      return "PSCI_ALREADY_ON";
    case Code::kPsciInvalidAddress:
      return "PSCI_INVALID_ADDRESS";
    case Code::kSmcNotSupported:
      return "SMC_NOT_SUPPORTED";
  }
  std::unreachable();
}

std::string_view rsi_code_name(Code code) {
  if (code == Code::kSuccess) return "RSI_SUCCESS";
  if (code == Code::kRealm) return "RSI_ERROR_STATE";
  return code == Code::kDevice ? "RSI_ERROR_DEVICE" : "RSI_ERROR_INPUT";
}

}  // namespace teeio::rmm
