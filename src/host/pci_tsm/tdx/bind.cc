#include "host/kvm/vm.h"
#include "host/pci_tsm/tdx/tdx_driver.h"

namespace teeio::tsm {
Result<void> TdxDriver::bind(hw::PciFunction& function, const Tdi&, kvm::Vm& vm) {
  if (raw(vm.firmware_handle()) == 0)
    return fail(Errno::kInval, "a VM without a TD cannot have a TDI");
  Card* const card = cards_.with_stream_of(function);
  if (card == nullptr)
    return fail(Errno::kNxio, "the function is outside of its card's IDE stream");
  Bound bound{.card = card};
  if (auto done = bind_steps(function, vm, bound); !done) {
    /// Undoing a bind that the guest never saw: no MMIO is mapped, nobody is told.
    remove_dmar(function, bound);
    remove_mmiomt(bound);
    remove_devif(tdx::function_id(function.bdf()), bound);
    return done;
  }
  bound_.add(function.bdf(), std::move(bound));
  return {};
}

Result<void> TdxDriver::bind_steps(hw::PciFunction& function, kvm::Vm& vm, Bound& bound) {
  const tdx::FunctionId id = tdx::function_id(function.bdf());
  TEEIO_TRY(add_devifmt(id, bound));
  TEEIO_TRY(create_devif(id, vm, bound));
  TEEIO_TRY(add_mmiomt(function, bound));
  TEEIO_TRY(add_dmar(function, bound));
  TEEIO_ASSIGN(const std::size_t bytes, tdisp_request(*bound.card, id, tdx::DevifRequest::kLock));
  const auto locked = tdisp_exchange(*bound.card, id, bytes);
  if (!locked) {
    // The device may or may not have locked: the firmware must see it unlocked
    // before its metadata can go.
    bound.locked = true;
    stop(function, vm, bound);
    return std::unexpected(locked.error());
  }
  bound.locked = true;
  return {};
}

Result<void> TdxDriver::add_devifmt(tdx::FunctionId id, Bound& bound) {
  const schedule::Lock lock(tables_lock_);
  for (unsigned level = tdx::kDevifmtLevels; level >= 1; --level) {
    const SharedTables::Key key = devifmt_key(id, level);
    TEEIO_TRY(devifmt_.use(key, [&]() -> Result<Hpa> {
      TEEIO_ASSIGN(const Hpa page, alloc_page());
      const auto added = host_.once([&] {
        return host_.module().tdh_devifmt_add(id, static_cast<std::uint8_t>(level), page);
      });
      if (added.ok()) return page;
      host_.memory().free_page(page);
      return std::unexpected(kvm::leaf_error(added, "TDH.DEVIFMT.ADD failed"));
    }));
    ++bound.devifmt_levels;
  }
  return {};
}

Result<void> TdxDriver::create_devif(tdx::FunctionId id, kvm::Vm& vm, Bound& bound) {
  Hpa pages[3] = {};
  Result<void> ready;
  for (Hpa& page : pages) {
    auto made = alloc_page();
    if (made)
      page = *made;
    else
      ready = std::unexpected(made.error());
  }
  if (ready) {
    const auto created = host_.once([&] {
      return host_.module().tdh_devif_create(vm.firmware_handle(), id, bound.card->port.iommu,
                                             bound.card->stream, pages[0], pages[1], pages[2]);
    });
    bound.devif = created.ok();
    if (created.ok()) return {};
    ready = std::unexpected(kvm::leaf_error(created, "TDH.DEVIF.CREATE failed"));
  }
  for (const Hpa page : pages)
    if (raw(page) != 0) host_.memory().free_page(page);
  return ready;
}

Result<void> TdxDriver::add_mmiomt(hw::PciFunction& function, Bound& bound) {
  const schedule::Lock lock(tables_lock_);
  const tdx::FunctionId id = tdx::function_id(function.bdf());
  TablePath above;
  for (const hw::Bar& bar : function.bars()) {
    if (bar.kind == hw::Bar::Kind::kNone) continue;
    for (std::uint64_t at = 0; at < bar.size; at += kPageSize)
      TEEIO_TRY(add_mmiomt_page(id, bar.base + at, above, bound));
  }
  return {};
}

Result<void> TdxDriver::add_mmiomt_page(tdx::FunctionId id, Hpa page, TablePath& above,
                                        Bound& bound) {
  tdx::Module& module = host_.module();
  for (unsigned level = tdx::kMmiomtLevels; level >= 1; --level) {
    const SharedTables::Key key = mmiomt_key(page, level);
    if (above[level - 1] == key) continue;
    TEEIO_TRY(mmiomt_.use(key, [&]() -> Result<Hpa> {
      TEEIO_ASSIGN(const Hpa table, alloc_page());
      const auto added = host_.once(
          [&] { return module.tdh_mmiomt_add(page, static_cast<std::uint8_t>(level), table); });
      if (added.ok()) return table;
      host_.memory().free_page(table);
      return std::unexpected(kvm::leaf_error(added, "TDH.MMIOMT.ADD failed"));
    }));
    above[level - 1] = key;
    bound.mmiomt_tables.emplace_back(page, level);
  }
  const auto set = host_.once([&] { return module.tdh_mmiomt_set(page, tdx::Level::k4K, id); });
  if (!set.ok()) return std::unexpected(kvm::leaf_error(set, "TDH.MMIOMT.SET failed"));
  bound.mmiomt_data.push_back(page);
  return {};
}

/// Root, context and directory tables down to the function's PASID entry, which
/// stays PENDING until the guest accepts it.
Result<void> TdxDriver::add_dmar(hw::PciFunction& function, Bound& bound) {
  const schedule::Lock lock(tables_lock_);
  tdx::Module& module = host_.module();
  const std::uint16_t rid = function.bdf().rid();
  const auto iommu = static_cast<std::uint16_t>(bound.card->port.iommu);
  using tdx::DmarLevel;
  for (const DmarLevel level : {DmarLevel::kRoot, DmarLevel::kContext, DmarLevel::kDirectory}) {
    // A root entry serves half a bus (16 devices); the others one function.
    const std::uint64_t scope = level == DmarLevel::kRoot ? rid >> 7U : rid;
    const SharedTables::Key key{static_cast<unsigned>(level),
                                static_cast<std::uint64_t>(iommu) << 32U | scope};
    const tdx::DmarIndex index{.level = level, .rid = rid, .iommu = iommu};
    TEEIO_TRY(dmar_.use(key, [&]() -> Result<Hpa> {
      TEEIO_ASSIGN(const Hpa table, alloc_page());
      const auto added =
          host_.once([&] { return module.tdh_dmar_add(index, tdx::dmar_value(level, table)); });
      if (added.ok()) return table;
      host_.memory().free_page(table);
      return std::unexpected(kvm::leaf_error(added, "TDH.DMAR.ADD failed"));
    }));
    ++bound.dmar_levels;
  }
  const tdx::DmarIndex leaf{.level = DmarLevel::kPasid, .rid = rid, .iommu = iommu};
  const auto added =
      host_.once([&] { return module.tdh_dmar_add(leaf, tdx::dmar_value(leaf.level, Hpa{0})); });
  if (!added.ok()) return std::unexpected(kvm::leaf_error(added, "TDH.DMAR.ADD failed"));
  ++bound.dmar_levels;
  return {};
}

}  // namespace teeio::tsm
