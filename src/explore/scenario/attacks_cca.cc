#include <array>

#include "explore/scenario/adversaries.h"
#include "explore/scenario/guest.h"
#include "explore/scenario/victims.h"

// Attacks on a realm and its device.

namespace teeio::explore::cca_attack {
namespace {

constexpr std::uint32_t kArch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA;

/// What the host has mapped at kMmioGpa.
Hpa page_at(kvm::RealmVm& realm) {
  return Hpa{realm.host().rmm().rtt_read_entry(realm.firmware_handle(), kMmioGpa, 3).x3};
}

/// The realm asks for `page` at `gpa`, and its host says: valid.
Result<void> ask_for(Vmm& vmm, kvm::RealmVm& realm, Hpa page, Gpa gpa = kMmioGpa) {
  TEEIO_TRY(
      realm.guest_asks_for(kPfOfCard.rid(), vdev_of(realm, kPfOfCard), gpa, gpa + kPageSize, page));
  TEEIO_TRY(vmm.send(abi::TSM_REQ_VALIDATE_MMIO, kArch,
                     Writer().le(raw(gpa)).le(raw(gpa + kPageSize)).le(raw(page)).take()));
  return {};
}

}  // namespace

/// A page of the realm's memory, in the table that its MMIO has made, and another page of the
/// host's. Both go at the end.
class RealmPage {
 public:
  static constexpr Gpa kGpa = kMmioGpa + kPageSize;
  explicit RealmPage(kvm::RealmVm& realm) : realm_(realm) {
    for (Hpa& page : pages_) {
      const auto made = realm.host().memory().alloc_page();
      must(made ? realm.host().delegate(*made) : std::unexpected(made.error()));
      page = *made;
    }
  }
  ~RealmPage() {
    unmap();
    for (const Hpa page : pages_)
      if (realm_.host().undelegate(page)) realm_.host().memory().free_page(page);
  }
  RealmPage(const RealmPage&) = delete;
  RealmPage& operator=(const RealmPage&) = delete;

  /// The realm takes the address into use: RSI_IPA_STATE_SET.
  void make_ram() {
    rmm::Rmm& rmm = realm_.host().rmm();
    (void)rmm.rsi_ipa_state_set(realm_.rec(), kGpa, kGpa + kPageSize, 1, false);
    const bool done =
        rmm.rtt_set_ripas(realm_.firmware_handle(), realm_.rec(), kGpa, kGpa + kPageSize).ok() &&
        rmm.rec_enter(realm_.rec()).ok();
    must(done ? Result<void>() : fail(Errno::kIo, "RMI_RTT_SET_RIPAS failed"));
  }
  rmm::RmiResult map(std::size_t which) { return map_in(realm_, which); }
  rmm::RmiResult map_in(kvm::RealmVm& realm, std::size_t which) {
    const rmm::AddressDescriptor one{.base = pages_.at(which), .count = 1};
    return realm.host().rmm().rtt_data_map(realm.firmware_handle(), kGpa, kGpa + kPageSize, {},
                                           one.encode());
  }
  void unmap() {
    (void)realm_.host().rmm().rtt_data_unmap(realm_.firmware_handle(), kGpa, kGpa + kPageSize, {});
  }

 private:
  kvm::RealmVm& realm_;
  std::array<Hpa, 2> pages_{};
};

std::string swap_ram(Stage& stage, Refusals& refusals) {
  RealmPage page(realm_of(stage.with_mmio()));
  must(page.map(0).ok() ? Result<void>() : fail(Errno::kIo, "RMI_RTT_DATA_MAP failed"));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)page.map(1);
  return refusals.first();
}

std::string give_ram_twice(Stage& stage, Refusals& refusals) {
  RealmPage page(realm_of(stage.with_mmio(kVf0)));
  kvm::RealmVm& other = realm_of(stage.with_mmio(kVf1));
  must(page.map(0).ok() ? Result<void>() : fail(Errno::kIo, "RMI_RTT_DATA_MAP failed"));
  stage.play();
  refusals.start(stage.machine().trace());
  (void)page.map_in(other, 0);
  return refusals.first();
}

/// unmap_make_new_s2tte(): what was RAM is DESTROYED, and stays so whatever is mapped there;
/// handle_data_abort() gives the realm's next access to the host.
std::string replace_ram(Stage& stage, Refusals&) {
  kvm::RealmVm& realm = realm_of(stage.with_mmio());
  RealmPage page(realm);
  page.make_ram();
  must(page.map(0).ok() && realm.lookup_private(RealmPage::kGpa)
           ? Result<void>()
           : fail(Errno::kIo, "the realm's memory is not mapped"));
  stage.play();
  page.unmap();
  (void)page.map(1);
  if (realm.lookup_private(RealmPage::kGpa)) return "nothing";
  const rmm::RmiResult entry =
      realm.host().rmm().rtt_read_entry(realm.firmware_handle(), RealmPage::kGpa, 3);
  return entry.x4 == static_cast<std::uint64_t>(rmm::Ripas::kDestroyed)
             ? "data abort: the page is DESTROYED"
             : "data abort";
}

std::string swap_mmio(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.with_mmio();
  kvm::RealmVm& realm = realm_of(vmm);
  const Hpa there = page_at(realm);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)ask_for(vmm, realm, there + kPageSize);
  return refusals.first();
}

std::string put_ram_for_mmio(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.with_mmio();
  kvm::RealmVm& realm = realm_of(vmm);
  const Hpa there = page_at(realm);
  RealmPage page(realm);
  stage.play();
  must(page.map(0).ok() ? Result<void>() : fail(Errno::kIo, "RMI_RTT_DATA_MAP failed"));
  refusals.start(stage.machine().trace());
  (void)ask_for(vmm, realm, there + kPageSize, RealmPage::kGpa);
  return refusals.first();
}

std::string replace_mmio(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.with_mmio();
  kvm::RealmVm& realm = realm_of(vmm);
  rmm::Rmm& rmm = realm.host().rmm();
  const Hpa rd = realm.firmware_handle();
  const Hpa page = page_at(realm);
  must(ask_for(vmm, realm, page));
  stage.play();
  const rmm::AddressDescriptor same{.base = page, .count = 1};
  (void)rmm.rtt_dev_unmap(rd, kMmioGpa, kMmioGpa + kPageSize, {}, 0);
  (void)rmm.rtt_dev_map(rd, vdev_of(realm, kPfOfCard), kMmioGpa, kMmioGpa + kPageSize, {},
                        same.encode());
  refusals.start(stage.machine().trace());
  (void)ask_for(vmm, realm, page);
  return refusals.first();
}

std::string map_foreign_mmio(Stage& stage, Refusals& refusals) {
  const Hpa page = page_at(realm_of(stage.with_mmio(kVf0)));
  kvm::RealmVm& other = realm_of(stage.with_mmio(kVf1));
  constexpr Gpa kGpa = kMmioGpa + kPageSize;
  stage.play();
  refusals.start(stage.machine().trace());
  const rmm::AddressDescriptor one{.base = page, .count = 1};
  (void)other.host().rmm().rtt_dev_map(other.firmware_handle(), vdev_of(other, kSecondVf), kGpa,
                                       kGpa + kPageSize, {}, one.encode());
  return refusals.first();
}

/// The monitor's end of the session is lost with it, and with that the PDEV: the VDEV goes.
std::string replay_report(Stage& stage, Refusals&) {
  Vmm& vmm = stage.locked();
  kvm::RealmVm& realm = realm_of(vmm);
  const Hpa vdev = vdev_of(realm, kPfOfCard);
  KeepingHost host;
  stage.play();
  must(attest_cca(vmm, kPfOfCard));
  host.replay();
  (void)attest_cca(vmm, kPfOfCard);
  tsm::set_meddler(nullptr);
  const bool in_error = realm.host().rmm().vdev_get_state(vdev).x1 ==
                        static_cast<std::uint64_t>(rmm::VdevState::kError);
  must(stage.unbind(vmm));
  return in_error ? "VDEV state: ERROR" : "VDEV state: as before";
}

/// The realm's nonces are those of the lock that it saw.
std::string lock_again(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  kvm::RealmVm& realm = realm_of(vmm);
  rmm::Rmm& rmm = realm.host().rmm();
  must(attest_cca(vmm, kPfOfCard));
  const auto seen = realm.guest_looks(kPfOfCard);
  stage.play();
  for (const std::uint32_t state : {abi::TSM_TDI_UNLOCKED, abi::TSM_TDI_LOCKED, abi::TSM_TDI_RUN})
    must(stage.ask_state(vmm, state));
  refusals.start(stage.machine().trace());
  (void)rmm.rsi_vdev_dma_enable(realm.rec(), kPfOfCard.rid(),
                                {.lock = seen->lock_nonce,
                                 .measurements = seen->measurements_nonce,
                                 .report = seen->report_nonce});
  (void)rmm.vdev_complete(realm.rec(), vdev_of(realm, kPfOfCard));
  (void)rmm.rec_enter(realm.rec());
  return refusals.first();
}

/// The realm asks after its VDEV, and its host names another realm's.
std::string foreign_tdi(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked(kVf0);
  Vmm& other = stage.locked(kVf1);
  kvm::RealmVm& realm = realm_of(vmm);
  rmm::Rmm& rmm = realm.host().rmm();
  stage.play();
  (void)rmm.rsi_vdev_get_info(realm.rec(), kFirstVf.rid(), 0);
  refusals.start(stage.machine().trace());
  (void)rmm.vdev_complete(realm.rec(), vdev_of(realm_of(other), kSecondVf));
  (void)rmm.rec_enter(realm.rec());
  return refusals.first();
}

std::string destroy_early(Stage& stage, Refusals& refusals) {
  Vmm& vmm = stage.locked();
  kvm::RealmVm& realm = realm_of(vmm);
  stage.play();
  refusals.start(stage.machine().trace());
  (void)realm.host().rmm().realm_destroy(realm.firmware_handle());
  return refusals.first();
}

}  // namespace teeio::explore::cca_attack
