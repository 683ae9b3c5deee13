#include "explore/scenario/guest.h"

#include <algorithm>

#include "abi/psp_sev.h"
#include "crypto/hash.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/io_guard.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/tdx/tdx_vm.h"
#include "host/kvm/vm_file.h"

namespace teeio::explore {
namespace {

constexpr std::uint32_t kTdx = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX;
constexpr std::uint32_t kCca = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA;
constexpr std::uint32_t kSev = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV;
constexpr std::uint8_t kTdispError = 0x7f;
constexpr std::uint8_t kMessageKey = 0;

template <class Type>
Result<Type*> vm_of(Vmm& vmm, std::string_view why) {
  TEEIO_ASSIGN(const auto file, vmm.file(vmm.vm));
  auto* const found = dynamic_cast<Type*>(&static_cast<kvm::VmFile&>(*file).vm().ops());
  if (found == nullptr) return fail(Errno::kNxio, why);
  return found;
}

/// All of the report, as the host has it.
Result<Bytes> report_of(Vmm& vmm, std::uint32_t arch) {
  return vmm.send(abi::TSM_REQ_READ_OBJECT, arch, Writer().le(std::uint64_t{0}).take());
}

/// Of the algorithm that has digests of that size.
bool is_digest(ByteView digest, ByteView data) {
  using crypto::HashAlgorithm;
  for (const auto hash : {HashAlgorithm::kSha256, HashAlgorithm::kSha384, HashAlgorithm::kSha512})
    if (std::ranges::equal(crypto::hash(hash, data).view(), digest)) return true;
  return false;
}

std::unexpected<Error> wrong_report() {
  return fail(Errno::kIo, "the report is not the one that the firmware knows");
}

Result<void> set_run(Vmm& vmm, std::uint32_t arch) {
  TEEIO_TRY(vmm.request(abi::TSM_REQ_SET_TDI_STATE, arch, abi::TSM_TDI_RUN));
  return {};
}

}  // namespace

Result<kvm::TdxVm*> tdx_vm(Vmm& vmm) { return vm_of<kvm::TdxVm>(vmm, "the VM is no TD"); }
Result<kvm::RealmVm*> realm_vm(Vmm& vmm) { return vm_of<kvm::RealmVm>(vmm, "the VM is no realm"); }
Result<kvm::SevVm*> sev_vm(Vmm& vmm) { return vm_of<kvm::SevVm>(vmm, "the VM is no SNP guest"); }

// --- TDX ---

Result<tdx::LeafResult> ask_tdx(Vmm& vmm, Bdf function, tdx::DevifRequest code) {
  TEEIO_ASSIGN(kvm::TdxVm* const td, tdx_vm(vmm));
  const auto id = tdx::function_id(function);
  TEEIO_TRY(td->as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    const auto asked = module.tdg_devif_request(vp, id, code);
    if (asked.ok()) return {};
    const bool none_left = asked.status == tdx::Code::kOperandInvalid;
    return fail(none_left ? Errno::kNoData : Errno::kIo, "TDG.DEVIF.REQUEST failed");
  }));
  TEEIO_TRY(vmm.request(abi::TSM_REQ_OBJECT_INFO, kTdx, 0));
  tdx::LeafResult answer;
  TEEIO_TRY(td->as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    const auto taken = module.tdg_devif_response(vp, id, std::nullopt);
    if (!taken.ok()) return fail(Errno::kIo, "TDG.DEVIF.RESPONSE failed");
    answer = taken.leaf;
    if (answer.message_code() == kTdispError)
      return fail(Errno::kIo, "the device refuses the guest's request");
    return {};
  }));
  return answer;
}

Result<void> attest_tdx(Vmm& vmm, Bdf function) {
  TEEIO_ASSIGN(kvm::TdxVm* const td, tdx_vm(vmm));
  const auto id = tdx::function_id(function);
  TEEIO_TRY(td->as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    const auto valid = module.tdg_devif_validate(vp, id, module.info_hash(id));
    if (valid.ok() || valid.status == tdx::Code::kDevifAlreadyValid) return {};
    return fail(Errno::kIo, "TDG.DEVIF.VALIDATE failed");
  }));
  TEEIO_TRY(ask_tdx(vmm, function, tdx::DevifRequest::kReport));
  for (;;) {
    const auto more = ask_tdx(vmm, function, tdx::DevifRequest::kReport);
    if (more) continue;
    if (more.error().code == Errno::kNoData) return {};
    return std::unexpected(more.error());
  }
}

Result<void> start_tdx(Vmm& vmm, Bdf function) {
  TEEIO_TRY(vmm.guest_enables_dma(function));
  TEEIO_ASSIGN(const tdx::LeafResult answer, ask_tdx(vmm, function, tdx::DevifRequest::kStart));
  if (answer.message_detail() == abi::TSM_TDI_RUN) return {};
  return fail(Errno::kIo, "the TDI does not run");
}

// --- Arm CCA ---

Result<void> attest_cca(Vmm& vmm, Bdf function) {
  TEEIO_ASSIGN(const Bytes report, report_of(vmm, kCca));
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_vm(vmm));
  TEEIO_ASSIGN(const rmm::VdevInfo info, realm->guest_looks(function));
  if (!is_digest(info.report, report)) return wrong_report();
  return {};
}

Result<void> accept_mmio_cca(Vmm& vmm, Bdf function) {
  constexpr Gpa kTop = kMmioGpa + kPageSize;
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_vm(vmm));
  const Hpa rd = realm->firmware_handle();
  const auto vdev = realm->host().vdev_named(function.rid(), rd);
  if (!vdev) return fail(Errno::kNxio, "the realm has no such VDEV");
  const Hpa page{realm->host().rmm().rtt_read_entry(rd, kMmioGpa, rmm::kPageLevel).x3};
  TEEIO_TRY(realm->guest_asks_for(function.rid(), *vdev, kMmioGpa, kTop, page));
  TEEIO_TRY(vmm.send(abi::TSM_REQ_VALIDATE_MMIO, kCca,
                     Writer().le(raw(kMmioGpa)).le(raw(kTop)).le(raw(page)).take()));
  return {};
}

Result<void> start_cca(Vmm& vmm, Bdf function) {
  TEEIO_TRY(set_run(vmm, kCca));
  TEEIO_ASSIGN(kvm::RealmVm* const realm, realm_vm(vmm));
  TEEIO_ASSIGN(const rmm::VdevInfo info, realm->guest_looks(function));
  if (info.state != abi::TSM_TDI_RUN) return fail(Errno::kIo, "the VDEV is not STARTED");
  return vmm.guest_enables_dma(function);
}

// --- AMD SEV-TIO ---

Result<Bytes> ask_sev(Vmm& vmm, std::uint32_t op, sev::TioMessage type, ByteView payload) {
  TEEIO_ASSIGN(const auto guest, vmm.snp_guest());
  const sev::GuestMessage message{.sequence = guest.sequence.at(kMessageKey) + 1,
                                  .type = static_cast<std::uint8_t>(type),
                                  .key = kMessageKey,
                                  .payload = Bytes(payload.begin(), payload.end())};
  const auto& key = guest.message_keys.at(kMessageKey);
  TEEIO_ASSIGN(const Bytes answer, vmm.send(op, kSev, message.seal(key)));
  TEEIO_ASSIGN(const auto sealed, sev::SealedMessage::decode(answer));
  TEEIO_ASSIGN(const auto opened, sealed.open(key));
  if (opened.sequence != message.sequence + 1 || opened.type != message.type + 1)
    return fail(Errno::kAcces, "the answer is to another message");
  return opened.payload;
}

Result<void> attest_sev(Vmm& vmm, Bdf) {
  TEEIO_ASSIGN(const Bytes report, report_of(vmm, kSev));
  TEEIO_ASSIGN(const Bytes info,
               ask_sev(vmm, abi::TSM_REQ_OBJECT_INFO, sev::TioMessage::kTdiInfoRequest,
                       Writer().le(static_cast<std::uint16_t>(vmm.virt_id)).zeros(14).take()));
  // struct tio_msg_tdi_info_rsp: status, and the third digest.
  constexpr std::size_t kReportDigest = 128, kDigest = 48;
  Reader in(info);
  in.skip(2);
  if (in.le<std::uint16_t>() != 0 || info.size() < kReportDigest + kDigest)
    return fail(Errno::kIo, "the TDI is not the guest's");
  if (!is_digest(ByteView(info).subspan(kReportDigest, kDigest), report)) return wrong_report();
  return {};
}

Result<void> write_sdte(Vmm& vmm, Bdf) {
  const sev::SecureDte entry{.valid = true, .read = true, .write = true};
  TEEIO_ASSIGN(const Bytes answer,
               ask_sev(vmm, abi::TSM_REQ_SEV_ENABLE_DMA, sev::TioMessage::kSdteWriteRequest,
                       Writer()
                           .le(static_cast<std::uint16_t>(vmm.virt_id))
                           .zeros(14)
                           .bytes(entry.encode())
                           .take()));
  Reader in(answer);
  in.skip(2);
  if (in.le<std::uint16_t>() == 0 && in.ok()) return {};
  return fail(Errno::kIo, "the firmware takes no sDTE");
}

Result<void> issue_sev(machine::Program& program, int fd, std::uint32_t command,
                       std::uint64_t data) {
  abi::sev_issue_cmd arg{};
  arg.cmd = command;
  arg.data = data;
  TEEIO_TRY(program.ioctl(fd, SEV_ISSUE_CMD, arg));
  return {};
}

Result<void> start_sev(Vmm& vmm, Bdf function) {
  TEEIO_TRY(set_run(vmm, kSev));
  return write_sdte(vmm, function);
}

}  // namespace teeio::explore
