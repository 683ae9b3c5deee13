#include "firmware/sev/tio_checks.h"

// What each SEV-TIO command is for. Sources: "Linux" is drivers/crypto/ccp/sev-dev-tio.c of
// 7.3, which has the first phase; "AMD" the same file of AMDESE/linux-kvm, which has the second.

namespace teeio::sev {

std::span<const TioRow> tio_rows() {
  static constexpr TioRow kRows[] = {
      {TioCommand::kStatus, "TIO_STATUS", "Linux, sev_tio_init_locked(), struct sev_tio_status",
       "whether there is SEV-TIO and whether it is initialised, and how large buffers and "
       "contexts must be"},
      {TioCommand::kInit, "TIO_INIT", "Linux, sev_tio_init_locked()", "SEV-TIO works"},
      {TioCommand::kDevCreate, "TIO_DEV_CREATE", "Linux, sev_tio_dev_create()",
       "the pages become the context of a device behind a root port"},
      {TioCommand::kDevReclaim, "TIO_DEV_RECLAIM", "Linux, sev_tio_dev_reclaim()",
       "and are pages of the firmware's again"},
      {TioCommand::kDevConnect, "TIO_DEV_CONNECT", "Linux, sev_tio_dev_connect()",
       "a session with the device, IDE keys at both ends; the output is its certificates"},
      {TioCommand::kDevDisconnect, "TIO_DEV_DISCONNECT", "Linux, sev_tio_dev_disconnect()",
       "keys and session are gone; forced, also without the device, and under bound TDIs"},
      {TioCommand::kDevStatus, "TIO_DEV_STATUS", "AMD, sev_tio_dev_status()",
       "the context's state, what waits for the device, digests, how many TDIs it has, and whether "
       "one was locked against firmware updates"},
      {TioCommand::kDevMeasurements, "TIO_DEV_MEASUREMENTS", "AMD, sev_tio_dev_measurements()",
       "the device measures itself with the host's nonce; the output is what it signed"},
      {TioCommand::kDevCertificates, "TIO_DEV_CERTIFICATES", "AMD, sev_tio_dev_certificates()",
       "the output is the device's certificates"},
      {TioCommand::kTdiCreate, "TIO_TDI_CREATE", "AMD, sev_tio_tdi_create()",
       "the pages become the context of a function of the device, UNBOUND"},
      {TioCommand::kTdiReclaim, "TIO_TDI_RECLAIM", "AMD, sev_tio_tdi_reclaim()",
       "and are pages of the firmware's again"},
      {TioCommand::kTdiBind, "TIO_TDI_BIND", "AMD, sev_tio_tdi_bind()",
       "LOCK_INTERFACE, and the guest's: BIND_LOCKED; with the run flag START_INTERFACE too: "
       "BIND_RUN. The output is the interface report"},
      {TioCommand::kTdiUnbind, "TIO_TDI_UNBIND", "AMD, sev_tio_tdi_unbind()",
       "trusted DMA off, then STOP_INTERFACE: UNBOUND; forced, also without the device's answer, "
       "whose TDI may then be as it was"},
      {TioCommand::kTdiReport, "TIO_TDI_REPORT", "AMD, sev_tio_tdi_report()",
       "the output is the interface report, read anew"},
      {TioCommand::kTdiStatus, "TIO_TDI_STATUS", "AMD, sev_tio_tdi_status()",
       "the device's own word for the TDI's state"},
      {TioCommand::kGuestRequest, "TIO_GUEST_REQUEST", "AMD, sev_tio_guest_request()",
       "one guest message: its sequence number is used up, and its answer is sealed"},
      {TioCommand::kAsidFenceClear, "TIO_ASID_FENCE_CLEAR", "AMD, sev_tio_asid_fence_clear()",
       "the fence that an error raised is lifted; with none there it is no error"},
      {TioCommand::kAsidFenceStatus, "TIO_ASID_FENCE_STATUS", "AMD, sev_tio_asid_fence_status()",
       "whether DMA and MMIO of the guest's devices pass there"},
      {TioCommand::kTdiInfo, "TIO_TDI_INFO", "AMD, sev_tio_tdi_info()",
       "the context's state, the guest's ASID, digests, and how often a report was read"},
      {TioCommand::kRollKey, "TIO_ROLL_KEY", "AMD, sev_tio_ide_refresh()",
       "the stream has new keys while it is in use"},
  };
  return kRows;
}

}  // namespace teeio::sev
