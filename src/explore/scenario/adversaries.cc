#include "explore/scenario/adversaries.h"

#include <algorithm>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"

// Hostile hosts, each with what stops it: docs/adversaries.md is made from these rows.

namespace teeio::explore {
namespace {

using machine::Config;
using machine::TsmKind;

constexpr std::string_view kCardConfig = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config";

/// The enable bit of the card's first selective IDE stream, through the host's config space:
/// Selective IDE Stream Control. Source: PCIe Base Spec 7.9.26, as Linux drivers/pci/ide.c.
std::string stop_stream(Stage& stage, Refusals&) {
  constexpr std::uint32_t kIde = 0x30;
  constexpr std::uint64_t kExtendedStart = 0x100, kSelectiveControl = 0x10;
  (void)stage.with_mmio();
  machine::Program& root = stage.root();
  const auto fd = root.open(kCardConfig);
  TEEIO_CHECK(fd.has_value(), "root can open the PF's config space");
  stage.play();
  std::uint32_t header = 0;
  for (std::uint64_t at = kExtendedStart; at != 0; at = header >> 20U) {
    (void)root.pread(*fd, at, writable_bytes_of(header));
    if ((header & 0xffffU) != kIde) continue;
    std::uint32_t control = 0;
    (void)root.pread(*fd, at + kSelectiveControl, writable_bytes_of(control));
    control &= ~1U;
    (void)root.pwrite(*fd, at + kSelectiveControl, bytes_of(control));
    break;
  }
  return "TDI state: " + stage.tdi_state(kPfBdf);
}

/// A BAR's address, through the host's config space, and as it was once the device has noticed.
/// Source: TDISP ECN, 11.2.6, "DSM tracking and handling of locked TDI registers".
std::string move_bar(Stage& stage, Refusals&) {
  constexpr std::uint64_t kFirstBar = 0x10;
  (void)stage.with_mmio();
  machine::Program& root = stage.root();
  const auto fd = root.open(kCardConfig);
  TEEIO_CHECK(fd.has_value(), "root can open the PF's config space");
  std::uint32_t bar = 0;
  (void)root.pread(*fd, kFirstBar, writable_bytes_of(bar));
  stage.play();
  const std::uint32_t elsewhere = bar ^ 0x1000'0000U;
  (void)root.pwrite(*fd, kFirstBar, bytes_of(elsewhere));
  std::string state = "TDI state: " + stage.tdi_state(kPfBdf);
  (void)root.pwrite(*fd, kFirstBar, bytes_of(bar));
  return state;
}

/// The vendor's own exchanges are in the clear but for a replay: there it says nothing.
bool needs_session(const Adversary& row) { return row.name.starts_with("replay"); }

void run(const Config& design, const Adversary& row) {
  const auto attack = std::ranges::find(row.attacks, design.tsm, &Adversary::Attack::tsm);
  TEEIO_CHECK(attack != row.attacks.end(), "the adversary is on this vendor");
  Config config = design;
  if (needs_session(row))
    for (machine::CardConfig& card : config.cards) card.spdm = machine::SpdmChannel::kSession;
  Refusals refusals;
  Stage stage(config);
  stage.connect_anew_at_the_end();
  stage.host_is_hostile();
  stage.may_lose_the_card();
  const std::string met = attack->act(stage, refusals);
  if (!stage.lost().empty()) stage.card_is_lost();
  if (met != attack->refusal)
    check_failed("the adversary meets \"" + met + "\", not \"" + std::string(attack->refusal) +
                 "\"");
}

}  // namespace

void Refusals::on_event(const object::Event& event) {
  if (event.fact == object::Fact::kNone && event.to == object::Lane::kFirmware)
    commands_.emplace(event.name);
}

void Refusals::on_outcome(const object::Event& event) {
  using object::Lane;
  if (!event.refused || !first_.empty()) return;
  if (event.to == Lane::kFirmware || event.to == Lane::kDevice)
    first_ = std::string(event.name) + ": " + event.outcome;
}

Result<Bytes> KeepingHost::exchange(ByteView object, const Carry& carry) {
  carry_ = carry;
  auto answer = carry(object);
  if (replays_) return last_;
  if (answer) last_ = *answer;
  return answer;
}

int give_untouched_ram(Vmm& vmm, std::uint64_t size) {
  abi::kvm_create_guest_memfd create{};
  create.size = size;
  const auto made = vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create);
  TEEIO_CHECK(made.has_value(), "a guest_memfd can be made");
  abi::kvm_userspace_memory_region2 region{};
  region.slot = 3;
  region.flags = KVM_MEM_GUEST_MEMFD;
  region.guest_phys_addr = raw(kRamGpa);
  region.memory_size = size;
  region.userspace_addr = vmm.memory().map(size);
  region.guest_memfd = static_cast<std::uint32_t>(*made);
  must(vmm.set_region(region));
  must(vmm.set_private(kRamGpa, size));
  return static_cast<int>(*made);
}

void give_ram(Vmm& vmm) {
  constexpr std::uint64_t kSize = 2 * kPageSize;
  (void)give_untouched_ram(vmm, kSize);
  must(vmm.pre_fault(kRamGpa, kSize));
}

std::span<const Adversary> adversaries() {
  constexpr auto kTdx = TsmKind::kTdx;
  constexpr auto kCca = TsmKind::kCca;
  constexpr auto kSev = TsmKind::kSev;
  static const std::vector<Adversary> kRows = {
      {.name = "swap-ram",
       .words = "maps another page where the guest has one of its memory",
       .attacks = {{kTdx, "TDH.MEM.PAGE.AUG: TDX_EPT_ENTRY_STATE_INCORRECT", tdx_attack::swap_ram,
                    "the guest's page stays"},
                   {kCca, "RMI_RTT_DATA_MAP: RMI_ERROR_RTT", cca_attack::swap_ram,
                    "the realm's page stays"},
                   {kSev, "#NPF: RMP: the page is the guest's at another address",
                    sev_attack::swap_ram, "the guest makes no step until its page is back"}},
       .not_here = {}},
      {.name = "give-ram-twice",
       .words = "gives a page of one guest's memory to another guest too",
       .attacks = {{kTdx, "TDH.MEM.PAGE.AUG: TDX_PAGE_METADATA_INCORRECT",
                    tdx_attack::give_ram_twice, "the page stays the first guest's"},
                   {kCca, "RMI_RTT_DATA_MAP: RMI_ERROR_INPUT", cca_attack::give_ram_twice,
                    "the page stays the first realm's"},
                   {kSev, "#NPF: RMP: the page is not the guest's", sev_attack::give_ram_twice,
                    "the other guest makes no step until it has a page of its own"}},
       .not_here = {}},
      {.name = "replace-ram",
       .words = "takes a page of the guest's memory away, and puts one in its place",
       .attacks = {{kTdx, "EPT violation: the page is pending", tdx_attack::replace_ram,
                    "the guest makes no step until it accepts the page anew, and what was in it is "
                    "gone"},
                   {kCca, "data abort: the page is DESTROYED", cca_attack::replace_ram,
                    "the realm makes no step until it takes the page anew, and what was in it is "
                    "gone"},
                   {kSev, "#VC: RMP: the guest has not validated the page", sev_attack::replace_ram,
                    "the guest's next access is an exception, and what was in it is gone"}},
       .not_here = {}},
      {.name = "swap-mmio",
       .words = "maps another page of the BAR than the one that the guest accepts",
       .attacks = {{kTdx, "TDG.MMIO.ACCEPT: TDX_MMIO_INVALID_HPA_OFFSET", tdx_attack::swap_mmio,
                    "the page stays pending"},
                   {kCca, "RMI_RTT_DEV_VALIDATE: RMI_ERROR_RTT", cca_attack::swap_mmio,
                    "the page stays EMPTY"},
                   {kSev, "MMIO_VALIDATE: not mapped there", sev_attack::swap_mmio,
                    "the page stays invalid"}},
       .not_here = {}},
      {.name = "ram-for-mmio",
       .words = "maps memory where the guest accepts its MMIO",
       .attacks = {{kTdx, "EPT violation: the page is no MMIO", tdx_attack::put_ram_for_mmio,
                    "the guest makes no step until MMIO is there"},
                   {kCca, "RMI_RTT_DEV_VALIDATE: RMI_ERROR_RTT", cca_attack::put_ram_for_mmio,
                    "the page stays EMPTY"},
                   {kSev, "#VC: RMP: the guest has not validated the page",
                    sev_attack::put_ram_for_mmio, "the guest's next access is an exception"}},
       .not_here = {}},
      {.name = "replace-mmio",
       .words = "takes the guest's MMIO away, and puts a page in its place",
       .attacks = {{kTdx, "TDH.MMIO.UNMAP: TDX_DEVIF_TDISP_INVALID_STATE", tdx_attack::replace_mmio,
                    "the page stays blocked, and KVM gives the VM up"},
                   {kCca, "RMI_RTT_DEV_VALIDATE: RMI_ERROR_RTT", cca_attack::replace_mmio,
                    "the page is DESTROYED until the realm takes it again"},
                   {kSev, "#VC: RMP: the guest has not validated the page",
                    sev_attack::replace_mmio, "the guest's next access is an exception"}},
       .not_here = {}},
      {.name = "foreign-mmio",
       .words = "maps a page of another VM's TDI beside the guest's MMIO",
       .attacks = {{kTdx, "TDH.MMIO.MAP: TDX_MMIO_DEVIF_OWNER_MISMATCH",
                    tdx_attack::map_foreign_mmio, "nothing has changed"},
                   {kCca, "RMI_RTT_DEV_MAP: RMI_ERROR_INPUT", cca_attack::map_foreign_mmio,
                    "nothing has changed"},
                   {kSev, "#VC: RMP: the guest has not validated the page",
                    sev_attack::map_foreign_mmio, "both guests' next access is an exception"}},
       .not_here = {}},
      {.name = "replay",
       .words = "gives the guest an old report, or the firmware an old message of the guest's",
       .attacks = {{kTdx, "TDH.DEVIF.RESPONSE: TDX_SDPM_INVALID_MESSAGE", tdx_attack::replay_report,
                    "the request stays pending; the card is to be connected anew"},
                   {kCca, "VDEV state: ERROR", cca_attack::replay_report,
                    "the VDEV goes, and the PDEV stays the monitor's"},
                   {kSev, "TIO_GUEST_REQUEST: SEV_RET_INVALID_PARAM", sev_attack::replay_message,
                    "nothing has changed"}},
       .not_here = {}},
      {.name = "lock-again",
       .words = "stops and locks the TDI once more between attestation and start",
       .attacks = {{kTdx, "START_INTERFACE: INVALID_NONCE", tdx_attack::lock_again,
                    "the TDI stays CONFIG_LOCKED"},
                   {kCca, "RSI_VDEV_DMA_ENABLE: RSI_ERROR_DEVICE", cca_attack::lock_again,
                    "the TDI runs, and its trusted DMA stays off"},
                   {kSev, "secure device table: 0 entries", sev_attack::lock_again,
                    "the TDI runs, and its trusted DMA stays off"}},
       .not_here = {}},
      {.name = "foreign-tdi",
       .words = "presents the TDI of another VM",
       .attacks = {{kTdx, "TDG.DEVIF.VALIDATE: TDX_DEVIF_INVALID_METADATA", tdx_attack::foreign_tdi,
                    "nothing has changed"},
                   {kCca, "RMI_VDEV_COMPLETE: RMI_ERROR_INPUT", cca_attack::foreign_tdi,
                    "the realm's call fails"},
                   {kSev, "TIO_GUEST_REQUEST: SEV_RET_BAD_MEASUREMENT", sev_attack::foreign_tdi,
                    "nothing has changed"}},
       .not_here = {}},
      {.name = "stop-stream",
       .words = "turns the IDE stream off in the card's registers",
       .attacks = {{kTdx, "TDI state: ERROR", stop_stream, "the card is to be connected anew"},
                   {kCca, "TDI state: ERROR", stop_stream, "the card is to be connected anew"},
                   {kSev, "TDI state: ERROR", stop_stream, "the card is to be connected anew"}},
       .not_here = {}},
      {.name = "move-bar",
       .words = "writes another address to the card's BAR",
       .attacks = {{kTdx, "TDI state: ERROR", move_bar, "the card is to be connected anew"},
                   {kCca, "TDI state: ERROR", move_bar, "the card is to be connected anew"},
                   {kSev, "TDI state: ERROR", move_bar, "the card is to be connected anew"}},
       .not_here = {}},
      {.name = "destroy-early",
       .words = "takes the VM apart while a TDI is bound to it",
       .attacks = {{kTdx, "TDH.MNG.VPFLUSHDONE: TDX_TD_HAS_ATTACHED_DEVICES",
                    tdx_attack::destroy_early, "the key stays in use"},
                   {kCca, "RMI_REALM_DESTROY: RMI_ERROR_REALM", cca_attack::destroy_early,
                    "the realm stays"},
                   {kSev, "SNP_DECOMMISSION: SEV_RET_IN_USE", sev_attack::destroy_early,
                    "the guest's context stays"}},
       .not_here = {}},
      {.name = "raise-fence",
       .words = "does not map memory that a running TDI was told to use",
       .attacks = {{kSev, "ASID fence: fenced", sev_attack::raise_fence,
                    "the guest's DMA stops and its MMIO reads ones, until the TDI was unbound and "
                    "the fence cleared"}},
       .not_here = "the request fails, and nothing else"},
      {.name = "bind-elsewhere",
       .words = "binds another VM's TDI to a VM of its own",
       .attacks = {{kTdx, "TDH.DEVIF.CREATE: TDX_DEVIFMT_ALREADY_PRESENT",
                    tdx_attack::bind_elsewhere, "nothing has changed"},
                   {kCca, "RMI_VDEV_CREATE: RMI_ERROR_INPUT", cca_attack::bind_elsewhere,
                    "nothing has changed"},
                   {kSev, "TIO_TDI_BIND: SEV_RET_INVALID_TDI_STATE", sev_attack::bind_elsewhere,
                    "nothing has changed"}},
       .not_here = {}},
      {.name = "drop-tdi",
       .words = "takes what the firmware has of a TDI back while that is locked",
       .attacks = {{kTdx, "TDH.DEVIF.REMOVE: TDX_DEVIF_INVALID_STATE", tdx_attack::drop_tdi,
                    "nothing has changed"},
                   {kCca, "RMI_VDEV_DESTROY: RMI_ERROR_DEVICE", cca_attack::drop_tdi,
                    "nothing has changed"},
                   {kSev, "TIO_TDI_RECLAIM: SEV_RET_INVALID_TDI_STATE", sev_attack::drop_tdi,
                    "nothing has changed"}},
       .not_here = {}},
      {.name = "delete-stream",
       .words = "takes the card's stream back while a TDI is bound",
       .attacks = {{kTdx, "TDH.IDE.STREAM.DELETE: TDX_IDE_STREAM_NOT_BLOCKED",
                    tdx_attack::delete_stream, "nothing has changed"},
                   {kCca, "RMI_PDEV_STREAM_DISCONNECT: RMI_ERROR_DEVICE", cca_attack::delete_stream,
                    "nothing has changed"},
                   {kSev, "TIO_DEV_DISCONNECT: SEV_RET_IN_USE", sev_attack::delete_stream,
                    "nothing has changed"}},
       .not_here = {}},
      {.name = "destroy-running",
       .words = "takes the VM apart while its TDI runs with trusted DMA",
       .attacks = {{kTdx, "TDH.MNG.VPFLUSHDONE: TDX_TD_HAS_ATTACHED_DEVICES",
                    tdx_attack::destroy_running, "the key stays in use"},
                   {kCca, "RMI_REALM_DESTROY: RMI_ERROR_REALM", cca_attack::destroy_running,
                    "the realm stays"},
                   {kSev, "SNP_DECOMMISSION: SEV_RET_IN_USE", sev_attack::destroy_running,
                    "the guest's context stays"}},
       .not_here = {}},
      {.name = "free-key",
       .words = "takes the VM's key, or the page with it, while a TDI is bound",
       .attacks = {{kTdx, "TDH.MNG.KEY.FREEID: TDX_LIFECYCLE_STATE_INCORRECT", tdx_attack::free_key,
                    "the key stays in use"},
                   {kCca, "RMI_GRANULE_RANGE_UNDELEGATE: RMI_ERROR_INPUT", cca_attack::free_key,
                    "the page stays the monitor's"},
                   {kSev, "SNP_PAGE_RECLAIM: SEV_RET_INVALID_PAGE_STATE", sev_attack::free_key,
                    "the page stays the firmware's"}},
       .not_here = {}},
      {.name = "replay-older",
       .words = "gives the firmware an answer of the TDI's life before",
       .attacks = {{kTdx, "TDH.DEVIF.RESPONSE: TDX_SDPM_INVALID_MESSAGE", tdx_attack::replay_older,
                    "the request stays pending; the card is to be connected anew"},
                   {kCca, "VDEV state: ERROR", cca_attack::replay_older,
                    "the VDEV goes, and the PDEV stays the monitor's"}},
       .not_here = "the session ends, and no driver stops the TDI: until the card is reset, it "
                   "stays locked"},
      {.name = "bind-again",
       .words = "unbinds and binds the TDI once more between attestation and start",
       .attacks = {{kTdx, "TDG.DEVIF.REQUEST: TDX_DEVIF_INVALID_STATE", tdx_attack::bind_again,
                    "the TDI stays CONFIG_LOCKED"},
                   {kCca, "RSI_VDEV_DMA_ENABLE: RSI_ERROR_DEVICE", cca_attack::bind_again,
                    "the TDI runs, and its trusted DMA stays off"},
                   {kSev, "#VC: RMP: the guest has not validated the page", sev_attack::bind_again,
                    "the TDI runs, and the guest's next access to its MMIO is an exception"}},
       .not_here = {}},
      {.name = "skip-message",
       .words = "gives the firmware a guest's later message first",
       .attacks = {{kSev, "TIO_GUEST_REQUEST: SEV_RET_INVALID_PARAM", sev_attack::skip_message,
                    "nothing has changed"}},
       .not_here = "the guest speaks to its firmware itself"},
      {.name = "replay-message",
       .words = "gives the firmware a guest's message of the TDI's life before",
       .attacks = {{kSev, "TIO_GUEST_REQUEST: SEV_RET_INVALID_PARAM",
                    sev_attack::replay_message_of_before, "nothing has changed"}},
       .not_here = "the guest speaks to its firmware itself"},
      {.name = "clear-fence",
       .words = "clears the fence while the TDI that has raised it is bound",
       .attacks = {{kSev, "TIO_ASID_FENCE_CLEAR: SEV_RET_IN_USE", sev_attack::clear_fence,
                    "the fence stays"}},
       .not_here = "there is no fence"},
  };
  return kRows;
}

void add_adversary_scenarios(std::vector<MachineScenario>& all) {
  for (const Adversary& row : adversaries()) {
    std::vector<TsmKind> on;
    for (const Adversary::Attack& attack : row.attacks) on.push_back(attack.tsm);
    all.push_back({.name = "adversary/" + std::string(row.name),
                   .description = "a host that " + std::string(row.words),
                   .body = [&row](const Config& design) { run(design, row); },
                   .firmware = std::move(on),
                   .fits = has_every_door});
  }
}

}  // namespace teeio::explore
