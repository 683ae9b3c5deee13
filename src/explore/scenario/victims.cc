#include "explore/scenario/victims.h"

#include <functional>

#include "base/check.h"
#include "explore/scenario/guest.h"

namespace teeio::explore {
namespace {

/// As many pages as a machine of a scenario has in use, at most.
constexpr std::uint64_t kMostPages = 4096;

Hpa page_of_ram(std::uint64_t n) { return hw::PhysicalMemory::kRamBase + n * kPageSize; }

/// One page, or one that lists pages, that the command takes for what it wants.
sev::Sla find_sla(const std::function<bool(sev::Sla)>& takes) {
  for (std::uint64_t n = 0; n < kMostPages; ++n)
    for (const bool scatter : {false, true})
      if (const auto sla = sev::Sla::of(page_of_ram(n), scatter); takes(sla)) return sla;
  TEEIO_CHECK(false, "the host's context is in its memory");
  return {};
}

}  // namespace

kvm::TdxVm& td_of(Vmm& vmm) {
  const auto td = tdx_vm(vmm);
  must(td ? Result<void>() : std::unexpected(td.error()));
  return **td;
}

kvm::RealmVm& realm_of(Vmm& vmm) {
  const auto realm = realm_vm(vmm);
  must(realm ? Result<void>() : std::unexpected(realm.error()));
  return **realm;
}

kvm::SevVm& snp_guest_of(Vmm& vmm) {
  const auto guest = sev_vm(vmm);
  must(guest ? Result<void>() : std::unexpected(guest.error()));
  return **guest;
}

Hpa vdev_of(kvm::RealmVm& realm, Bdf function) {
  return realm.host().vdev_named(function.rid(), realm.firmware_handle()).value_or(Hpa{0});
}

/// The end point's is the one that the VDEV is of.
Pdevs pdevs_of(kvm::RealmVm& realm, Bdf function) {
  rmm::Rmm& rmm = realm.host().rmm();
  const Hpa vdev = vdev_of(realm, function);
  Pdevs found{};
  for (std::uint64_t n = 0; n < kMostPages; ++n) {
    const Hpa page = page_of_ram(n);
    if (!rmm.pdev_get_state(page).ok()) continue;
    const auto refused = rmm.vdev_destroy(realm.firmware_handle(), page, vdev);
    const bool its_own = refused.refused_by != nullptr && refused.refused_by->id == "state";
    (its_own ? found.end_point : found.port) = page;
  }
  return found;
}

/// Commands that are refused, of a device with a bound TDI, for its own state and not for the
/// context's once that is the right one.
sev::TioOperands tio_of(Vmm& vmm, Bdf function) {
  kvm::SevVm& guest = snp_guest_of(vmm);
  sev::TioOperands operands;
  operands.guest = guest.firmware_handle();
  const auto refused_for = [&](sev::TioCommand command) {
    kvm::PspHost::Answer answer;
    (void)guest.psp().command(static_cast<std::uint16_t>(command),
                              operands.encode(sev::tio_layout(command)), answer);
    return answer.value_or(sev::Status::kSuccess);
  };
  operands.device = find_sla([&](sev::Sla sla) {
    operands.device = sla;
    return refused_for(sev::TioCommand::kDevDisconnect) == sev::Status::kInUse;
  });
  operands.tdi = find_sla([&](sev::Sla sla) {
    operands.tdi = sla;
    return refused_for(sev::TioCommand::kTdiReclaim) == sev::Status::kInvalidTdiState;
  });
  operands.asid = static_cast<std::uint32_t>(guest.asid());
  operands.guest_device_id = static_cast<std::uint16_t>(vmm.virt_id);
  operands.function_id = function.rid();
  return operands;
}

void tio_command(Vmm& vmm, sev::TioCommand command, const sev::TioOperands& operands) {
  kvm::PspHost::Answer answer;
  (void)snp_guest_of(vmm).psp().command(static_cast<std::uint16_t>(command),
                                        operands.encode(sev::tio_layout(command)), answer);
}

}  // namespace teeio::explore
