#include "host/kvm/vm.h"
#include "host/pci_tsm/tdx/tdx_driver.h"
#include "schedule/seeded_bug.h"

namespace teeio::tsm {

void TdxDriver::unbind(hw::PciFunction& function, const Tdi&, kvm::Vm& vm,
                       TeardownHandlers& handlers) {
  Bound bound = bound_.take(function.bdf());
  handlers.hold_mmio();
  if (schedule::seeded("unmap-before-stop")) handlers.disable_mmio();
  stop(function, vm, bound);
  handlers.disable_mmio();
  reclaim_mmio(function, vm);
  remove_dmar(function, bound);
  remove_mmiomt(bound);
  if (!schedule::seeded("devif-forgotten")) remove_devif(tdx::function_id(function.bdf()), bound);
  handlers.recover_mmio();
}

/// STOP is what the module wants to have seen before it lets MMIO and metadata
/// go. A VM that hit KVM_BUG_ON unmaps nothing any more, and a device that does
/// not answer cannot be stopped: both end in the emergency exit.
void TdxDriver::stop(hw::PciFunction& function, kvm::Vm& vm, Bound& bound) {
  if (!bound.locked) return;
  const auto stopped =
      tdisp(*bound.card, tdx::function_id(function.bdf()), tdx::DevifRequest::kStop);
  if (!stopped || vm.dead()) block_stream(*bound.card);
  bound.locked = false;
}

/// Private MMIO that KVM left mapped because the module refused the zap: legal
/// to unmap now, after STOP or with the stream blocked.
void TdxDriver::reclaim_mmio(hw::PciFunction& function, kvm::Vm& vm) {
  for (const hw::Bar& bar : function.bars())
    if (bar.kind != hw::Bar::Kind::kNone) vm.mmu().reclaim_mmio(bar.base, bar.size);
}

/// Each entry: BLOCK, queue its invalidation, let the queue finish, REMOVE.
void TdxDriver::remove_dmar(hw::PciFunction& function, Bound& bound) {
  const schedule::Lock lock(tables_lock_);
  tdx::Module& module = host_.module();
  const std::uint16_t rid = function.bdf().rid();
  const auto iommu = static_cast<std::uint16_t>(bound.card->port.iommu);
  const Hpa status = bound.card->message;  // nobody has a message there meanwhile
  using tdx::DmarLevel;
  const auto remove = [&](DmarLevel level, Hpa table) {
    const tdx::DmarIndex index{.level = level, .rid = rid, .iommu = iommu};
    (void)host_.call([&] { return module.tdh_dmar_block(index); });
    (void)host_.invalidate(iommu, status, [&](const tdx::WaitDescriptor& wait) {
      return module.tdh_iq_inv_request(index, wait);
    });
    const auto removed = host_.call([&] { return module.tdh_dmar_remove(index); });
    if (removed.ok() && raw(table) != 0) host_.memory().free_page(table);
  };
  constexpr DmarLevel kMade[] = {DmarLevel::kRoot, DmarLevel::kContext, DmarLevel::kDirectory,
                                 DmarLevel::kPasid};
  for (; bound.dmar_levels > 0; --bound.dmar_levels) {
    const DmarLevel level = kMade[bound.dmar_levels - 1];
    if (level == DmarLevel::kPasid) {
      remove(level, Hpa{0});
      continue;
    }
    const std::uint64_t scope = level == DmarLevel::kRoot ? rid >> 7U : rid;
    dmar_.release({static_cast<unsigned>(level), static_cast<std::uint64_t>(iommu) << 32U | scope},
                  [&](Hpa table) { remove(level, table); });
  }
}

void TdxDriver::remove_mmiomt(Bound& bound) {
  const schedule::Lock lock(tables_lock_);
  tdx::Module& module = host_.module();
  for (const Hpa page : bound.mmiomt_data)
    (void)host_.call([&] { return module.tdh_mmiomt_set(page, tdx::Level::k4K, std::nullopt); });
  bound.mmiomt_data.clear();
  for (auto at = bound.mmiomt_tables.rbegin(); at != bound.mmiomt_tables.rend(); ++at) {
    const auto [page, level] = *at;
    mmiomt_.release(mmiomt_key(page, level), [&, p = page, l = level](Hpa table) {
      const auto removed =
          host_.call([&] { return module.tdh_mmiomt_remove(p, static_cast<std::uint8_t>(l)); });
      if (removed.ok()) host_.memory().free_page(table);
    });
  }
  bound.mmiomt_tables.clear();
}

void TdxDriver::remove_devif(tdx::FunctionId id, Bound& bound) {
  tdx::Module& module = host_.module();
  if (bound.devif) {
    const auto removed = host_.call([&] { return module.tdh_devif_remove(id); });
    if (removed.ok()) {
      for (const std::uint64_t page : {removed.rcx, removed.rdx, removed.r9})
        host_.memory().free_page(Hpa{page});
    } else {
      host_.trace().fact(object::Lane::kHostTsm, object::Fact::kRefLeaked,
                         "the module keeps the TDI's metadata",
                         {.function = tdx::bdf_of(id), .a = 1});
    }
    bound.devif = false;
  }
  const schedule::Lock lock(tables_lock_);
  for (unsigned level = tdx::kDevifmtLevels - bound.devifmt_levels + 1;
       level <= tdx::kDevifmtLevels; ++level)
    devifmt_.release(devifmt_key(id, level), [&](Hpa table) {
      const auto removed = host_.call(
          [&] { return module.tdh_devifmt_remove(id, static_cast<std::uint8_t>(level)); });
      if (removed.ok()) host_.memory().free_page(table);
    });
  bound.devifmt_levels = 0;
}

}  // namespace teeio::tsm
