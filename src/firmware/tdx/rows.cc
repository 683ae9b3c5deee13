#include "firmware/tdx/rows.h"

namespace teeio::tdx {

std::span<const Row* const> rows() {
  static constexpr const Row* kRows[] = {
      &row::kMngCreate,         &row::kMngKeyConfig,      &row::kMngAddcx,
      &row::kMngInit,           &row::kMrExtend,          &row::kMrFinalize,
      &row::kVpCreate,          &row::kVpAddcx,           &row::kVpInit,
      &row::kVpEnter,           &row::kVpFlush,           &row::kMngVpflushdone,
      &row::kPhymemCacheWb,     &row::kMngKeyFreeid,      &row::kPhymemPageReclaim,
      &row::kMemSeptAdd,        &row::kMemSeptRemove,     &row::kMemPageAdd,
      &row::kMemPageAug,        &row::kMemPageRemove,     &row::kMemRangeBlock,
      &row::kMemRangeUnblock,   &row::kMemTrack,          &row::kMemSharedSeptWr,
      &row::kIommuSetup,        &row::kIommuClear,        &row::kSpdmCreate,
      &row::kSpdmDelete,        &row::kSpdmConnect,       &row::kSpdmRecollect,
      &row::kSpdmInfo,          &row::kSpdmDisconnect,    &row::kIdeStreamCreate,
      &row::kIdeStreamBlock,    &row::kIdeStreamDelete,   &row::kIdeKmRequest,
      &row::kIdeKmResponse,     &row::kG3IommuSetup,      &row::kG3SpdmCreate,
      &row::kG3SpdmDelete,      &row::kG3SpdmConnect,     &row::kG3SpdmMng,
      &row::kG3SpdmDisconnect,  &row::kG3IdeStreamCreate, &row::kG3IdeStreamBlock,
      &row::kG3IdeStreamDelete, &row::kG3IdeStreamKm,     &row::kDevifmtAdd,
      &row::kDevifmtRemove,     &row::kDevifmtRd,         &row::kDevifCreate,
      &row::kDevifRemove,       &row::kDevifRequest,      &row::kDevifResponse,
      &row::kMmiomtAdd,         &row::kMmiomtRemove,      &row::kMmiomtSet,
      &row::kMmiomtRd,          &row::kMmioMap,           &row::kMmioBlock,
      &row::kMmioUnmap,         &row::kDmarAdd,           &row::kDmarBlock,
      &row::kDmarRead,          &row::kDmarRemove,        &row::kIqInvRequestIotlb,
      &row::kIqInvRequest,      &row::kIqInvRequestTd,    &row::kIqInvProcess,
      &row::kTdgVpInfo,         &row::kTdgMrRtmrExtend,   &row::kTdgMrReport,
      &row::kTdgMrVerifyreport, &row::kTdgMemPageAccept,  &row::kTdgMmioAccept,
      &row::kTdgDmarAccept,     &row::kTdgIqInvRequest,   &row::kTdgDevifValidate,
      &row::kTdgDevifRd,        &row::kTdgDevifRequest,   &row::kTdgDevifResponse};
  return kRows;
}

}  // namespace teeio::tdx
