// A hostile host loses, repeats, delays or gives again any one object of connect, bind, a guest's
// start, unbind. The guest starts only what it attested, teardown goes through whatever was
// lost, and docs/adversaries.md says what brings the card back.

#include "base/check.h"
#include "explore/scenario/meddling.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// In the clear nothing that is carried twice is told from what is new. Without VFs a host may
/// reset the card's bus.
Config with_session(const Config& design) {
  Config config = design;
  for (machine::CardConfig& card : config.cards) {
    card.spdm = machine::SpdmChannel::kSession;
    card.vfs = 0;
  }
  return config;
}

/// VFIO_DEVICE_PCI_HOT_RESET of all that the caller's iommufd owns on the bus.
bool hot_reset(Vmm& vmm) {
  struct {
    std::uint32_t argsz, flags, count;
  } arg{sizeof(arg), 0, 0};
  return vmm.ioctl(vmm.vfio, VFIO_DEVICE_PCI_HOT_RESET, arg).has_value();
}

Result<void> bind_and_lock(Stage& stage, Vmm& vmm) {
  TEEIO_TRY(stage.bind(vmm));
  return stage.lock(vmm);
}

/// What is left of the card: a bind says it. `vmm` has the function, not bound.
Recovery recover(Stage& stage, Vmm& vmm, bool failed) {
  // A TDI in ERROR is not locked, but stopped: by the bind that fails.
  const auto binds = [&stage](Vmm& whose) {
    for (int tries = 0; tries < 2; ++tries) {
      if (bind_and_lock(stage, whose)) return true;
      if (stage.is_bound(kPfBdf)) must(stage.unbind(whose));
    }
    return false;
  };
  const auto connect_anew = [&stage] {
    (void)stage.machine().disconnect_cards();
    return stage.machine().connect_cards().has_value();
  };
  if (binds(vmm)) return failed ? Recovery::kTryAgain : Recovery::kUnnoticed;
  if (connect_anew() && binds(vmm)) return Recovery::kConnectAnew;
  vmm.exit();
  Vmm& next = stage.vmm();
  if (connect_anew() && next.prepare(kPf, stage.vm_type()) && binds(next))
    return Recovery::kCloseToo;
  if (hot_reset(next) && connect_anew() && binds(next)) return Recovery::kHotReset;
  stage.card_is_lost();
  return Recovery::kLost;
}

void end(MeddlingHost& host, const Stage& stage, Recovery recovery) {
  host.result().recovery = recovery;
  host.result().leaks = stage.leaks();
  tell_meddling(host.result());
}

void meddle_with_connect(const Config& design) {
  const Config config = with_session(design);
  MeddlingHost host;
  Stage stage(config, Stage::Card::kAsAtBoot);
  stage.connect_anew_at_the_end();
  stage.may_lose_the_card();
  Vmm& vmm = stage.ready();
  stage.play();
  host.start(stage.machine().trace());
  const auto connected = stage.machine().connect_cards();
  host.stop();
  host.result().failed = !connected;
  // What comes late comes with the second attempt, and may spoil that too.
  const bool helped = !connected && host.keeps() && stage.machine().connect_cards();
  if (!connected && !helped) must(stage.machine().connect_cards());
  end(host, stage, recover(stage, vmm, !connected));
}

void meddle_with_bind(const Config& design) {
  const Config config = with_session(design);
  MeddlingHost host;
  Stage stage(config);
  stage.connect_anew_at_the_end();
  stage.may_lose_the_card();
  Vmm& vmm = stage.ready();
  stage.play();
  host.start(stage.machine().trace());
  const auto bound = bind_and_lock(stage, vmm);
  host.stop();
  host.result().failed = !bound;
  if (stage.is_bound(kPfBdf)) must(stage.unbind(vmm));
  end(host, stage, recover(stage, vmm, !bound));
}

void meddle_with_start(const Config& design) {
  const Config config = with_session(design);
  MeddlingHost host;
  Stage stage(config);
  stage.connect_anew_at_the_end();
  stage.may_lose_the_card();
  Vmm& vmm = stage.with_mmio();
  const Bdf function = config.cards.front().bdf;
  stage.play();
  host.start(stage.machine().trace());
  auto started = stage.vendor().attest(vmm, function);
  const bool attested = started.has_value();
  if (attested) started = stage.vendor().start(vmm, function);
  host.stop();
  const std::string state = stage.tdi_state(kPfBdf);
  // It may have fallen out of RUN since, which it does by itself.
  TEEIO_CHECK(!started || state == "RUN" || state == "ERROR", "a guest believes that its TDI runs");
  TEEIO_CHECK(attested || state != "RUN", "a TDI runs that its guest has not attested");
  host.result().failed = !started;
  must(stage.unbind(vmm));
  TEEIO_CHECK(!stage.lost().empty() || works_as_shared(vmm),
              "R10: the function was unbound and does not work");
  end(host, stage, recover(stage, vmm, !started));
}

void meddle_with_unbind(const Config& design) {
  const Config config = with_session(design);
  MeddlingHost host;
  Stage stage(config);
  stage.connect_anew_at_the_end();
  stage.may_lose_the_card();
  Vmm& vmm = stage.with_mmio();
  const Bdf function = config.cards.front().bdf;
  must(stage.vendor().attest(vmm, function));
  must(stage.vendor().start(vmm, function));
  stage.play();
  host.start(stage.machine().trace());
  must(stage.unbind(vmm));
  host.stop();
  TEEIO_CHECK(!stage.lost().empty() || works_as_shared(vmm),
              "R10: the function was unbound and does not work");
  end(host, stage, recover(stage, vmm, false));
}

}  // namespace

void add_meddling_scenarios(std::vector<MachineScenario>& all) {
  const auto add = [&](std::string name, std::string description,
                       void (*body)(const Config& design)) {
    all.push_back({.name = std::move(name),
                   .description = std::move(description),
                   .body = body,
                   .fits = has_every_door,
                   .failures = 1});
  };
  add("meddle/connect", "the host loses, repeats, delays or replays one object of connect",
      meddle_with_connect);
  add("meddle/bind", "the host loses, repeats, delays or replays one object of bind",
      meddle_with_bind);
  add("meddle/start", "the host loses, repeats, delays or replays one object of a guest's start",
      meddle_with_start);
  add("meddle/unbind", "the host loses, repeats, delays or replays one object of unbind",
      meddle_with_unbind);
}

}  // namespace teeio::explore
