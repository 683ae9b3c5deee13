#include "host/kvm/tdx/tdx_vm.h"

namespace teeio::kvm {

using tdx::Level;

/// Links the table pages on the way to `gpa` that are not there yet
/// (tdx_sept_link_private_spt()). Tables stay until the TD goes.
Result<void> TdxVm::ensure_table(Gpa gpa) {
  for (const Level level : {Level::k512G, Level::k1G, Level::k2M}) {
    const Gpa entry{raw(gpa) & ~(tdx::level_bytes(level) - 1)};
    {
      const schedule::Lock lock(lent_lock_);
      if (tables_.contains({level, entry})) continue;
    }
    TEEIO_ASSIGN(const Hpa page, host_.memory().alloc_page());
    const auto r =
        host_.call([&] { return host_.module().tdh_mem_sept_add(tdr_, entry, level, page); });
    // Another vCPU was faster.
    const bool present = r.status == tdx::Code::kEptEntryStateIncorrect;
    if (!r.ok()) host_.memory().free_page(page);
    if (!r.ok() && !present) return std::unexpected(refused(r, "TDH.MEM.SEPT.ADD failed"));
    const schedule::Lock lock(lent_lock_);
    if (r.ok()) lent_.push_back(page);
    tables_.emplace(level, entry);
  }
  return {};
}

Result<void> TdxVm::map_private(Gpa gpa, Hpa page, PageKind kind) {
  TEEIO_TRY(ensure_table(gpa));
  tdx::Module& module = host_.module();
  const auto r =
      kind == PageKind::kMmio
          ? host_.call([&] { return module.tdh_mmio_map(tdr_, gpa, Level::k4K, page); })
          : host_.call([&] { return module.tdh_mem_page_aug(tdr_, gpa, Level::k4K, page); });
  if (!r.ok())
    return std::unexpected(
        refused(r, kind == PageKind::kMmio ? "TDH.MMIO.MAP failed" : "TDH.MEM.PAGE.AUG failed"));
  return {};
}

Result<void> TdxVm::block_private(Gpa gpa, PageKind kind) {
  if (raw(tdr_) == 0) return {};
  tdx::Module& module = host_.module();
  const auto r =
      kind == PageKind::kMmio
          ? host_.call([&] { return module.tdh_mmio_block(tdr_, gpa, Level::k4K); })
          : host_.call([&] { return module.tdh_mem_range_block(tdr_, gpa, Level::k4K); });
  if (!r.ok())
    return std::unexpected(refused(
        r, kind == PageKind::kMmio ? "TDH.MMIO.BLOCK failed" : "TDH.MEM.RANGE.BLOCK failed"));
  return {};
}

/// tdx_track(), and what trusted DMA adds to it: each IOMMU that translates for
/// the TD drops its IOTLB before anything can be removed.
Result<void> TdxVm::track() {
  if (raw(tdr_) == 0) return {};
  tdx::Module& module = host_.module();
  // Before FINALIZE no vCPU can run and nothing needs tracking.
  if (state_.load() != State::kRunnable) return {};
  const auto r = host_.call([&] { return module.tdh_mem_track(tdr_); });
  if (!r.ok()) return std::unexpected(refused(r, "TDH.MEM.TRACK failed"));
  wait_for_played_guest();
  for (std::uint32_t iommu = 0; iommu < host_.iommu_count(); ++iommu) {
    const auto done = host_.invalidate(iommu, status_, [&](const tdx::WaitDescriptor& wait) {
      return module.tdh_iq_inv_request_iotlb(iommu, tdr_, wait);
    });
    if (done.status == tdx::Code::kIotlbTrackingNotRequired) continue;
    if (!done.ok())
      return std::unexpected(refused(done, "an IOMMU's invalidation for TDH.MEM.TRACK failed"));
  }
  return {};
}

Result<void> TdxVm::remove_private(Gpa gpa, PageKind kind) {
  if (raw(tdr_) == 0) return {};
  tdx::Module& module = host_.module();
  const auto r =
      kind == PageKind::kMmio
          ? host_.call([&] { return module.tdh_mmio_unmap(tdr_, gpa, Level::k4K); })
          : host_.call([&] { return module.tdh_mem_page_remove(tdr_, gpa, Level::k4K); });
  if (!r.ok())
    return std::unexpected(refused(
        r, kind == PageKind::kMmio ? "TDH.MMIO.UNMAP failed" : "TDH.MEM.PAGE.REMOVE failed"));
  return {};
}

std::optional<hw::GuestMapping> TdxVm::lookup_private(Gpa page) {
  const auto found = host_.module().lookup(tdr_, page, hw::GuestAccess::kRead);
  if (!found) return std::nullopt;
  return *found;
}

}  // namespace teeio::kvm
