#include <algorithm>

#include "host/kvm/vm.h"
#include "host/pci_tsm/cca/cca_driver.h"

namespace teeio::tsm {

using rmm::VdevState;

namespace {

std::vector<rmm::PaRange> mmio_of(hw::PciFunction& function) {
  std::vector<rmm::PaRange> ranges;
  for (const hw::Bar& bar : function.bars())
    if (bar.kind != hw::Bar::Kind::kNone)
      ranges.push_back({.base = bar.base, .top = bar.base + bar.size});
  std::ranges::sort(ranges, {}, &rmm::PaRange::base);
  return ranges;
}

}  // namespace

/// cca_vdev_create(): UNLOCKED, and in the newest series LOCKED; the rest is the guest's wish.
Result<void> CcaDriver::bind(hw::PciFunction& function, const Tdi&, kvm::Vm& vm) {
  const Hpa rd = vm.firmware_handle();
  if (raw(rd) == 0) return fail(Errno::kInval, "a VM without a realm cannot have a TDI");
  Card* const card = cards_.with_stream_of(function);
  if (card == nullptr)
    return fail(Errno::kNxio, "the function is outside of its card's IDE stream");
  TEEIO_TRY(use_table(*card, function.bdf()));
  const auto vdev = create_vdev(*card, function, rd);
  if (!vdev) {
    drop_table(*card, function.bdf());
    return std::unexpected(vdev.error());
  }
  const Bound bound{.card = card, .vdev = *vdev};
  if (auto done = bind_steps(function, bound, rd); !done) {
    destroy_vdev(bound, function.bdf(), rd);
    return done;
  }
  host_.add_vdev(
      {.vdev = *vdev, .rd = rd, .id = function.bdf().rid(), .ranges = mmio_of(function)});
  bound_.add(function.bdf(), bound);
  return {};
}

/// The stream table of a function that is not in the card's own, which is there from connect to
/// disconnect.
Result<void> CcaDriver::use_table(const Card& card, Bdf function) {
  if (kvm::RealmHost::share_stream_table(card.pf0->bdf().rid(), function.rid())) return {};
  return host_.use_stream_table(card.port.psmmu, function.rid());
}

void CcaDriver::drop_table(const Card& card, Bdf function) {
  if (kvm::RealmHost::share_stream_table(card.pf0->bdf().rid(), function.rid())) return;
  host_.drop_stream_table(card.port.psmmu, function.rid());
}

Result<Hpa> CcaDriver::create_vdev(Card& card, hw::PciFunction& function, Hpa rd) {
  TEEIO_ASSIGN(const Hpa vdev, host_.alloc_granule());
  const std::vector<rmm::PaRange> ranges = mmio_of(function);
  const rmm::VdevParams params{.id = function.bdf().rid(),
                               .tdi = function.bdf().rid(),
                               .range_count = ranges.size(),
                               .ranges = ranges};
  card.of_function[function.bdf()] = {};
  rmm::RmiResult created{.code = rmm::Code::kInput};
  if (host_.memory().write(card.pages.params, params.encode()))
    created = host_.rmm().vdev_create(rd, card.pdev, vdev, card.pages.params);
  if (!created.ok()) {
    host_.free_granule(vdev);
    return std::unexpected(kvm::rmi_error(created, "RMI_VDEV_CREATE failed"));
  }
  return vdev;
}

Result<void> CcaDriver::bind_steps(hw::PciFunction& function, const Bound& bound, Hpa rd) {
  TEEIO_TRY(drive_vdev(bound, function.bdf(), rd, VdevState::kUnlocked));
  if (how_ == CcaBind::kUnlocked) return {};
  const auto locked = host_.rmm().vdev_lock(rd, bound.card->pdev, bound.vdev);
  if (!locked.ok()) return std::unexpected(kvm::rmi_error(locked, "RMI_VDEV_LOCK failed"));
  return drive_vdev(bound, function.bdf(), rd, VdevState::kLocked);
}

void CcaDriver::unbind(hw::PciFunction& function, const Tdi&, kvm::Vm& vm,
                       TeardownHandlers& handlers) {
  const Bound bound = bound_.of(function.bdf());
  const Hpa rd = vm.firmware_handle();
  handlers.disable_mmio();
  // What a dead VM, or an owner that is gone, has left mapped: legal at any time.
  for (const hw::Bar& bar : function.bars())
    if (bar.kind != hw::Bar::Kind::kNone) vm.mmu().reclaim_mmio(bar.base, bar.size);
  host_.remove_vdev(bound.vdev);
  destroy_vdev(bound, function.bdf(), rd);
  (void)bound_.take(function.bdf());
  handlers.recover_mmio();
}

/// A second try, since an exchange that failed says nothing about the next. What the
/// monitor keeps is leaked.
void CcaDriver::destroy_vdev(const Bound& bound, Bdf function, Hpa rd) {
  const auto destroy = [&] { return host_.rmm().vdev_destroy(rd, bound.card->pdev, bound.vdev); };
  if (unlock(bound, function, rd) || unlock(bound, function, rd)) (void)host_.insist(destroy);
  host_.free_granule(bound.vdev);
  drop_table(*bound.card, function);
}

/// Gives whether the VDEV is UNLOCKED.
bool CcaDriver::unlock(const Bound& bound, Bdf function, Hpa rd) {
  rmm::Rmm& rmm = host_.rmm();
  const auto unlocked = static_cast<std::uint64_t>(VdevState::kUnlocked);
  if (rmm.vdev_get_state(bound.vdev).x1 == unlocked) return true;
  const auto stop = [&] { return rmm.vdev_unlock(rd, bound.card->pdev, bound.vdev); };
  return host_.insist(stop).ok() &&
         drive_vdev(bound, function, rd, VdevState::kUnlocked).has_value();
}

}  // namespace teeio::tsm
