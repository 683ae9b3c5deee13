#include "firmware/tdx/leaf.h"

// The end of a TD, in its order: VP.FLUSH, VPFLUSHDONE, CACHE.WB, FREEID, RECLAIM.
// None of these looks at the fatal flag.

namespace teeio::tdx {

LeafResult Module::tdh_vp_flush(Hpa tdvpr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.FLUSH"));
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRcx));
  TDX_ASSIGN(Td* const td, leaf.any_td(vcpu->tdr, Operand::kTdr));
  TDX_TRY(leaf.share(leaf.s.pamt.entry(td->tdr).lock, Operand::kTdr));
  if (!vcpu->associated)
    return leaf.refuse(Code::kVcpuNotAssociated, Operand::kRcx, "the vCPU has nothing to flush");
  leaf.give_way();
  vcpu->associated = false;
  --td->vcpus_associated;
  return {};
}

LeafResult Module::tdh_mng_vpflushdone(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.VPFLUSHDONE"));
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx));
  TDX_TRY(leaf.take(leaf.s.pamt.entry(tdr).lock, Operand::kTdr));
  TDX_TRY(leaf.take(leaf.s.kot, Operand::kKot));
  if (td->life_cycle != LifeCycle::kHkidAssigned && td->life_cycle != LifeCycle::kKeysConfigured)
    return leaf.refuse(Code::kLifecycleStateIncorrect, Operand::kRcx, "the TD is past this");
  if (td->vcpus_associated != 0)
    return leaf.refuse(Code::kFlushvpNotDone, Operand::kRcx, "a vCPU is not flushed");
  if (td->devif_ref_cnt != 0)
    return leaf.refuse(Code::kTdHasAttachedDevices, Operand::kRcx,
                       "the TD still has a device interface");
  for (const auto& [id, part] : td->iommus)
    if (part.pasidte_ref_cnt != 0 || part.inv_req)
      return leaf.refuse(Code::kIotlbTrackingNotDone, Operand::kRcx, "an IOMMU still knows the TD");
  leaf.give_way();
  td->life_cycle = LifeCycle::kBlocked;
  leaf.s.hkids[td->hkid] = HkidState::kFlushedVps;
  return {};
}

LeafResult Module::tdh_phymem_cache_wb() {
  Leaf leaf(*state_, TDX_LEAF("TDH.PHYMEM.CACHE.WB"));
  TDX_TRY(leaf.take(leaf.s.kot, Operand::kKot));
  bool any = false;
  for (const HkidState state : leaf.s.hkids) any = any || state == HkidState::kFlushedVps;
  if (!any) return leaf.remark(Code::kNoHkidReadyToWbcache);
  TDX_TRY(leaf.may_be_interrupted("TDH.PHYMEM.CACHE.WB interrupted"));
  leaf.give_way();
  for (HkidState& state : leaf.s.hkids)
    if (state == HkidState::kFlushedVps) state = HkidState::kWrittenBack;
  return {};
}

LeafResult Module::tdh_mng_key_freeid(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.KEY.FREEID"));
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx));
  TDX_TRY(leaf.take(leaf.s.pamt.entry(tdr).lock, Operand::kTdr));
  TDX_TRY(leaf.take(leaf.s.kot, Operand::kKot));
  if (td->life_cycle != LifeCycle::kBlocked)
    return leaf.refuse(Code::kLifecycleStateIncorrect, Operand::kRcx, "VPFLUSHDONE comes first");
  if (leaf.s.hkids[td->hkid] != HkidState::kWrittenBack)
    return leaf.refuse(Code::kWbcacheNotComplete, Operand::kRcx, "caches hold lines of the key");
  leaf.give_way();
  td->life_cycle = LifeCycle::kTeardown;
  leaf.s.hkids[td->hkid] = HkidState::kFree;
  return {};
}

namespace {

Checked<void> reclaimable_from_td(Leaf& leaf, Hpa page, const PamtEntry& entry) {
  TDX_ASSIGN(Td* const td, leaf.any_td(entry.owner, Operand::kTdr));
  if (page == td->tdr) {
    if (td->life_cycle != LifeCycle::kTeardown)
      return leaf.refuse(Code::kLifecycleStateIncorrect, Operand::kTdr, "the TD's key is in use");
    if (td->chldcnt != 0)
      return leaf.refuse(Code::kTdAssociatedPagesExist, Operand::kRcx, "the TD still has pages");
    return {};
  }
  TDX_TRY(leaf.share(leaf.s.pamt.entry(td->tdr).lock, Operand::kTdr));
  if (td->life_cycle != LifeCycle::kTeardown)
    return leaf.refuse(Code::kLifecycleStateIncorrect, Operand::kTdr, "the TD's key is in use");
  return {};
}

}  // namespace

LeafResult Module::tdh_phymem_page_reclaim(Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.PHYMEM.PAGE.RECLAIM"));
  if (!is_page_aligned(raw(page)) || !leaf.s.is_ram(page))
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "the address is no page of RAM");
  PamtEntry& entry = leaf.s.pamt.entry(page);
  TDX_TRY(leaf.take(entry.lock, Operand::kRcx));
  const LeafResult found{
      .status = {}, .rcx = static_cast<std::uint64_t>(entry.type), .rdx = raw(entry.owner)};
  switch (entry.type) {
    case PageType::kFree:
    case PageType::kDevifcs:
    case PageType::kDevifmt:
    case PageType::kMmiomt:
    case PageType::kSpdm:
    case PageType::kIdeStream:
      return leaf.refuse(Code::kPageMetadataIncorrect, Operand::kRcx,
                         "the page is free, or its own leaf gives it back");
    case PageType::kIommuMt:
      if (leaf.s.iommus[entry.iommu].generation == entry.generation)
        return leaf.refuse(Code::kIommuMtPageInUse, Operand::kRcx, "the IOMMU uses the page");
      leaf.give_way();
      leaf.s.release_page(page);
      return found;
    case PageType::kRegular:
    case PageType::kTdr:
    case PageType::kTdcx:
    case PageType::kTdvpr:
    case PageType::kTdvpx:
    case PageType::kSept:
      break;
  }
  TDX_TRY(reclaimable_from_td(leaf, page, entry));
  if (entry.type == PageType::kTdvpr) {
    // Not the leaf's to give back: the lock goes with the vCPU.
    if (!leaf.s.find_vcpu(page)->lock.try_exclusive())
      return leaf.refuse(Code::kOperandBusy, Operand::kTdvpr, "the vCPU is in use");
  }
  leaf.give_way();
  if (entry.type == PageType::kTdvpr) leaf.s.vcpus.erase(raw(page));
  if (entry.type == PageType::kTdr)
    leaf.s.tds.erase(raw(page));
  else
    --leaf.s.find_td(entry.owner)->chldcnt;
  leaf.s.release_page(page);
  return found;
}

}  // namespace teeio::tdx
