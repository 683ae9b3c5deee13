#include "explore/scenario/adversaries.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/victims.h"
#include "firmware/tdx/sept.h"
#include "firmware/tdx/state.h"

// Attacks on a TD and its device.

namespace teeio::explore::tdx_attack {
namespace {

/// The TD's two pages of memory, accepted.
kvm::TdxVm& td_with_ram(Stage& stage, std::string_view device = kPf) {
  Vmm& vmm = stage.locked(device);
  must(stage.make_runnable(vmm));
  give_ram(vmm);
  kvm::TdxVm& td = td_of(vmm);
  must(td.as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    for (const Gpa page : {kRamGpa, kRamGpa + kPageSize})
      if (!module.tdg_mem_page_accept(vp, page, tdx::Level::k4K).ok())
        return fail(Errno::kIo, "TDG.MEM.PAGE.ACCEPT failed");
    return {};
  }));
  return td;
}

}  // namespace

std::string swap_ram(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_with_ram(stage);
  const auto other = td.host().memory().alloc_page();
  must(other ? Result<void>() : std::unexpected(other.error()));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)td.host().module().tdh_mem_page_aug(td.firmware_handle(), kRamGpa, tdx::Level::k4K, *other);
  td.host().memory().free_page(*other);
  return refusals.first();
}

/// Where the other TD has nothing yet, in a table that it has.
std::string give_ram_twice(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_with_ram(stage, kVf0);
  kvm::TdxVm& other = td_with_ram(stage, kVf1);
  const auto page = td.lookup_private(kRamGpa);
  must(page ? Result<void>() : fail(Errno::kIo, "the guest's memory is not mapped"));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)other.host().module().tdh_mem_page_aug(other.firmware_handle(), kRamGpa + 2 * kPageSize,
                                               tdx::Level::k4K, page->address);
  return refusals.first();
}

/// The same page will do.
std::string replace_ram(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_with_ram(stage);
  tdx::Module& module = td.host().module();
  const Hpa tdr = td.firmware_handle();
  const auto page = td.lookup_private(kRamGpa);
  must(page ? Result<void>() : fail(Errno::kIo, "the guest's memory is not mapped"));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)module.tdh_mem_range_block(tdr, kRamGpa, tdx::Level::k4K);
  (void)module.tdh_mem_track(tdr);
  (void)module.tdh_mem_page_remove(tdr, kRamGpa, tdx::Level::k4K);
  (void)module.tdh_mem_page_aug(tdr, kRamGpa, tdx::Level::k4K, page->address);
  if (!refusals.first().empty()) return refusals.first();
  return td.lookup_private(kRamGpa) ? "nothing" : "EPT violation: the page is pending";
}

std::string swap_mmio(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.with_mmio();
  kvm::TdxVm& td = td_of(vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)td.as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    // Reports have the TD's offset on their pages; any other page than what is there will do.
    const std::uint64_t offset = module.state().find_td(td.firmware_handle())->mmio_offset;
    (void)module.tdg_mmio_accept(vp, kMmioGpa, tdx::Level::k4K, offset + kPageSize);
    return {};
  });
  return refusals.first();
}

/// Beside its MMIO, in the table that this has made. TDG.MMIO.ACCEPT leaves the TD there, as
/// with a page that is not mapped at all.
std::string put_ram_for_mmio(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.with_mmio());
  tdx::Module& module = td.host().module();
  const Hpa tdr = td.firmware_handle();
  constexpr Gpa kGpa = kMmioGpa + kPageSize;
  const auto page = td.host().memory().alloc_page();
  must(page ? Result<void>() : std::unexpected(page.error()));
  stage.play();
  const auto takes = [](const tdx::LeafResult& result, std::string_view why) {
    must(result.ok() ? Result<void>() : fail(Errno::kIo, why));
  };
  takes(module.tdh_mem_page_aug(tdr, kGpa, tdx::Level::k4K, *page), "TDH.MEM.PAGE.AUG failed");
  refusals.start(stage.machine().trace());
  bool violation = false;
  must(td.as_guest([&](tdx::Module& own, Hpa vp) -> Result<void> {
    const std::uint64_t offset = own.state().find_td(tdr)->mmio_offset;
    violation = own.tdg_mmio_accept(vp, kGpa, tdx::Level::k4K, offset + kPageSize)
                    .ept_violation.has_value();
    return {};
  }));
  const bool mapped = td.lookup_private(kGpa).has_value();
  (void)module.tdh_mem_range_block(tdr, kGpa, tdx::Level::k4K);
  (void)module.tdh_mem_track(tdr);
  takes(module.tdh_mem_page_remove(tdr, kGpa, tdx::Level::k4K), "TDH.MEM.PAGE.REMOVE failed");
  td.host().memory().free_page(*page);
  if (!refusals.first().empty()) return refusals.first();
  return violation && !mapped ? "EPT violation: the page is no MMIO" : "nothing";
}

/// The page behind the one that its TD has.
std::string map_foreign_mmio(Stage& stage, Refusals& refusals) {
  kvm::TdxVm& td = td_of(stage.with_mmio(kVf0));
  kvm::TdxVm& other = td_of(stage.with_mmio(kVf1));
  tdx::Module& module = td.host().module();
  tdx::State& state = module.state();
  const Hpa there = tdx::Sept(state.memory, *state.find_td(td.firmware_handle()))
                        .walk(kMmioGpa, tdx::Level::k4K)
                        .entry.address();
  stage.play();
  refusals.start(stage.machine().trace());
  (void)module.tdh_mmio_map(other.firmware_handle(), kMmioGpa + kPageSize, tdx::Level::k4K,
                            there + kPageSize);
  return refusals.first();
}

/// KVM finds a blocked page later, and gives the VM up.
std::string replace_mmio(Stage& stage, Refusals& refusals) {
  stage.vm_may_die();
  Vmm& vmm = stage.with_mmio();
  kvm::TdxVm& td = td_of(vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  tdx::Module& module = td.host().module();
  (void)module.tdh_mmio_block(td.firmware_handle(), kMmioGpa, tdx::Level::k4K);
  (void)module.tdh_mem_track(td.firmware_handle());
  (void)module.tdh_mmio_unmap(td.firmware_handle(), kMmioGpa, tdx::Level::k4K);
  return refusals.first();
}

std::string replay_report(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  KeepingHost host;
  stage.play();
  must(attest_tdx(vmm, kPfOfCard));
  refusals.start(stage.machine().trace());
  host.replay();
  (void)ask_tdx(vmm, kPfOfCard, tdx::DevifRequest::kState);
  tsm::set_meddler(nullptr);
  return refusals.first();
}

/// A lock of the host's own between the guest's START and its way to the device.
std::string lock_again(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  must(stage.make_runnable(vmm));
  KeepingHost host;
  must(attest_tdx(vmm, kPfOfCard));
  kvm::TdxVm& td = td_of(vmm);
  const auto id = tdx::function_id(kPfOfCard);
  stage.play();
  must(td.as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    const auto asked = module.tdg_devif_request(vp, id, tdx::DevifRequest::kStart);
    return asked.ok() ? Result<void>() : fail(Errno::kIo, "TDG.DEVIF.REQUEST failed");
  }));
  const auto page = td.host().memory().alloc_page();
  const auto own = [&](tdx::DevifRequest code) -> Result<void> {
    tdx::Module& module = td.host().module();
    const auto made = module.tdh_devif_request(id, code, tdx::OnBehalfOf::kVmm, *page);
    Bytes object(made.message_bytes());
    TEEIO_TRY(td.host().memory().read(*page, object));
    TEEIO_ASSIGN(const Bytes answer, host.carry(object));
    TEEIO_TRY(td.host().memory().write(*page, answer));
    const auto taken = module.tdh_devif_response(id, tdx::OnBehalfOf::kVmm, *page);
    return taken.ok() ? Result<void>() : fail(Errno::kIo, "TDH.DEVIF.RESPONSE failed");
  };
  must(own(tdx::DevifRequest::kStop));
  must(own(tdx::DevifRequest::kLock));
  td.host().memory().free_page(*page);
  refusals.start(stage.machine().trace());
  (void)vmm.request(abi::TSM_REQ_OBJECT_INFO, stage.vendor().request_arch, 0);
  tsm::set_meddler(nullptr);
  return refusals.first();
}

std::string foreign_tdi(Stage& stage, Refusals& refusals) {
  (void)stage.bound(kVf0);
  Vmm& other = stage.locked(kVf1);
  must(stage.make_runnable(other));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)attest_tdx(other, kFirstVf);
  return refusals.first();
}

std::string destroy_early(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.bound();
  kvm::TdxVm& td = td_of(vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)td.host().module().tdh_mng_vpflushdone(td.firmware_handle());
  return refusals.first();
}

}  // namespace teeio::explore::tdx_attack
