// A TD has IOMMUs forget what they hold of its memory, while its device is taken from it.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/bytes.h"
#include "base/check.h"
#include "explore/scenario/adversaries.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/victims.h"
#include "host/kvm/vm_file.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// Source: VT-d 6.5.2.3, of a whole domain, with both drains.
constexpr tdx::InvalidationDescriptor kOfDomain = {2U | 2U << 4U | 3U << 6U, 0, 0, 0};

/// Trusted DMA is on, and a page of accepted memory has the descriptor.
Vmm& with_descriptor(Stage& stage) {
  Vmm& vmm = stage.with_dma();
  give_ram(vmm);
  kvm::TdxVm& td = td_of(vmm);
  must(td.as_guest([](tdx::Module& module, Hpa vp) -> Result<void> {
    if (module.tdg_mem_page_accept(vp, kRamGpa, tdx::Level::k4K).ok()) return {};
    return fail(Errno::kIo, "TDG.MEM.PAGE.ACCEPT failed");
  }));
  const auto page = td.lookup_private(kRamGpa);
  TEEIO_CHECK(page.has_value(), "the guest's memory is mapped");
  hw::PhysicalMemory& memory = td.host().memory();
  must(memory.write(page->address, bytes_of(kOfDomain), memory.key_of(page->address)));
  return vmm;
}

/// TDG.IQ.INV.REQUEST. Gives whether its host has to commit it. Errors: the guest cannot run, or
/// asks in vain.
Result<bool> ask(kvm::TdxVm& td) {
  bool asked = false;
  TEEIO_TRY(td.as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    const auto result = module.tdg_iq_inv_request(vp, 1, kRamGpa);
    asked = result.invalidations.has_value();
    if (result.leaf.ok()) return {};
    return fail(Errno::kIo, "TDG.IQ.INV.REQUEST failed");
  }));
  return asked;
}

/// What `act` does in KVM_RUN, which holds the VM.
void in_kvm_run(Vmm& vmm, const std::function<void(kvm::TdxVm&)>& act) {
  const auto file = vmm.file(vmm.vm);
  if (file) act(dynamic_cast<kvm::TdxVm&>(static_cast<kvm::VmFile&>(**file).vm().ops()));
}

/// The guest asks while the device is taken from it; what it asked for is committed when it is.
void ask_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = with_descriptor(stage);
  if (opponent.prepare != nullptr) opponent.prepare(stage, vmm);
  bool asked = false;
  stage.play({{"guest",
               [&] { in_kvm_run(vmm, [&](kvm::TdxVm& td) { asked = ask(td).value_or(false); }); }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
  if (asked) in_kvm_run(vmm, [](kvm::TdxVm& td) { td.invalidate_for_guest(); });
}

Result<void> unbind(Stage& stage, Vmm& vmm) {
  must(stage.unbind(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
  return {};
}

}  // namespace

void add_invalidation_scenarios(std::vector<MachineScenario>& all) {
  static constexpr Opponent kUnbind{.name = "unbind", .words = "an unbind", .act = unbind};
  const auto add = [&](const Opponent& opponent) {
    all.push_back({.name = fmt::format("invalidate/ask-against-{}", opponent.name),
                   .description = fmt::format("a guest has IOMMUs forget its memory against {}",
                                              opponent.words),
                   .body = [&opponent](const Config& design) { ask_against(design, opponent); },
                   .firmware = {machine::TsmKind::kTdx},
                   .fits = has_every_door});
  };
  add(kUnbind);
  // Of the others some meet none of it, the rest make many orders of the same races.
  constexpr std::array<std::string_view, 2> kMeet = {"iommufd-close", "vm-close"};
  for (const Opponent& opponent : opponents())
    if (std::ranges::find(kMeet, opponent.name) != kMeet.end()) add(opponent);
}

}  // namespace teeio::explore
