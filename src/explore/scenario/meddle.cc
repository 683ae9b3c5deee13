// A hostile host loses, repeats, delays or gives again any one object of connect, bind, a guest's
// start, unbind, or crosses it with another card's. The guest starts only what it attested,
// teardown goes through whatever was lost, and docs/adversaries.md says what brings the card back.

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/meddling.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

enum class Cards : std::uint8_t { kOne, kTwo };

/// A card's one function, as events, VFIO and sysfs name it.
struct Place {
  std::string_view bdf, device, directory;
};
constexpr Place kFirst{kPfBdf, kPf, kCard};
constexpr Place kOther{"0000:09:00.0", "/dev/vfio/devices/vfio1",
                       "/sys/devices/pci0000:00/0000:00:09.0/0000:09:00.0"};

/// In the clear nothing that is carried twice is told from what is new. Without VFs a host may
/// reset the card's bus.
Config with_session(const Config& design, Cards cards) {
  Config config = cards == Cards::kTwo ? with_second_card(design) : design;
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

/// One card, by its files in sysfs.
Result<void> connect_one(Stage& stage, const Place& place) {
  const auto done = stage.root().echo("tsm0\n", std::string(place.directory) + "/tsm/connect");
  if (!done) return std::unexpected(done.error());
  return {};
}

/// What came before may have taken its connection already.
Result<void> connect_anew(Stage& stage, const Place& place) {
  (void)stage.root().echo("tsm0\n", std::string(place.directory) + "/tsm/disconnect");
  return connect_one(stage, place);
}

/// Binds, and locks. A TDI in ERROR is not locked, but stopped: by the bind that fails.
bool binds(Stage& stage, Vmm& vmm, const Place& place) {
  for (int tries = 0; tries < 2; ++tries) {
    if (bind_and_lock(stage, vmm)) return true;
    if (stage.is_bound(place.bdf)) must(stage.unbind(vmm));
  }
  return false;
}

/// What is left of the card: a bind says it. `vmm` has the function, not bound.
Recovery recover(Stage& stage, Vmm& vmm, bool failed, const Place& place = kFirst) {
  if (binds(stage, vmm, place)) return failed ? Recovery::kTryAgain : Recovery::kUnnoticed;
  if (connect_anew(stage, place) && binds(stage, vmm, place)) return Recovery::kConnectAnew;
  vmm.exit();
  Vmm& next = stage.vmm();
  if (connect_anew(stage, place) && next.prepare(place.device, stage.vm_type()) &&
      binds(stage, next, place))
    return Recovery::kCloseToo;
  if (hot_reset(next) && connect_anew(stage, place) && binds(stage, next, place))
    return Recovery::kHotReset;
  stage.card_is_lost();
  return Recovery::kLost;
}

void end(MeddlingHost& host, const Stage& stage, Recovery recovery) {
  host.result().recovery = recovery;
  host.result().leaks = stage.leaks();
  tell_meddling(host.result());
}

/// Of what is done to a card, and what it takes to have it again.
void expect_anything(Stage& stage) {
  stage.connect_anew_at_the_end();
  stage.may_lose_the_card();
}

Result<void> attest_and_start(Stage& stage, Vmm& vmm, Bdf function) {
  TEEIO_TRY(stage.vendor().attest(vmm, function));
  return stage.vendor().start(vmm, function);
}

/// What is behind every unbind.
void use_unless_lost(const Stage& stage, Vmm& vmm) {
  TEEIO_CHECK(!stage.lost().empty() || works_as_shared(vmm),
              "R10: a function was unbound and does not work");
}

/// The other card has said the like before. Where there is none, nothing.
void record(MeddlingHost& host, Vmm* other, const std::function<Result<void>(Vmm&)>& flow) {
  if (other == nullptr) return;
  host.record();
  must(flow(*other));
  host.stop();
}

/// Whatever the other card's mailbox was told, its VM gives the function back, and the host has
/// the card again.
Recovery leave(Stage& stage, Vmm* other) {
  if (other == nullptr) return Recovery::kUnnoticed;
  if (stage.is_bound(kOther.bdf)) must(stage.unbind(*other));
  use_unless_lost(stage, *other);
  return recover(stage, *other, false, kOther);
}

void meddle_with_connect(const Config& design, Cards cards) {
  const Config config = with_session(design, cards);
  MeddlingHost host;
  Stage stage(config, Stage::Card::kAsAtBoot);
  expect_anything(stage);
  stage.mount_sysfs();
  Vmm& vmm = stage.ready();
  Vmm* const other = cards == Cards::kTwo ? &stage.ready(kOther.device) : nullptr;
  record(host, other, [&stage](Vmm&) { return connect_one(stage, kOther); });
  stage.play();
  host.start(stage.machine().trace());
  const auto connected = connect_one(stage, kFirst);
  host.stop();
  host.result().failed = !connected;
  // What comes late comes with the second attempt, and may spoil that too.
  const bool helped = !connected && host.keeps() && connect_one(stage, kFirst);
  if (!connected && !helped) must(connect_one(stage, kFirst));
  const Recovery others = leave(stage, other);
  end(host, stage, std::max(others, recover(stage, vmm, !connected)));
}

void meddle_with_bind(const Config& design, Cards cards) {
  const Config config = with_session(design, cards);
  MeddlingHost host;
  Stage stage(config);
  expect_anything(stage);
  Vmm& vmm = stage.ready();
  Vmm* const other = cards == Cards::kTwo ? &stage.ready(kOther.device) : nullptr;
  record(host, other, [&](Vmm& its) { return bind_and_lock(stage, its); });
  stage.play();
  host.start(stage.machine().trace());
  const auto bound = bind_and_lock(stage, vmm);
  host.stop();
  host.result().failed = !bound;
  for (const Place& place : {kFirst, kOther})
    TEEIO_CHECK(stage.tdi_state(place.bdf) != "RUN", "a TDI runs that nobody has started");
  if (stage.is_bound(kPfBdf)) must(stage.unbind(vmm));
  const Recovery others = leave(stage, other);
  end(host, stage, std::max(others, recover(stage, vmm, !bound)));
}

void meddle_with_start(const Config& design, Cards cards) {
  const Config config = with_session(design, cards);
  MeddlingHost host;
  Stage stage(config);
  expect_anything(stage);
  Vmm& vmm = stage.with_mmio();
  const Bdf function = config.cards.front().bdf;
  Vmm* const other = cards == Cards::kTwo ? &stage.with_mmio(kOther.device) : nullptr;
  record(host, other,
         [&](Vmm& its) { return attest_and_start(stage, its, config.cards.back().bdf); });
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
  use_unless_lost(stage, vmm);
  const Recovery others = leave(stage, other);
  end(host, stage, std::max(others, recover(stage, vmm, !started)));
}

/// Its TDI runs, before the host meddles with anything.
Vmm& running(Stage& stage, const Config& config) {
  expect_anything(stage);
  Vmm& vmm = stage.with_mmio();
  must(attest_and_start(stage, vmm, config.cards.front().bdf));
  return vmm;
}

/// Also of a running TDI, whose keys they are.
void meddle_with_refresh(const Config& design, Cards cards) {
  const Config config = with_session(design, cards);
  MeddlingHost host;
  Stage stage(config);
  Vmm& vmm = running(stage, config);
  stage.play();
  host.start(stage.machine().trace());
  const auto refreshed = stage.machine().refresh_keys();
  host.stop();
  host.result().failed = !refreshed;
  (void)stage.machine().refresh_keys();  // what was left half-way
  must(stage.unbind(vmm));
  use_unless_lost(stage, vmm);
  end(host, stage, recover(stage, vmm, !refreshed));
}

void meddle_with_unbind(const Config& design, Cards cards) {
  const Config config = with_session(design, cards);
  MeddlingHost host;
  Stage stage(config);
  Vmm& vmm = running(stage, config);
  Vmm* const other = cards == Cards::kTwo ? &stage.with_mmio(kOther.device) : nullptr;
  if (other != nullptr) must(attest_and_start(stage, *other, config.cards.back().bdf));
  record(host, other, [&](Vmm& its) { return stage.unbind(its); });
  stage.play();
  host.start(stage.machine().trace());
  must(stage.unbind(vmm));
  host.stop();
  use_unless_lost(stage, vmm);
  const Recovery others = leave(stage, other);
  end(host, stage, std::max(others, recover(stage, vmm, false)));
}

}  // namespace

void add_meddling_scenarios(std::vector<MachineScenario>& all) {
  struct Flow {
    std::string_view name, words;
    void (*body)(const Config& design, Cards cards);
  };
  static constexpr Flow kFlows[] = {{"connect", "connect", meddle_with_connect},
                                    {"bind", "bind", meddle_with_bind},
                                    {"start", "a guest's start", meddle_with_start},
                                    {"unbind", "unbind", meddle_with_unbind},
                                    {"refresh", "a refresh of IDE keys", meddle_with_refresh}};
  for (const Cards cards : {Cards::kOne, Cards::kTwo})
    for (const Flow& flow : kFlows) {
      const bool two = cards == Cards::kTwo;
      if (two && flow.body == meddle_with_refresh) continue;
      all.push_back({.name = "meddle/" + std::string(flow.name) + (two ? "-of-two" : ""),
                     .description = (two ? "the host crosses one object of two cards' "
                                         : "the host loses, repeats, delays or replays one object "
                                           "of ") +
                                    std::string(flow.words),
                     .body = [&flow, cards](const Config& design) { flow.body(design, cards); },
                     .fits = has_every_door,
                     .failures = 1});
    }
}

}  // namespace teeio::explore
