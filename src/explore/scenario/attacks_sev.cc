#include "base/check.h"
#include "explore/scenario/adversaries.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/victims.h"
#include "firmware/sev/guest_message.h"
#include "firmware/sev/launch.h"
#include "host/vfio/device.h"

// Attacks on an SNP guest and its device.

namespace teeio::explore::sev_attack {
namespace {

constexpr std::uint32_t kArch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV;

constexpr std::string_view kValidatedPage = "MMIO_VALIDATE: 0";

/// MMIO_VALIDATE of one page of BAR 2 at kMmioGpa; the status.
std::string validate(Vmm& vmm, std::uint32_t offset) {
  const auto answer =
      ask_sev(vmm, abi::TSM_REQ_VALIDATE_MMIO, sev::TioMessage::kMmioValidateRequest,
              Writer()
                  .le(static_cast<std::uint16_t>(vmm.virt_id))
                  .zeros(14)
                  .le(raw(kMmioGpa))
                  .le(1U)
                  .le(offset)
                  .le(sev::kValidated)
                  .le(std::uint16_t{2})
                  .zeros(12)
                  .take());
  if (!answer) return std::string(answer.error().why);
  Reader in(*answer);
  in.skip(2);
  const auto status = in.le<std::uint16_t>();
  const bool refused = status == static_cast<std::uint16_t>(sev::MmioValidateStatus::kNotMapped);
  return "MMIO_VALIDATE: " + (refused ? "not mapped there" : std::to_string(status));
}

/// The first page of the guest's MMIO, which it has validated, and what the table says of it.
struct Validated {
  sev::Rmp& rmp;
  Hpa page;
  sev::RmpEntry entry;
};
Validated validated(Vmm& vmm) {
  must(validate(vmm, 0) == kValidatedPage ? Result<void>()
                                          : fail(Errno::kIo, "the page is not validated"));
  kvm::SevVm& guest = snp_guest_of(vmm);
  const auto there = guest.lookup_private(kMmioGpa);
  must(there ? Result<void>() : fail(Errno::kIo, "the guest's MMIO is not mapped"));
  sev::Rmp& rmp = guest.psp().rmp();
  return {rmp, there->address, rmp.entry(there->address)};
}

/// The guest's two pages of memory, both validated, as the host has them.
struct GuestRam {
  kvm::SevVm& guest;
  sev::Rmp& rmp;
  Hpa pages[2];
};
GuestRam validated_ram(Vmm& vmm) {
  kvm::SevVm& guest = snp_guest_of(vmm);
  sev::Rmp& rmp = guest.psp().rmp();
  give_ram(vmm);
  GuestRam memory{.guest = guest, .rmp = rmp, .pages = {}};
  for (std::size_t n = 0; n < std::size(memory.pages); ++n) {
    const Gpa gpa = kRamGpa + n * kPageSize;
    const auto page = guest.nested_page(gpa);
    must(page ? Result<void>() : fail(Errno::kIo, "the guest's memory is not mapped"));
    memory.pages[n] = *page;
    const auto done = rmp.pvalidate(guest.asid(), gpa, *page, sev::RmpSize::k4K, true);
    must(done && done->changed ? Result<void>() : fail(Errno::kIo, "PVALIDATE does not work"));
  }
  return memory;
}

/// What an access of the guest to the first page meets when its nested table has `page` there.
std::string met_by_access(const GuestRam& memory, Hpa page, std::string_view how) {
  const auto fault =
      memory.rmp.check_guest(memory.guest.asid(), kRamGpa, page, sev::RmpAccess::kWrite);
  return std::string(how) + ": " + std::string(fault ? sev::rmp_fault_text(*fault) : "none");
}

}  // namespace

Hpa validated_mmio(Vmm& vmm) { return validated(vmm).page; }

/// The nested table is the host's own: it has the second page at the first one's address.
std::string swap_ram(Stage& stage, Refusals&) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  const GuestRam memory = validated_ram(vmm);
  must(met_by_access(memory, memory.pages[0], "") == ": none"
           ? Result<void>()
           : fail(Errno::kIo, "the guest does not reach its own page"));
  stage.play();
  return met_by_access(memory, memory.pages[1], "#NPF");
}

std::string give_ram_twice(Stage& stage, Refusals&) {
  Vmm& vmm = stage.locked(kVf0);
  Vmm& other = stage.locked(kVf1);
  must(stage.make_runnable(vmm));
  must(stage.make_runnable(other));
  const GuestRam memory = validated_ram(vmm);
  const GuestRam of_other = validated_ram(other);
  stage.play();
  return met_by_access(of_other, memory.pages[0], "#NPF");
}

std::string replace_ram(Stage& stage, Refusals&) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  const GuestRam memory = validated_ram(vmm);
  const sev::Asid asid = memory.guest.asid();
  stage.play();
  (void)memory.rmp.update(memory.pages[0], {});
  (void)memory.rmp.update(memory.pages[0], {.assigned = true, .asid = asid, .gpa = kRamGpa});
  TEEIO_CHECK(memory.guest.raises_exception(kRamGpa), "the guest hears of it");
  return met_by_access(memory, memory.pages[0], "#VC");
}

std::string swap_mmio(Stage& stage, Refusals&) {
  Vmm& vmm = stage.with_mmio();
  const auto [rmp, page, entry] = validated(vmm);
  stage.play();
  (void)rmp.update(page, {.assigned = true, .asid = entry.asid, .gpa = entry.gpa + kPageSize});
  std::string met = validate(vmm, 0);
  (void)rmp.update(page, {.assigned = true, .asid = entry.asid, .gpa = entry.gpa});
  return met;
}

/// In the nested table alone: the firmware has validated the BAR's page, and no other.
std::string put_ram_for_mmio(Stage& stage, Refusals&) {
  Vmm& vmm = stage.with_mmio();
  const auto [rmp, page, entry] = validated(vmm);
  hw::PhysicalMemory& memory = snp_guest_of(vmm).psp().memory();
  const auto ram = memory.alloc_page();
  must(ram ? Result<void>() : std::unexpected(ram.error()));
  stage.play();
  (void)rmp.update(*ram, {.assigned = true, .asid = entry.asid, .gpa = entry.gpa});
  const auto fault = rmp.check_guest(entry.asid, entry.gpa, *ram, sev::RmpAccess::kWrite);
  (void)rmp.update(*ram, {});
  memory.free_page(*ram);
  return "#VC: " + std::string(fault ? sev::rmp_fault_text(*fault) : "none");
}

/// What comes in place of a validated page is not validated, be it the same.
std::string replace_mmio(Stage& stage, Refusals&) {
  Vmm& vmm = stage.with_mmio();
  const auto [rmp, page, entry] = validated(vmm);
  stage.play();
  (void)rmp.update(page, {});
  (void)rmp.update(page, {.assigned = true, .asid = entry.asid, .gpa = entry.gpa});
  const auto fault = rmp.check_guest(entry.asid, entry.gpa, page, sev::RmpAccess::kRead);
  return "#VC: " + std::string(fault ? sev::rmp_fault_text(*fault) : "none");
}

/// RMPUPDATE gives it, and takes what its guest has validated: the TDI's own guest alone may have
/// it validated again.
std::string map_foreign_mmio(Stage& stage, Refusals&) {
  const auto [rmp, page, entry] = validated(stage.with_mmio(kVf0));
  const sev::Asid other = snp_guest_of(stage.with_mmio(kVf1)).asid();
  constexpr Gpa kGpa = kMmioGpa + kPageSize;
  stage.play();
  (void)rmp.update(page, {.assigned = true, .asid = other, .gpa = kGpa});
  const auto fault = rmp.check_guest(other, kGpa, page, sev::RmpAccess::kRead);
  (void)rmp.update(page, {.assigned = true, .asid = entry.asid, .gpa = entry.gpa});
  return "#VC: " + std::string(fault ? sev::rmp_fault_text(*fault) : "none");
}

std::string replay_message(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(attest_sev(vmm, kPfOfCard));
  stage.play();
  const auto known = vmm.snp_guest();
  refusals.start(stage.machine().trace());
  const sev::GuestMessage old{
      .sequence = known->sequence.at(0) - 1,
      .type = static_cast<std::uint8_t>(sev::TioMessage::kTdiInfoRequest),
      .payload = Writer().le(static_cast<std::uint16_t>(vmm.virt_id)).zeros(14).take()};
  (void)vmm.send(abi::TSM_REQ_OBJECT_INFO, kArch, old.seal(known->message_keys.at(0)));
  return refusals.first();
}

/// The firmware starts a TDI as its host says. What the guest has done under the lock that it
/// knew is gone with it.
std::string lock_again(Stage& stage, Refusals&) {
  Vmm& vmm = stage.with_mmio();
  must(attest_sev(vmm, kPfOfCard));
  must(start_sev(vmm, kPfOfCard));
  stage.play();
  must(stage.unbind(vmm));
  must(stage.bind(vmm));
  must(stage.ask_state(vmm, abi::TSM_TDI_RUN));
  return "secure device table: " + stage.machine().census()["secure device entries"] + " entries";
}

/// Another guest's message for the TDI of this one.
std::string foreign_tdi(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked(kVf0);
  Vmm& other = stage.locked(kVf1);
  stage.play();
  const auto stranger = other.snp_guest();
  refusals.start(stage.machine().trace());
  const sev::GuestMessage message{
      .sequence = stranger->sequence.at(0) + 1,
      .type = static_cast<std::uint8_t>(sev::TioMessage::kTdiInfoRequest),
      .payload = Writer().le(static_cast<std::uint16_t>(vmm.virt_id)).zeros(14).take()};
  (void)vmm.send(abi::TSM_REQ_OBJECT_INFO, kArch, message.seal(stranger->message_keys.at(0)));
  return refusals.first();
}

std::string destroy_early(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  kvm::SevVm& guest = snp_guest_of(vmm);
  kvm::PspHost& psp = guest.psp();
  stage.play();
  refusals.start(stage.machine().trace());
  kvm::PspHost::Answer answer;
  (void)psp.command(sev::kSnpDecommission, Writer().le(raw(guest.firmware_handle())).take(),
                    answer);
  return refusals.first();
}

namespace {

/// A TDI that runs, and its registers for who has its guest's key.
struct RunningTdi {
  Vmm& vmm;
  hw::PhysicalMemory& memory;
  Hpa registers;
  hw::KeyId key;
};

RunningTdi running_tdi(Stage& stage) {
  Vmm& vmm = stage.ready();
  std::uint16_t command = read_config(vmm, kCommandRegister).value_or(0);
  command |= kCommandMaster;
  must(write_config(vmm, kCommandRegister, command));
  must(stage.bind(vmm));
  must(stage.make_runnable(vmm));
  must(start_sev(vmm, kPfOfCard));
  const auto resources = stage.root().cat(std::string(kCard) + "/resource");
  kvm::SevVm& guest = snp_guest_of(vmm);
  return {.vmm = vmm,
          .memory = guest.psp().memory(),
          .registers = Hpa{resources ? std::stoull(*resources, nullptr, 16) : 0},
          .key = hw::KeyId{static_cast<std::uint16_t>(guest.asid())}};
}

/// The device fetches its ring with T=1 from where nothing is: docs/devices/dma-engine.md.
void fetch_from_nowhere(const RunningTdi& tdi) {
  constexpr std::uint32_t kNowhere = 0x100000;
  struct Write {
    std::uint64_t at;
    std::uint32_t value;
  };
  // RING_BASE, RING_SIZE, RING_CONTROL's T, CONTROL's ENABLE, DOORBELL.
  for (const auto& [at, value] : {Write{0x10, kNowhere}, Write{0x14, 0}, Write{0x18, 2},
                                  Write{0x1c, 1}, Write{0x08, 1}, Write{0x24, 1}})
    must(tdi.memory.write(tdi.registers + at, bytes_of(value), tdi.key));
}

}  // namespace

Vmm& behind_fence(Stage& stage) {
  const RunningTdi tdi = running_tdi(stage);
  fetch_from_nowhere(tdi);
  return tdi.vmm;
}

std::string raise_fence(Stage& stage, Refusals& refusals) {
  const RunningTdi tdi = running_tdi(stage);
  stage.play();
  refusals.start(stage.machine().trace());
  fetch_from_nowhere(tdi);
  std::uint32_t id = 0;
  must(tdi.memory.read(tdi.registers, writable_bytes_of(id), tdi.key));
  TEEIO_CHECK(id == ~std::uint32_t{0}, "behind a fence MMIO reads ones");
  TEEIO_CHECK(!refusals.saw("TIO_ASID_FENCE_CLEAR"), "the fence is cleared too early");
  must(stage.unbind(tdi.vmm));
  TEEIO_CHECK(refusals.saw("TIO_ASID_FENCE_CLEAR"), "the fence is never cleared");
  return refusals.saw("ASID fence") ? "ASID fence: fenced" : refusals.first();
}

}  // namespace teeio::explore::sev_attack
