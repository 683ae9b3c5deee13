#pragma once

#include "explore/scenario/stage.h"
#include "firmware/sev/tio_operands.h"
#include "host/kvm/rmm/realm_vm.h"
#include "host/kvm/sev/sev_vm.h"
#include "host/kvm/tdx/tdx_vm.h"

namespace teeio::explore {

// Whom a hostile host attacks, and what it has of its own to do it with.

inline constexpr Bdf kPfOfCard{0, 1, 0, 0};
inline constexpr Bdf kFirstVf{0, 1, 0, 1};
inline constexpr Bdf kSecondVf{0, 1, 0, 2};

// The VM behind a VMM, which must be there.
kvm::TdxVm& td_of(Vmm& vmm);
kvm::RealmVm& realm_of(Vmm& vmm);
kvm::SevVm& snp_guest_of(Vmm& vmm);

/// A realm's VDEV of `function`.
Hpa vdev_of(kvm::RealmVm& realm, Bdf function);
/// The card's PDEV, and its port's: granules of which the monitor says so. A host knows them.
struct Pdevs {
  Hpa end_point, port;
};
Pdevs pdevs_of(kvm::RealmVm& realm, Bdf function);

/// The card's context and its TDI's, of the guest of `vmm`, as AMD's driver has them; found by
/// asking, since the driver tells nobody.
sev::TioOperands tio_of(Vmm& vmm, Bdf function);
/// One TIO command, once.
void tio_command(Vmm& vmm, sev::TioCommand command, const sev::TioOperands& operands);

}  // namespace teeio::explore
