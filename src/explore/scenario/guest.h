#pragma once

#include "explore/scenario/vmm.h"
#include "firmware/sev/tio_messages.h"
#include "firmware/tdx/types.h"

namespace teeio::kvm {
class RealmVm;
class SevVm;
class TdxVm;
}  // namespace teeio::kvm

namespace teeio::explore {

// What a guest's code does about its function, where none runs: it reads the device's report
// through its host and holds it against what its firmware knows; then it has the TDI start.
// Precondition: the function is bound to the VM and locked, the VM has a vCPU.
// Errors: what the host or the firmware refuses; EIO where the guest finds something wrong.

/// TDG.DEVIF.VALIDATE, and GET_DEVICE_INTERFACE_REPORT until nothing is left.
Result<void> attest_tdx(Vmm& vmm, Bdf function);
/// TDG.DMAR.ACCEPT, START_INTERFACE, and a look at the state that comes with its answer.
Result<void> start_tdx(Vmm& vmm, Bdf function);
/// One TDISP request of the guest's, its way through the host, and what the module says of its
/// answer.
Result<tdx::LeafResult> ask_tdx(Vmm& vmm, Bdf function, tdx::DevifRequest code);

/// The report's digest is that of RSI_VDEV_GET_INFO.
Result<void> attest_cca(Vmm& vmm, Bdf function);
/// RSI_VDEV_VALIDATE_MAPPING of the page of private MMIO that the host has mapped at kMmioGpa.
Result<void> accept_mmio_cca(Vmm& vmm, Bdf function);
/// RUN, as RSI_VDEV_GET_INFO has it too; RSI_VDEV_DMA_ENABLE.
Result<void> start_cca(Vmm& vmm, Bdf function);

/// The report's digest is that of TDI_INFO.
Result<void> attest_sev(Vmm& vmm, Bdf function);
/// RUN, and SDTE_WRITE.
Result<void> start_sev(Vmm& vmm, Bdf function);
Result<void> write_sdte(Vmm& vmm, Bdf function);
/// A guest message through the host, and the firmware's answer. Errors: EACCES it is not the
/// firmware's.
Result<Bytes> ask_sev(Vmm& vmm, std::uint32_t op, sev::TioMessage type, ByteView payload);

/// SEV_ISSUE_CMD on an open /dev/sev.
Result<void> issue_sev(machine::Program& program, int fd, std::uint32_t command,
                       std::uint64_t data);

// The VM behind a VMM's descriptor. Errors: ENXIO it is none of that firmware's.
Result<kvm::TdxVm*> tdx_vm(Vmm& vmm);
Result<kvm::RealmVm*> realm_vm(Vmm& vmm);
Result<kvm::SevVm*> sev_vm(Vmm& vmm);

}  // namespace teeio::explore
