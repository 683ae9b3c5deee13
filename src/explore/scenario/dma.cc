// Trusted DMA is on: who ends it, in which order, and what comes after.

#include <functional>
#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

void unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_dma();
  stage.play();
  must(stage.unbind(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
  must(stage.bind(vmm));
  must(stage.lock(vmm));
  must(vmm.pre_fault(kMmioGpa));
  must(stage.enable_dma(vmm));
}

/// One step fails once: the unbind's, or what comes after, which is then tried again.
void fail_unbind_with_dma(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_dma();
  stage.play();
  must(stage.unbind(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
}

void fail_exit(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_dma();
  stage.play();
  vmm.exit();
}

void unbind_against(Stage& stage, Vmm& vmm, const std::function<void()>& act) {
  Result<void> unbound;
  stage.play({{"guest", act}, {"unbinder", [&] { unbound = stage.unbind(vmm); }}});
  // IOMMU_DESTROY of a vDEVICE that a request uses is EBUSY.
  if (!unbound && stage.vdevice_binds()) must(stage.unbind(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
}

void enable_against_unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  must(stage.run(vmm));
  unbind_against(stage, vmm, [&] { (void)stage.enable_dma_of_running(vmm); });
}

void run_against_unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  unbind_against(stage, vmm, [&] { (void)stage.run(vmm); });
}

void two_functions(const Config& design) {
  Stage stage(design);
  Vmm& first = stage.with_dma(kVf0);
  Vmm& second = stage.with_dma(kVf1);
  stage.play({{"first", [&] { (void)stage.unbind(first); }}, {"second", [&] { second.exit(); }}});
  TEEIO_CHECK(works_as_shared(first), "R10: the function was unbound and does not work");
}

void unbind_with_dma_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = stage.with_dma();
  if (opponent.prepare != nullptr) opponent.prepare(stage, vmm);
  stage.play({{"unbinder", [&] { (void)stage.unbind(vmm); }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
}

}  // namespace

void add_dma_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "dma/unbind",
                 .description = "unbind with trusted DMA on, and a second life",
                 .body = unbind});
  all.push_back({.name = "dma/enable-against-unbind",
                 .description = "the guest turns trusted DMA on while the TDI is unbound",
                 .body = enable_against_unbind,
                 // On TDX the guest is inside of its vCPU then, which nobody kicks here.
                 .firmware = {machine::TsmKind::kCca}});
  all.push_back({.name = "dma/run-against-unbind",
                 .description = "a TDI is asked to run while it is unbound",
                 .body = run_against_unbind,
                 .firmware = {machine::TsmKind::kCca, machine::TsmKind::kSev}});
  all.push_back({.name = "dma/two-functions",
                 .description = "two functions with trusted DMA end, by unbind and by exit",
                 .body = two_functions});
  all.push_back({.name = "dma/failing-unbind",
                 .description = "each step of unbind with trusted DMA on fails once",
                 .body = fail_unbind_with_dma,
                 .failures = 1});
  all.push_back({.name = "dma/failing-exit",
                 .description = "each step of an exit with trusted DMA on fails once",
                 .body = fail_exit,
                 .failures = 1});
  for (const Opponent& opponent : opponents())
    all.push_back(
        {.name = "dma/unbind-against-" + std::string(opponent.name),
         .description = "unbind with trusted DMA on against " + std::string(opponent.words),
         .body = [&opponent](const Config& d) { unbind_with_dma_against(d, opponent); }});
}

}  // namespace teeio::explore
