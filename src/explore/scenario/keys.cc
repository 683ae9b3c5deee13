// The IDE keys of a card change while a guest uses its device.

#include "base/check.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/tdx/tdx_vm.h"

namespace teeio::explore {
namespace {

using machine::Config;

hw::PhysicalMemory& memory_of(Vmm& vmm) {
  if (const auto td = tdx_vm(vmm)) return (*td)->host().memory();
  if (const auto realm = realm_vm(vmm)) return (*realm)->host().memory();
  const auto snp = sev_vm(vmm);
  TEEIO_CHECK(snp.has_value(), "the VM is confidential");
  return (*snp)->psp().memory();
}

/// The page of private MMIO as trusted loads and stores reach it: through the IDE stream.
///
/// Lifetime: made before the Stage, and outlives it.
class PrivateMmio final : public object::TraceSink {
 public:
  void on_event(const object::Event& event) override {
    if (event.fact == object::Fact::kMmioMapped) page_ = Hpa{event.b};
  }
  void of(Vmm& vmm) {
    memory_ = &memory_of(vmm);
    TEEIO_CHECK(raw(page_) != 0, "the guest's MMIO is mapped");
  }
  void keeps(std::uint64_t word) const {
    std::uint64_t found = 0;
    must(memory_->write(page_, bytes_of(word), kTrusted));
    must(memory_->read(page_, writable_bytes_of(found), kTrusted));
    TEEIO_CHECK(found == word, "private MMIO does not keep what its guest writes");
  }

 private:
  static constexpr hw::KeyId kTrusted{1};  // whose it is the secure tables say
  hw::PhysicalMemory* memory_ = nullptr;
  Hpa page_{0};
};

/// A TDI in RUN, with private MMIO and trusted DMA.
Vmm& running(Stage& stage, const Config& design, PrivateMmio& mmio) {
  stage.machine().trace().add_sink(mmio);
  Vmm& vmm = stage.with_mmio();
  const Bdf function = design.cards.front().bdf;
  must(stage.vendor().attest(vmm, function));
  must(stage.vendor().start(vmm, function));
  mmio.of(vmm);
  return vmm;
}

void refresh(const Config& design) {
  PrivateMmio mmio;
  Stage stage(design);
  (void)running(stage, design, mmio);
  mmio.keeps(1);
  stage.play(
      {{"guest", [&] { mmio.keeps(2); }}, {"root", [&] { must(stage.machine().refresh_keys()); }}});
  mmio.keeps(4);
  must(stage.machine().refresh_keys());  // the keys of before are used up: others in their set
  mmio.keeps(5);
  TEEIO_CHECK(stage.tdi_state(kPfBdf) == "RUN", "new keys leave a TDI as it is");
}

void refresh_against_unbind(const Config& design) {
  PrivateMmio mmio;
  Stage stage(design);
  Vmm& vmm = running(stage, design, mmio);
  stage.play({{"unbinder", [&] { must(stage.unbind(vmm)); }},
              {"root", [&] { must(stage.machine().refresh_keys()); }}});
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
}

void refresh_against_disconnect(const Config& design) {
  PrivateMmio mmio;
  Stage stage(design);
  (void)running(stage, design, mmio);
  stage.play({{"root", [&] { must(stage.machine().disconnect_cards()); }},
              {"other root", [&] { (void)stage.machine().refresh_keys(); }}});
}

void refresh_twice(const Config& design) {
  PrivateMmio mmio;
  Stage stage(design);
  (void)running(stage, design, mmio);
  stage.play({{"root", [&] { must(stage.machine().refresh_keys()); }},
              {"other root", [&] { must(stage.machine().refresh_keys()); }}});
  mmio.keeps(1);
}

/// The keys of before go on, and the device is given back.
void fail_refresh(const Config& design) {
  PrivateMmio mmio;
  Stage stage(design);
  stage.connect_anew_at_the_end();
  Vmm& vmm = running(stage, design, mmio);
  stage.play();
  (void)stage.machine().refresh_keys();
  mmio.keeps(1);
  must(stage.unbind(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
}

}  // namespace

void add_key_scenarios(std::vector<MachineScenario>& all) {
  const auto add = [&](std::string name, std::string description,
                       void (*body)(const Config& design), std::uint32_t failures = 0) {
    all.push_back({.name = std::move(name),
                   .description = std::move(description),
                   .body = body,
                   .fits = has_every_door,
                   .failures = failures});
  };
  add("keys/refresh", "new IDE keys while a guest uses private MMIO", refresh);
  add("keys/refresh-against-unbind", "new IDE keys while a TDI is unbound", refresh_against_unbind);
  add("keys/refresh-against-disconnect", "new IDE keys while the card is disconnected",
      refresh_against_disconnect);
  add("keys/refresh-twice", "new IDE keys by two at once", refresh_twice);
  add("keys/failing-refresh", "each step of new IDE keys fails once", fail_refresh, 1);
}

}  // namespace teeio::explore
