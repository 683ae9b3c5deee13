#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "explore/scenario/vendor.h"
#include "explore/scenario/vmm.h"
#include "machine/config.h"
#include "machine/machine.h"
#include "rules/sanitizer.h"

namespace teeio::schedule {
class Controller;
}

namespace teeio::explore {

class CoverageSink;
class OutcomeSink;

/// One task of a scenario.
struct Actor {
  std::string_view name;
  std::function<void()> act;
  /// Waits until programs have closed a device: its removal.
  bool removes = false;
  /// Waits for who removes, if there is one: for the function's device_lock().
  bool follows_removal = false;
};

/// Where one schedule of a scenario plays: a machine whose card is connected, the
/// programs that use it, and rules that listen.
///
/// It has three parts. The set-up, from the constructor to the first play(), is
/// done by one task alone, natively: nothing in it is explored and it costs no
/// points. play() is explored. The end, in the destructor, is as at the end of
/// `teeio run`: every program exits, the card is disconnected, and then no rule
/// may have been broken and the machine must be as at boot.
///
/// Lifetime: of one schedule, on its task 0.
class Stage {
 public:
  enum class Card : std::uint8_t { kConnected, kAsAtBoot };
  explicit Stage(const machine::Config& design, Card card = Card::kConnected);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  [[nodiscard]] machine::Machine& machine() { return *machine_; }
  [[nodiscard]] const Vendor& vendor() const { return vendor_of(design_.tsm); }
  [[nodiscard]] std::uint64_t vm_type() const { return vendor().vm_type; }

  /// A shell of root's.
  [[nodiscard]] machine::Program& root() { return *root_; }
  /// A further VMM, with nothing yet.
  Vmm& vmm();
  /// One that is ready to bind `device`.
  Vmm& ready(std::string_view device = kPf);
  /// One whose `device` is bound.
  Vmm& bound(std::string_view device = kPf);
  /// One whose device is bound and whose TDI is LOCKED: private MMIO may be mapped.
  Vmm& locked(std::string_view device = kPf);
  /// One whose guest has a page of private MMIO.
  Vmm& with_mmio(std::string_view device = kPf);

  /// And whose guest has trusted DMA on too.
  Vmm& with_dma(std::string_view device = kPf);
  /// The guest's part of that, once MMIO is mapped.
  Result<void> enable_dma(Vmm& vmm, std::string_view device = kPf);
  /// Its two parts: the TDI runs, where the vendor wants that first, and the guest enables.
  Result<void> run(Vmm& vmm);
  Result<void> enable_dma_of_running(Vmm& vmm, std::string_view device = kPf);

  /// Binds and unbinds by the door that the design has open.
  /// bind() makes the vDEVICE, which ready() has left out (list proposal v7).
  [[nodiscard]] bool vdevice_binds() const;
  Result<void> bind(Vmm& vmm);
  Result<void> unbind(Vmm& vmm);
  /// IOMMU_VDEVICE_TSM_REQ: the guest asks for `state`, enum tsm_tdi_state.
  Result<void> ask_state(Vmm& vmm, std::uint32_t state);
  /// After bind: where that has not locked the TDI, the guest asks for it.
  Result<void> lock(Vmm& vmm);
  /// Vendor::make_runnable.
  Result<void> make_runnable(Vmm& vmm);

  /// Runs the actors against each other, in every order, and waits for all. With
  /// one or none the rest of the scenario's own task is what is explored. Where one of them
  /// removes a device, every VMM exits once those who do not wait for that are through, as a
  /// program does that is asked to let go.
  void play(std::initializer_list<Actor> actors = {});

  /// In the set-up: /sys is there, as it is on a machine that is up, before somebody
  /// looks at it in play().
  void mount_sysfs();

  /// From now on KVM may give a VM up (KVM_BUG_ON): what this scenario is about, or
  /// comes to by a call that its VMM should not make. Else that is a finding.
  void vm_may_die();
  /// So much virtual time is a finding; without, ten seconds are.
  void may_take(std::uint64_t seconds);
  /// At the end the card is connected anew before its next life: its session or its keys may
  /// be lost.
  void connect_anew_at_the_end();
  /// From now on a firmware may keep what it was given (R5), and a TDI stay as it is when its
  /// function is unbound (R10): lost() has the first such finding. card_is_lost(): for good, so
  /// that nothing comes after this; precondition: lost() says something.
  void may_lose_the_card();
  /// The scenario leaves the function alone, and its machine has no way to live with it: what
  /// comes after is not looked at.
  void has_no_next_life();
  /// From now on the host reaches bound devices (R4): what the scenario is about.
  void host_is_hostile();
  [[nodiscard]] const std::string& lost() const;
  /// Whether a firmware has kept something (R5), where it may.
  [[nodiscard]] bool leaks() const;
  void card_is_lost();
  /// Whether a monitor's message to its device failed in an authenticated session: no other one
  /// works before the card is connected anew, which an RMM may make impossible. What it keeps then
  /// is no finding, and where it keeps something nothing comes after.
  [[nodiscard]] bool session_is_lost() const;

  /// The state of a function's TDI ("CONFIG_LOCKED"), and whether it is bound.
  [[nodiscard]] std::string tdi_state(std::string_view bdf);
  [[nodiscard]] bool is_bound(std::string_view bdf);

 private:
  class LifeOfVms;
  void compare_with_boot();
  void leave();
  void take_apart();

  const machine::Config& design_;
  schedule::Controller* const controller_;  ///< set aside during the set-up
  bool set_up_ = true;
  std::unique_ptr<LifeOfVms> life_of_vms_;  ///< outlives what tells it of broken rules
  std::unique_ptr<rules::Sanitizer> sanitizer_;
  std::unique_ptr<CoverageSink> coverage_;  ///< null: nobody notes what is reached
  std::unique_ptr<OutcomeSink> outcome_;    ///< null: nobody asks what came of it
  std::unique_ptr<machine::Machine> machine_;
  std::map<std::string, std::string> at_boot_;
  std::unique_ptr<machine::Program> root_;
  std::vector<std::unique_ptr<Vmm>> vmms_;
};

/// For the set-up of a scenario, which must work or the scenario says nothing.
void must(const Result<void>& result);

// The functions of the built-in machines, as events and the census name them.
inline constexpr std::string_view kPfBdf = "0000:01:00.0";
inline constexpr std::string_view kVf0Bdf = "0000:01:00.1";
inline constexpr std::string_view kVf1Bdf = "0000:01:00.2";

}  // namespace teeio::explore
