// A step that fails, a process that is killed, a TDI in ERROR.

#include <array>
#include <string>

#include "base/check.h"
#include "explore/scenario/choices.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using machine::Config;
using machine::TsmKind;

/// How many points there may be where one failure is tried.
constexpr std::uint32_t kOneFailure = 1;

// --- One failure, at each place ---

void fail_connect(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  stage.play();
  const auto first = stage.machine().connect_cards();
  if (!first) must(stage.machine().connect_cards());
}

void fail_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play();
  const auto whole = [&]() -> Result<void> {
    TEEIO_TRY(stage.bind(vmm));
    return stage.lock(vmm);
  };
  if (whole()) return;
  if (stage.is_bound(kPfBdf)) must(stage.unbind(vmm));
  if (const auto second = whole(); !stage.session_is_lost()) must(second);
}

void fail_unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.play();
  (void)stage.unbind(vmm);
  TEEIO_CHECK(!stage.lost().empty() || works_as_shared(vmm),
              "R10: the function was unbound and does not work");
}

void fail_disconnect(const Config& design) {
  Stage stage(design);
  (void)stage.bound();
  stage.play();
  must(stage.machine().disconnect_cards());
}

void fail_vm(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.vmm();
  stage.play();
  const auto whole = [&]() -> Result<void> {
    TEEIO_TRY(vmm.make_vm(stage.vm_type()));
    return stage.make_runnable(vmm);
  };
  (void)whole();
}

// --- SIGKILL between any two system calls ---

using Step = Result<void> (*)(Stage& stage, Vmm& vmm);

constexpr std::array<Step, 13> kLife = {
    [](Stage& s, Vmm& v) { return v.make_vm(s.vm_type()); },
    [](Stage&, Vmm& v) { return v.open_device(kPf); },
    [](Stage&, Vmm& v) { return v.associate(); },
    [](Stage&, Vmm& v) { return v.bind_iommufd(); },
    [](Stage&, Vmm& v) { return v.make_viommu(); },
    [](Stage&, Vmm& v) { return v.make_vdevice(); },
    [](Stage& s, Vmm& v) { return s.make_runnable(v); },
    [](Stage& s, Vmm& v) { return s.bind(v); },
    [](Stage& s, Vmm& v) { return s.lock(v); },
    [](Stage&, Vmm& v) { return v.map_private_mmio(); },
    [](Stage& s, Vmm& v) -> Result<void> {
      // A refusal is as good: TDX wants the guest to ask first.
      (void)s.ask_state(v, abi::TSM_TDI_RUN);
      return {};
    },
    [](Stage& s, Vmm& v) { return s.unbind(v); },
    [](Stage& s, Vmm& v) { return s.bind(v); },
};

/// The kernel closes every descriptor in ascending order, whatever is open then.
void kill_at_each_call(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.vmm();
  stage.play();
  for (const Step step : kLife) {
    if (schedule::choose(2, kKillChoice) != 0) break;
    if (!step(stage, vmm)) break;
  }
  vmm.exit();
}

/// As above, with the administrator at work on the card.
void kill_against_disconnect(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  stage.play({{"vmm",
               [&] {
                 if (stage.bind(vmm)) (void)stage.unbind(vmm);
                 vmm.exit();
               }},
              {"root", [&] { (void)stage.machine().disconnect_cards(); }}});
}

// --- A TDI in ERROR is bound until it is unbound ---

constexpr std::string_view kPfConfig = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config";
constexpr std::uint16_t kExtendedStart = 0x100;
constexpr std::uint32_t kSriov = 0x10;
constexpr std::uint16_t kSriovControl = 8;

/// VF Enable and VF Memory Space Enable of the PF, through sysfs: the VFs' TDIs
/// are in ERROR once these go (PCIe TDISP: the PF's SR-IOV registers are locked).
class VfSwitch {
 public:
  explicit VfSwitch(machine::Program& root) : root_(root) {
    const auto fd = root.open(kPfConfig);
    TEEIO_CHECK(fd.has_value(), "root can open the PF's config space");
    fd_ = *fd;
    std::uint32_t header = 0;
    for (std::uint64_t at = kExtendedStart; at != 0; at = header >> 20U) {
      (void)root.pread(fd_, at, writable_bytes_of(header));
      if ((header & 0xffffU) == kSriov) at_ = at + kSriovControl;
    }
    TEEIO_CHECK(at_ != 0, "the PF has SR-IOV");
    (void)root.pread(fd_, at_, writable_bytes_of(before_));
  }
  void off() { write(0); }
  void on() { write(before_); }

 private:
  void write(std::uint16_t value) { (void)root_.pwrite(fd_, at_, bytes_of(value)); }
  machine::Program& root_;
  int fd_ = -1;
  std::uint64_t at_ = 0;
  std::uint16_t before_ = 0;
};

void unbind_from_error(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.locked(kVf0);
  VfSwitch vfs(stage.root());
  vfs.off();
  TEEIO_CHECK(stage.tdi_state(kVf0Bdf) == "ERROR", "the TDI went to ERROR");
  vfs.on();
  stage.play();
  (void)stage.unbind(vmm);
  TEEIO_CHECK(works_as_shared(vmm), "R10: unbound from ERROR, the function does not work");
  must(stage.bind(vmm));
}

void error_against(const Config& design, void (*act)(Stage&, Vmm&)) {
  Stage stage(design);
  Vmm& vmm = stage.locked(kVf0);
  VfSwitch vfs(stage.root());
  stage.play({{"vmm", [&] { act(stage, vmm); }}, {"root", [&] {
                                                    vfs.off();
                                                    vfs.on();
                                                  }}});
}

void error_against_unbind(const Config& design) {
  error_against(design, [](Stage& s, Vmm& v) { (void)s.unbind(v); });
}
void error_against_exit(const Config& design) {
  error_against(design, [](Stage&, Vmm& v) { v.exit(); });
}

// --- CCA: the guest moves its TDI ---

void start_against_unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  stage.play({{"guest", [&] { (void)stage.ask_state(vmm, abi::TSM_TDI_RUN); }},
              {"unbinder", [&] { (void)stage.unbind(vmm); }}});
}

void stop_against_unbind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.locked();
  must(stage.ask_state(vmm, abi::TSM_TDI_RUN));
  stage.play({{"guest", [&] { (void)stage.ask_state(vmm, abi::TSM_TDI_UNLOCKED); }},
              {"unbinder", [&] { (void)stage.unbind(vmm); }}});
}

}  // namespace

void add_ending_scenarios(std::vector<MachineScenario>& all) {
  const auto failing = [&](std::string name, std::string description,
                           void (*body)(const Config& design)) {
    all.push_back({.name = std::move(name),
                   .description = std::move(description),
                   .body = body,
                   .failures = kOneFailure});
  };
  failing("failure/connect", "each step of connect fails once, and a second try works",
          fail_connect);
  failing("failure/bind", "each step of bind fails once, and a second try works", fail_bind);
  failing("failure/unbind", "each step of unbind fails once, and it is unbound", fail_unbind);
  failing("failure/disconnect", "each step of disconnect fails once, with a function bound",
          fail_disconnect);
  failing("failure/vm", "each step of a VM's making fails once", fail_vm);
  failing("kill/at-each-call", "SIGKILL between any two system calls, and each step fails once",
          kill_at_each_call);
  all.push_back({.name = "kill/against-disconnect",
                 .description = "bind, unbind and the process's end against tsm/disconnect",
                 .body = kill_against_disconnect});
  all.push_back({.name = "error/unbind",
                 .description = "unbind from ERROR, and a second bind",
                 .body = unbind_from_error});
  all.push_back({.name = "error/against-unbind",
                 .description = "the TDI goes to ERROR while it is unbound",
                 .body = error_against_unbind});
  all.push_back({.name = "error/against-exit",
                 .description = "the TDI goes to ERROR while its process ends",
                 .body = error_against_exit});
  all.push_back({.name = "request/start-against-unbind",
                 .description = "the guest starts its TDI while it is unbound",
                 .body = start_against_unbind,
                 .firmware = {TsmKind::kCca}});
  all.push_back({.name = "request/stop-against-unbind",
                 .description = "the guest stops its TDI while it is unbound",
                 .body = stop_against_unbind,
                 .firmware = {TsmKind::kCca}});
}

}  // namespace teeio::explore
