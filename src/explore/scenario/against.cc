// Bind, unbind and a guest's request, each against whatever may come at the same
// time.

#include <algorithm>
#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;

void start(Stage& stage, Vmm& vmm, const Opponent& opponent) {
  if (opponent.prepare != nullptr) opponent.prepare(stage, vmm);
}

void bind_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  start(stage, vmm, opponent);
  stage.play({{"binder", [&] { (void)stage.bind(vmm); }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
}

void unbind_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  start(stage, vmm, opponent);
  stage.play({{"unbinder", [&] { (void)stage.unbind(vmm); }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
}

/// CCA: the guest's LOCK is what the firmware does; TDX: its START, which the
/// module refuses as long as the guest itself has not asked for it.
void request_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = stage.bound();
  start(stage, vmm, opponent);
  const std::uint32_t wanted = stage.vendor().guest_asks;
  stage.play({{"guest", [&] { (void)stage.ask_state(vmm, wanted); }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
}

void request_against_unbind(const Config& design) {
  request_against(design, {.name = "unbinder", .words = "unbind", .act = [](Stage& s, Vmm& vmm) {
                             return s.unbind(vmm);
                           }});
}

void bind_against_unbind(const Config& design) {
  bind_against(design, {.name = "unbinder", .words = "unbind", .act = [](Stage& s, Vmm& vmm) {
                          return s.unbind(vmm);
                        }});
}

void unbind_twice(const Config& design) {
  unbind_against(design, {.name = "unbinder-2", .words = "unbind", .act = [](Stage& s, Vmm& vmm) {
                            return s.unbind(vmm);
                          }});
}

/// Memory is off; one program says so once more, another switches it on and
/// binds. What the first one saw in the command register is old by then.
void stale_command_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  must(write_config(vmm, kCommandRegister, kCommandMaster));
  stage.play({{"stale", [&] { (void)write_config(vmm, kCommandRegister, kCommandMaster); }},
              {"binder", [&] {
                 (void)write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory);
                 (void)stage.bind(vmm);
               }}});
  TEEIO_CHECK(stage.tdi_state(kPfBdf) != "ERROR",
              "a write that was decided before the bind cleared memory enable of a locked TDI");
}

using Against = void (*)(const Config&, const Opponent&);

void add(std::vector<MachineScenario>& all, std::string_view group, std::string_view what,
         Against against) {
  for (const Opponent& opponent : opponents())
    all.push_back(
        {.name = std::string(group) + "/against-" + std::string(opponent.name),
         .description = std::string(what) + " against " + std::string(opponent.words),
         .body = [against, &opponent](const Config& design) { against(design, opponent); }});
}

/// Which of these a step may fail in too: whoever undoes then meets the other on the way.
/// Those that are left out have too many orders to come to their end.
struct Failing {
  std::string_view what;  ///< "bind"
  Against against;
  std::string_view opponent;
  bool on_tdx;  ///< whose bind and unbind have a leaf for each page of MMIO
};
constexpr Failing kFailing[] = {
    {"bind", bind_against, "iommufd-close", true},
    {"bind", bind_against, "vm-close", true},
    {"bind", bind_against, "reset", true},
    {"bind", bind_against, "disconnect", false},
    {"bind", bind_against, "tsm-removal", false},
    {"bind", bind_against, "device-removal", false},
    {"bind", bind_against, "destroy", false},
    {"unbind", unbind_against, "iommufd-close", true},
    {"unbind", unbind_against, "vm-close", false},
    {"unbind", unbind_against, "reset", false},
    {"unbind", unbind_against, "disconnect", false},
    {"unbind", unbind_against, "device-removal", false},
    {"unbind", unbind_against, "destroy", false},
};

void add_failing(std::vector<MachineScenario>& all) {
  using machine::TsmKind;
  for (const Failing& row : kFailing) {
    const Opponent& opponent = *std::ranges::find(opponents(), row.opponent, &Opponent::name);
    all.push_back(
        {.name = "failure/" + std::string(row.what) + "-against-" + std::string(row.opponent),
         .description = "each step of " + std::string(row.what) + " fails once, against " +
                        std::string(opponent.words),
         .body = [against = row.against,
                  &opponent](const Config& design) { against(design, opponent); },
         .firmware = row.on_tdx ? std::vector<TsmKind>{}
                                : std::vector<TsmKind>{TsmKind::kCca, TsmKind::kSev},
         .failures = 1});
  }
}

}  // namespace

void add_against_scenarios(std::vector<MachineScenario>& all) {
  add(all, "bind", "bind", bind_against);
  all.push_back({.name = "bind/against-unbind",
                 .description = "bind against an unbind that may come before it",
                 .body = bind_against_unbind});
  all.push_back({.name = "bind/against-stale-command",
                 .description = "bind against a command register write decided before it",
                 .body = stale_command_against_bind});
  add(all, "unbind", "unbind", unbind_against);
  all.push_back({.name = "unbind/against-unbind",
                 .description = "two unbinds of one TDI",
                 .body = unbind_twice});
  add(all, "request", "a guest's request for the next TDI state", request_against);
  all.push_back({.name = "request/against-unbind",
                 .description = "a guest's request for the next TDI state against unbind",
                 .body = request_against_unbind});
  add_failing(all);
}

}  // namespace teeio::explore
