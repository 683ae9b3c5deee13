#include "explore/scenario/vendor.h"

#include <algorithm>

#include "firmware/sev/guest_message.h"
#include "firmware/sev/io_guard.h"
#include "firmware/sev/tio_messages.h"

namespace teeio::explore {
namespace {

Result<void> ask_vm(Vmm& vmm, Bdf function) { return vmm.guest_enables_dma(function); }

/// A guest's message to its firmware, through its VMM, and the firmware's answer.
Result<void> write_sdte(Vmm& vmm, Bdf) {
  constexpr std::uint8_t kKey = 0;
  TEEIO_ASSIGN(const auto guest, vmm.snp_guest());
  const sev::SecureDte entry{.valid = true, .read = true, .write = true};
  const sev::GuestMessage message{
      .sequence = guest.sequence.at(kKey) + 1,
      .type = static_cast<std::uint8_t>(sev::TioMessage::kSdteWriteRequest),
      .key = kKey,
      .payload = Writer()
                     .le(static_cast<std::uint16_t>(vmm.virt_id))
                     .zeros(14)
                     .bytes(entry.encode())
                     .take()};
  const auto& key = guest.message_keys.at(kKey);
  TEEIO_ASSIGN(const Bytes answer,
               vmm.send(abi::TSM_REQ_SEV_ENABLE_DMA, abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
                        message.seal(key)));
  TEEIO_ASSIGN(const auto sealed, sev::SealedMessage::decode(answer));
  TEEIO_ASSIGN(const auto opened, sealed.open(key));
  Reader in(opened.payload);
  in.skip(2);
  if (in.le<std::uint16_t>() == 0 && in.ok()) return {};
  return fail(Errno::kIo, "the firmware takes no sDTE");
}

}  // namespace

std::span<const Vendor> vendors() {
  static constexpr Vendor kVendors[] = {
      {.tsm = machine::TsmKind::kTdx,
       .vm_type = kTdxVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX,
       .bind_locks = true,
       .guest_asks = abi::TSM_TDI_RUN,
       .runs_before_dma = false,
       .make_runnable = [](Vmm& vmm) { return vmm.finalize(); },
       .enable_dma = ask_vm},
      {.tsm = machine::TsmKind::kCca,
       .vm_type = kRealmVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA,
       .bind_locks = false,
       .guest_asks = abi::TSM_TDI_LOCKED,
       .runs_before_dma = true,
       .make_runnable = [](Vmm& vmm) { return vmm.make_vcpu(); },
       .enable_dma = ask_vm},
      {.tsm = machine::TsmKind::kSev,
       .vm_type = kSnpVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
       .bind_locks = true,
       .guest_asks = abi::TSM_TDI_RUN,
       .runs_before_dma = true,
       .make_runnable = [](Vmm& vmm) { return vmm.finish_snp(); },
       .enable_dma = write_sdte},
  };
  return kVendors;
}

const Vendor& vendor_of(machine::TsmKind tsm) {
  const auto row = std::ranges::find(vendors(), tsm, &Vendor::tsm);
  return row == vendors().end() ? vendors().front() : *row;
}

}  // namespace teeio::explore
