#include "firmware/sev/status.h"

namespace teeio::sev {

std::string_view status_name(Status status) {
  switch (status) {
#define TEEIO_SEV_STATUS(id, text) \
  case Status::id:                 \
    return "SEV_RET_" text
    TEEIO_SEV_STATUS(kSuccess, "SUCCESS");
    TEEIO_SEV_STATUS(kInvalidPlatformState, "INVALID_PLATFORM_STATE");
    TEEIO_SEV_STATUS(kInvalidGuestState, "INVALID_GUEST_STATE");
    TEEIO_SEV_STATUS(kInvalidConfig, "INVALID_CONFIG");
    TEEIO_SEV_STATUS(kInvalidLength, "INVALID_LEN");
    TEEIO_SEV_STATUS(kPolicyFailure, "POLICY_FAILURE");
    TEEIO_SEV_STATUS(kInactive, "INACTIVE");
    TEEIO_SEV_STATUS(kInvalidAddress, "INVALID_ADDRESS");
    TEEIO_SEV_STATUS(kBadSignature, "BAD_SIGNATURE");
    TEEIO_SEV_STATUS(kBadMeasurement, "BAD_MEASUREMENT");
    TEEIO_SEV_STATUS(kAsidOwned, "ASID_OWNED");
    TEEIO_SEV_STATUS(kInvalidAsid, "INVALID_ASID");
    TEEIO_SEV_STATUS(kWbinvdRequired, "WBINVD_REQUIRED");
    TEEIO_SEV_STATUS(kDfFlushRequired, "DFFLUSH_REQUIRED");
    TEEIO_SEV_STATUS(kInvalidGuest, "INVALID_GUEST");
    TEEIO_SEV_STATUS(kInvalidCommand, "INVALID_COMMAND");
    TEEIO_SEV_STATUS(kActive, "ACTIVE");
    TEEIO_SEV_STATUS(kUnsupported, "UNSUPPORTED");
    TEEIO_SEV_STATUS(kInvalidParam, "INVALID_PARAM");
    TEEIO_SEV_STATUS(kResourceLimit, "RESOURCE_LIMIT");
    TEEIO_SEV_STATUS(kSecureDataInvalid, "SECURE_DATA_INVALID");
    TEEIO_SEV_STATUS(kInvalidPageSize, "INVALID_PAGE_SIZE");
    TEEIO_SEV_STATUS(kInvalidPageState, "INVALID_PAGE_STATE");
    TEEIO_SEV_STATUS(kInvalidPageOwner, "INVALID_PAGE_OWNER");
    TEEIO_SEV_STATUS(kAeadOverflow, "AEAD_OFLOW");
    TEEIO_SEV_STATUS(kRmpInitRequired, "RMP_INIT_REQUIRED");
    TEEIO_SEV_STATUS(kBadSvn, "BAD_SVN");
    TEEIO_SEV_STATUS(kInvalidKey, "INVALID_KEY");
    TEEIO_SEV_STATUS(kIncorrectBufferLength, "INCORRECT_BUFFER_LENGTH");
    TEEIO_SEV_STATUS(kExpandBufferLengthRequest, "EXPAND_BUFFER_LENGTH_REQUEST");
    TEEIO_SEV_STATUS(kSpdmRequest, "SPDM_REQUEST");
    TEEIO_SEV_STATUS(kSpdmError, "SPDM_ERROR");
    TEEIO_SEV_STATUS(kErrorInDeviceConnection, "ERR_IN_DEV_CONN");
    TEEIO_SEV_STATUS(kInvalidDeviceContext, "INVALID_DEV_CTX");
    TEEIO_SEV_STATUS(kInvalidTdiContext, "INVALID_TDI_CTX");
    TEEIO_SEV_STATUS(kInvalidTdi, "INVALID_TDI");
    TEEIO_SEV_STATUS(kReclaimRequired, "RECLAIM_REQUIRED");
    TEEIO_SEV_STATUS(kInUse, "IN_USE");
    TEEIO_SEV_STATUS(kInvalidDeviceState, "INVALID_DEV_STATE");
    TEEIO_SEV_STATUS(kInvalidTdiState, "INVALID_TDI_STATE");
    TEEIO_SEV_STATUS(kDeviceCertificateChanged, "DEV_CERT_CHANGED");
    TEEIO_SEV_STATUS(kResyncRequest, "RESYNC_REQ");
    TEEIO_SEV_STATUS(kResponseTooLarge, "RESPONSE_TOO_LARGE");
#undef TEEIO_SEV_STATUS
  }
  return "SEV_RET_UNKNOWN";
}

}  // namespace teeio::sev
