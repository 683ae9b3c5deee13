#include "explore/scenario/stage.h"

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/coverage.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/outcome.h"
#include "host/pci_tsm/doe.h"
#include "machine/tsm_kind.h"
#include "object/trace.h"
#include "rules/teardown_order.h"
#include "schedule/consulted.h"
#include "schedule/controller.h"
#include "schedule/fiber_controller.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

/// Both for a run that is shown: the explored process has one OS thread a shard.
bool g_keep_events = false;
object::Trace* g_last_trace = nullptr;

/// What the set-up draws is the same for every schedule, and other than what its tasks draw:
/// RunLimits::seed.
constexpr std::uint64_t kSeed = 0x57a6e;
constexpr std::uint64_t kSecondNs = 1'000'000'000;

std::string text_of(const rules::Violation& violation) {
  return "R" + std::to_string(static_cast<unsigned>(violation.rule)) + ": " + violation.what;
}

}  // namespace

/// A VM that KVM gives up is a host's failure, which no rule judges by itself. Where a
/// rule breaks in the same schedule, before or after, that is the better sentence: this
/// one is said at the end.
class Stage::LifeOfVms final : public object::TraceSink {
 public:
  void on_event(const object::Event& event) override {
    if (event.fact == object::Fact::kVmDead && !may_die && found.empty())
      found = "VM " + std::to_string(event.vm) + " was given up: " + std::string(event.name);
    link_lost = link_lost || event.name == "hot reset";
  }
  /// A monitor that was not called for an answer of the device has lost its place in the session.
  /// It cannot end that either, and keeps the PDEV.
  void on_outcome(const object::Event& event) override {
    if (!monitor_has_session || !event.refused || event.name != "RMI_VDEV_COMMUNICATE") return;
    session_lost = may_lose = true;
  }
  bool monitor_has_session = false;
  bool session_lost = false;
  bool may_die = false;
  std::string found;
  /// A broken rule ends the schedule where it was broken, unless it may come to that.
  void on_broken(const rules::Violation& violation) {
    using rules::RuleId;
    if (hostile && violation.rule == RuleId::kR4) return;
    // A firmware that keeps a TDI has its VM go before it, and its function reset before it.
    const bool follows =
        !lost.empty() && (violation.rule == RuleId::kR2 || violation.rule == RuleId::kR3);
    if (!may_lose || (violation.rule != RuleId::kR5 && violation.rule != RuleId::kR10 && !follows))
      check_failed(text_of(violation));
    if (lost.empty()) lost = text_of(violation);
    leaks = leaks || violation.rule == RuleId::kR5;
  }
  bool hostile = false;
  bool may_lose = false;
  bool has_next_life = true;
  std::string lost;
  bool leaks = false;
  std::string_view device;     ///< the first that a VMM was made ready for; empty: none
  bool link_lost = false;      ///< IDE does not survive a hot reset
  std::uint64_t began_ns = 0;  ///< of the explored part
  /// A mailbox is polled for a second (PCI_DOE_TIMEOUT); a removal looks every ten whether its
  /// program has gone, iommufd waits a minute for a user: then somebody was not told.
  std::uint64_t may_take_ns = 10 * kSecondNs;
};

namespace {

bool has_session(const machine::Config& design) {
  return std::ranges::any_of(design.cards, [](const machine::CardConfig& card) {
    return card.spdm == machine::SpdmChannel::kSession;
  });
}

void look_at_the_clock(std::uint64_t began_ns, std::uint64_t may_take_ns) {
  if (schedule::controller() == nullptr || schedule::now_ns() - began_ns < may_take_ns) return;
  check_failed(std::to_string(may_take_ns / kSecondNs) + " seconds went by: a wait timed out");
}

/// From a VM's making to unbind, with private MMIO and trusted DMA on the way.
Result<void> whole_life(Stage& stage, Vmm& vmm, std::string_view device, bool link_lost,
                        bool may_be_in_error) {
  if (link_lost) (void)stage.machine().disconnect_cards();  // refused: it was not connected
  // EBUSY: it is connected.
  if (const auto connected = stage.machine().connect_cards();
      !connected && connected.error().code != Errno::kBusy)
    return connected;
  TEEIO_TRY(vmm.prepare(device, stage.vm_type(),
                        stage.vdevice_binds() ? Vmm::Upto::kViommu : Vmm::Upto::kVdevice));
  // A TDI that was left in ERROR is not locked, but stopped: by the bind that fails.
  if (auto bound = stage.bind(vmm); !bound) {
    if (!may_be_in_error) return bound;
    TEEIO_TRY(stage.bind(vmm));
  }
  TEEIO_TRY(stage.lock(vmm));
  TEEIO_TRY(stage.make_runnable(vmm));
  TEEIO_TRY(vmm.map_private_mmio());
  TEEIO_TRY(stage.enable_dma(vmm, device));
  TEEIO_TRY(stage.unbind(vmm));
  if (!works_as_shared(vmm)) return fail(Errno::kIo, "the host cannot read its BAR after unbind");
  return {};
}

/// Whatever came before left nothing that stands in the way of the function's next user.
void live_once_more(Stage& stage, std::string_view device, bool link_lost, bool may_be_in_error) {
  const auto node = stage.root().open(device);
  // Gone: the function was removed, or its driver unbound.
  if (!node && node.error().code == Errno::kNoEnt) return;
  if (node) must(stage.root().close(*node));
  if (!stage.machine().has_tsm()) return;  // so is the TSM
  Vmm& next = stage.vmm();
  if (const auto lived = whole_life(stage, next, device, link_lost, may_be_in_error); !lived)
    check_failed("R10: after the scenario, a whole life of its function fails: " +
                 std::string(errno_name(lived.error().code)) + ", " +
                 std::string(lived.error().why));
  next.exit();
}

}  // namespace

void keep_events(bool keep) { g_keep_events = keep; }

const std::deque<object::Event>& kept_events() {
  static const std::deque<object::Event> kNone;
  return g_last_trace == nullptr ? kNone : g_last_trace->events();
}

void must(const Result<void>& result) {
  if (!result)
    check_failed(
        "a step of the scenario's set-up failed: " + std::string(errno_name(result.error().code)) +
        ", " + std::string(result.error().why));
}

Stage::Stage(const machine::Config& design, Card card)
    : design_(design),
      controller_(schedule::controller()),
      life_of_vms_(std::make_unique<LifeOfVms>()),
      sanitizer_(std::make_unique<rules::Sanitizer>(
          rules::teardown_order(design.tsm.name),
          [life = life_of_vms_.get()](const rules::Violation& violation) {
            life->on_broken(violation);
          })) {
  life_of_vms_->monitor_has_session = design.tsm == machine::TsmKind::kCca && has_session(design);
  schedule::set_controller(nullptr);
  // A set-up before this one may have ended in a finding, in the middle of a call.
  schedule::clear_task_locals();
  schedule::ask_only({});
  tsm::set_meddler(nullptr);
  schedule::set_seed(kSeed);
  auto made = machine::Machine::create(design);
  TEEIO_CHECK(made.has_value(), "the scenario's machine cannot be made");
  machine_ = std::move(*made);
  machine_->trace().keep_events(g_keep_events);
  g_last_trace = &machine_->trace();
  machine_->trace().add_sink(*sanitizer_);
  machine_->trace().add_sink(*life_of_vms_);
  if (Coverage* into = watched_coverage(); into != nullptr) {
    coverage_ = std::make_unique<CoverageSink>(*into);
    machine_->trace().add_sink(*coverage_);
  }
  if (std::string* into = watched_outcome(); into != nullptr) {
    outcome_ = std::make_unique<OutcomeSink>(*into);
    machine_->trace().add_sink(*outcome_);
  }
  at_boot_ = machine_->census();
  root_ = std::make_unique<machine::Program>(*machine_, 1);
  if (card == Card::kConnected) must(machine_->connect_cards());
}

Stage::~Stage() {
  play();
  if (outcome_ != nullptr) outcome_->close(*machine_);
  schedule::go_on_alone();
  if (coverage_ != nullptr) coverage_->stop();
  for (const auto& vmm : vmms_) vmm->exit();
  root_->exit();
  schedule::set_controller(nullptr);
  if (session_is_lost()) (void)machine_->disconnect_cards();  // refused: it was not connected
  if (life_of_vms_->has_next_life && !(session_is_lost() && !lost().empty()))
    live_once_more(*this, life_of_vms_->device.empty() ? kPf : life_of_vms_->device,
                   life_of_vms_->link_lost, life_of_vms_->may_lose);
  schedule::set_controller(controller_);
  machine_->shut_down();
  look_at_the_clock(life_of_vms_->began_ns, life_of_vms_->may_take_ns);
  // Nobody else is left: what follows only looks, and takes the machine apart.
  schedule::set_controller(nullptr);
  sanitizer_->finish();
  if (!life_of_vms_->found.empty()) check_failed(life_of_vms_->found);
  if (!leaks()) compare_with_boot();
  if (schedule::goes_back())
    leave();
  else
    take_apart();
  g_last_trace = nullptr;
  schedule::set_controller(controller_);
}

/// All is as it was at the checkpoint before anything else happens.
void Stage::leave() {
  for (auto& vmm : vmms_) (void)vmm.release();
  (void)root_.release();
  (void)coverage_.release();
  (void)outcome_.release();
  (void)machine_.release();
}

void Stage::take_apart() {
  vmms_.clear();
  root_.reset();
  machine_.reset();
}

void Stage::mount_sysfs() { (void)machine_->system_calls().tree_generation(); }

void Stage::vm_may_die() { life_of_vms_->may_die = true; }
void Stage::may_take(std::uint64_t seconds) { life_of_vms_->may_take_ns = seconds * kSecondNs; }
void Stage::host_is_hostile() { life_of_vms_->hostile = true; }
void Stage::may_lose_the_card() { life_of_vms_->may_lose = true; }
bool Stage::session_is_lost() const { return life_of_vms_->session_lost; }
const std::string& Stage::lost() const { return life_of_vms_->lost; }
bool Stage::leaks() const { return life_of_vms_->leaks; }
void Stage::has_no_next_life() { life_of_vms_->has_next_life = false; }
void Stage::card_is_lost() {
  TEEIO_CHECK(!life_of_vms_->lost.empty(),
              "R10: no way brings the card back, and no rule says why");
  has_no_next_life();
}
void Stage::connect_anew_at_the_end() { life_of_vms_->link_lost = true; }

void Stage::compare_with_boot() {
  const auto now = machine_->census();
  for (const auto& [key, value] : at_boot_) {
    const auto at = now.find(key);
    if (at == now.end() || at->second == value) continue;  // what was removed stays away
    check_failed("R5: the machine is not as it was at boot: " + key + ": " + value + " at boot, " +
                 at->second + " now");
  }
}

Vmm& Stage::vmm() {
  const auto pid = static_cast<std::int32_t>(vmms_.size() + 2);
  return *vmms_.emplace_back(std::make_unique<Vmm>(*machine_, pid));
}

Vmm& Stage::ready(std::string_view device) {
  Vmm& made = vmm();
  if (life_of_vms_->device.empty()) life_of_vms_->device = device;
  // Where making a vDEVICE binds, that is bind()'s.
  must(made.prepare(device, vm_type(), vdevice_binds() ? Vmm::Upto::kViommu : Vmm::Upto::kVdevice));
  return made;
}

Vmm& Stage::bound(std::string_view device) {
  Vmm& made = ready(device);
  must(bind(made));
  return made;
}

Vmm& Stage::locked(std::string_view device) {
  Vmm& made = bound(device);
  must(lock(made));
  return made;
}

Vmm& Stage::with_mmio(std::string_view device) {
  Vmm& made = locked(device);
  must(make_runnable(made));
  must(made.map_private_mmio());
  return made;
}

Vmm& Stage::with_dma(std::string_view device) {
  Vmm& made = with_mmio(device);
  must(enable_dma(made, device));
  return made;
}

Result<void> Stage::run(Vmm& vmm) {
  if (vendor().runs_before_dma) TEEIO_TRY(ask_state(vmm, abi::TSM_TDI_RUN));
  return {};
}

Result<void> Stage::enable_dma(Vmm& vmm, std::string_view device) {
  TEEIO_TRY(run(vmm));
  return enable_dma_of_running(vmm, device);
}

Result<void> Stage::enable_dma_of_running(Vmm& vmm, std::string_view device) {
  Bdf function = design_.cards.front().bdf;
  if (device != kPf)
    function = Bdf::from_rid(static_cast<std::uint16_t>(function.rid() + (device == kVf0 ? 1 : 2)),
                             function.domain);
  return vendor().enable_dma(vmm, function);
}

bool Stage::vdevice_binds() const {
  schedule::consult("bind_owner");
  return design_.bind_owner == iommufd::BindOwner::kVdevice;
}

Result<void> Stage::bind(Vmm& vmm) {
  schedule::consult("bind_owner");
  switch (design_.bind_owner) {
    case iommufd::BindOwner::kAny:
    case iommufd::BindOwner::kIommufd:
      return vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND);
    case iommufd::BindOwner::kVfio:
      return vmm.vfio_bind();
    case iommufd::BindOwner::kGuest:
      return ask_state(vmm, abi::TSM_TDI_LOCKED);
    case iommufd::BindOwner::kVdevice:
      return vmm.make_vdevice();
  }
  return {};
}

Result<void> Stage::unbind(Vmm& vmm) {
  schedule::consult("bind_owner");
  switch (design_.bind_owner) {
    case iommufd::BindOwner::kAny:
    case iommufd::BindOwner::kIommufd:
      return vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND);
    case iommufd::BindOwner::kVfio:
      return vmm.vfio_unbind();
    case iommufd::BindOwner::kGuest:
      return ask_state(vmm, abi::TSM_TDI_UNLOCKED);
    case iommufd::BindOwner::kVdevice:
      return vmm.destroy(vmm.vdevice_id);
  }
  return {};
}

Result<void> Stage::ask_state(Vmm& vmm, std::uint32_t state) {
  TEEIO_TRY(vmm.request(abi::TSM_REQ_SET_TDI_STATE, vendor().request_arch, state));
  return {};
}

Result<void> Stage::lock(Vmm& vmm) {
  // So has a guest that bound it.
  const bool is_locked = vendor().bind_locks || design_.bind_owner == iommufd::BindOwner::kGuest;
  return is_locked ? Result<void>() : ask_state(vmm, abi::TSM_TDI_LOCKED);
}

Result<void> Stage::make_runnable(Vmm& vmm) { return vendor().make_runnable(vmm); }

void Stage::play(std::initializer_list<Actor> actors) {
  if (set_up_) {
    // Later schedules begin here. What OpenSSL has of a session is on its own heap.
    if (!has_session(design_)) schedule::checkpoint();
    g_last_trace = &machine_->trace();
    schedule::set_controller(controller_);
    life_of_vms_->began_ns = schedule::now_ns();
  }
  set_up_ = false;
  std::vector<schedule::Task> tasks;
  tasks.reserve(actors.size());
  for (const Actor& actor : actors) tasks.push_back(schedule::Task::spawn(actor.name, actor.act));
  const bool removes = std::ranges::any_of(actors, &Actor::removes);
  const auto waits = [&](const Actor& actor) {
    return actor.removes || (removes && actor.follows_removal);
  };
  std::size_t at = 0;
  for (const Actor& actor : actors)
    if (schedule::Task& task = tasks[at++]; !waits(actor)) task.join();
  if (!removes) return;
  // Once nobody else can go on: what an exit does to a removal that begins is asked by itself
  // (bus/removal-against-exit, bus/removal-against-close).
  schedule::pause(1'000'000'000);
  for (const auto& vmm : vmms_) vmm->exit();
  at = 0;
  for (const Actor& actor : actors)
    if (schedule::Task& task = tasks[at++]; waits(actor)) task.join();
}

std::string Stage::tdi_state(std::string_view bdf) {
  return machine_->census()["TDI state of " + std::string(bdf)];
}

bool Stage::is_bound(std::string_view bdf) {
  return !machine_->census()["bound TSM of " + std::string(bdf)].empty();
}

}  // namespace teeio::explore
