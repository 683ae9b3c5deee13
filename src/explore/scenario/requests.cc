// Steps that fail once where a guest asks its device for something, where a machine starts, and
// where a host looks after its secure processor.

#include <functional>

#include "abi/proposed.h"
#include "abi/psp_sev.h"
#include "base/check.h"
#include "explore/scenario/adversaries.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"

namespace teeio::explore {
namespace {

using machine::Config;
using machine::TsmKind;

/// Once more, if it was refused.
Result<void> insist(const std::function<Result<void>()>& act) {
  const auto first = act();
  return first ? first : act();
}

// --- A guest's requests ---

Result<void> measure_anew(Vmm& vmm, std::uint32_t arch) {
  const abi::tsm_req_regen_object what{};
  TEEIO_TRY(vmm.send(abi::TSM_REQ_REGEN_OBJECT, arch, bytes_of(what)));
  return {};
}

Result<void> read_evidence(Vmm& vmm, std::uint32_t arch) {
  const abi::tsm_req_read_object what{.object = abi::TSM_OBJECT_EVIDENCE, .offset = 0};
  TEEIO_TRY(vmm.send(abi::TSM_REQ_READ_OBJECT, arch, bytes_of(what)));
  return {};
}

/// All that a guest asks for from bind to RUN, through its host. A request that fails may leave
/// the TDI where it can only be unbound.
void fail_requests(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.with_mmio();
  const Bdf pf = design.cards.front().bdf;
  const Vendor& vendor = stage.vendor();
  const std::uint32_t arch = vendor.request_arch;
  stage.play();
  (void)insist([&] { return read_evidence(vmm, arch); });
  (void)insist([&] { return measure_anew(vmm, arch); });
  (void)insist([&] { return vendor.attest(vmm, pf); });
  if (vendor.tsm == TsmKind::kCca) (void)insist([&] { return accept_mmio_cca(vmm, pf); });
  (void)insist([&] { return vendor.start(vmm, pf); });
  must(stage.unbind(vmm));
  TEEIO_CHECK(!stage.lost().empty() || works_as_shared(vmm),
              "R10: the function was unbound and does not work");
}

// --- A machine's start ---

/// Another machine's, beside the stage's own: one that did not start leaves nothing in its way.
void fail_start(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  stage.has_no_next_life();
  stage.play();
  must(insist([&]() -> Result<void> {
    TEEIO_TRY(machine::Machine::create(design));
    return {};
  }));
}

// --- AMD's secure processor ---

void fail_platform(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  machine::Program& root = stage.root();
  const auto fd = root.open("/dev/sev");
  TEEIO_CHECK(fd.has_value(), "root cannot open /dev/sev");
  const std::uint64_t config = root.store(bytes_of(abi::sev_user_data_snp_config{}));
  stage.play();
  must(insist([&] { return issue_sev(root, *fd, abi::SNP_COMMIT, 0); }));
  must(insist([&] { return issue_sev(root, *fd, abi::SNP_SET_CONFIG, config); }));
}

/// The guest's next device is behind the fence until it is cleared.
void fail_unbind_behind_fence(const Config& design) {
  Stage stage(design);
  Vmm& vmm = sev_attack::behind_fence(stage);
  stage.play();
  must(stage.unbind(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "R10: the function was unbound and does not work");
}

/// Guests have used up all ASIDs: the next one's are flushed for it (sev_flush_asids()).
void fail_flush(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  for (std::uint32_t used = 0; used < design.hkids; ++used) {
    Vmm& vmm = stage.vmm();
    must(vmm.make_vm(stage.vm_type()));
    vmm.exit();
  }
  Vmm &first = stage.vmm(), &second = stage.vmm();
  stage.play();
  const auto made = first.make_vm(stage.vm_type());
  TEEIO_CHECK(made.has_value() || second.make_vm(stage.vm_type()).has_value(),
              "a flush of ASIDs failed, and there are none any more");
}

}  // namespace

void add_request_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "failure/requests",
                 .description = "each step of what a guest asks for fails once, and it is unbound",
                 .body = fail_requests,
                 .failures = 1});
  all.push_back({.name = "failure/start",
                 .description = "each step of a machine's start fails once, and a second try works",
                 .body = fail_start,
                 .failures = 1});
  all.push_back({.name = "failure/platform",
                 .description = "SNP_COMMIT and SNP_SET_CONFIG fail once, and a second try works",
                 .body = fail_platform,
                 .firmware = {TsmKind::kSev},
                 .failures = 1});
  all.push_back(
      {.name = "failure/flush",
       .description = "each step of the making of a VM that waits for its ASID fails once",
       .body = fail_flush,
       .firmware = {TsmKind::kSev},
       .failures = 1});
  all.push_back({.name = "failure/unbind-behind-fence",
                 .description = "each step of the unbind of a fenced TDI fails once",
                 .body = fail_unbind_behind_fence,
                 .firmware = {TsmKind::kSev},
                 .failures = 1});
}

}  // namespace teeio::explore
