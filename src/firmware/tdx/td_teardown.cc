#include <utility>

#include "base/check.h"
#include "firmware/tdx/leaf.h"

// The end of a TD, in its order: VP.FLUSH, VPFLUSHDONE, CACHE.WB, FREEID, RECLAIM.
// None of these looks at the fatal flag.

namespace teeio::tdx {

LeafResult Module::tdh_vp_flush(Hpa tdvpr, const Processor& on) {
  Leaf leaf(*state_, row::kVpFlush);
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRcx));
  TDX_ASSIGN(Td* const td, leaf.any_td(vcpu->tdr, Operand::kTdr, Leaf::Hold::kShared));
  if (td->life_cycle != LifeCycle::kKeysConfigured) return leaf.refuse("keys");
  if (vcpu->pages.size() != kTdvpsPages) return leaf.refuse("pages");
  if (!vcpu->associated || vcpu->processor != on.number) return leaf.refuse("associated");
  leaf.give_way();
  vcpu->associated = false;
  --td->vcpus_associated;
  return {};
}

LeafResult Module::tdh_mng_vpflushdone(Hpa tdr) {
  Leaf leaf(*state_, row::kMngVpflushdone);
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx, Leaf::Hold::kExclusive));
  TDX_TRY(leaf.take(leaf.s.to_take(&State::kot), "kot", Operand::kKot));
  if (td->life_cycle != LifeCycle::kHkidAssigned && td->life_cycle != LifeCycle::kKeysConfigured)
    return leaf.refuse("life_cycle");
  if (td->vcpus_associated != 0) return leaf.refuse("flushed");
  if (td->devif_ref_cnt != 0) return leaf.refuse("devices");
  for (const auto& [id, part] : td->iommus)
    if (part.pasidte_ref_cnt != 0 || part.inv_req) return leaf.refuse("iotlb");
  leaf.give_way();
  td->life_cycle = LifeCycle::kBlocked;
  leaf.s.hkids[td->hkid] = HkidState::kFlushedVps;
  return {};
}

/// A key that was written back waits until KEY.FREEID all the same (KOT_STATE_HKID_FLUSHED).
LeafResult Module::tdh_phymem_cache_wb() {
  Leaf leaf(*state_, row::kPhymemCacheWb);
  TDX_TRY(leaf.take(leaf.s.to_take(&State::wbcache), "wbcache", Operand::kWbcache));
  TDX_TRY(leaf.share(leaf.s.to_share(&State::kot), "kot", Operand::kKot));
  bool any = false;
  for (const HkidState state : std::as_const(leaf.s.hkids))
    any = any || state == HkidState::kFlushedVps || state == HkidState::kWrittenBack;
  if (!any) return leaf.remark("ready");
  TDX_TRY(leaf.may_be_interrupted("TDH.PHYMEM.CACHE.WB interrupted"));
  leaf.give_way();
  for (HkidState& state : leaf.s.hkids)
    if (state == HkidState::kFlushedVps) state = HkidState::kWrittenBack;
  return {};
}

LeafResult Module::tdh_mng_key_freeid(Hpa tdr) {
  Leaf leaf(*state_, row::kMngKeyFreeid);
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx, Leaf::Hold::kExclusive));
  if (td->life_cycle != LifeCycle::kBlocked) return leaf.refuse("life_cycle");
  TDX_TRY(leaf.take(leaf.s.to_take(&State::kot), "kot", Operand::kKot));
  if (leaf.s.hkids[td->hkid] != HkidState::kWrittenBack) return leaf.refuse("caches");
  leaf.give_way();
  td->life_cycle = LifeCycle::kTeardown;
  leaf.s.hkids[td->hkid] = HkidState::kFree;
  return {};
}

namespace {

/// What the leaf says of the page, also when it refuses.
LeafResult describe(const PamtEntry& entry) {
  // tdh_mng_create.c: a TDR has no owner.
  const std::uint64_t owner = entry.type == PageType::kIommuMt ? std::uint64_t{entry.iommu}
                              : entry.type == PageType::kTdr   ? 0
                                                               : raw(entry.owner);
  return {.status = {},
          .rcx = static_cast<std::uint64_t>(entry.type),
          .rdx = owner,
          .r8 = static_cast<std::uint64_t>(Level::k4K)};
}

Checked<void> reclaimable_from_td(Leaf& leaf, Hpa page, const PamtEntry& entry) {
  Td* const td = leaf.s.find_td(entry.owner);
  TEEIO_CHECK(td != nullptr, "a TD's page keeps its TDR");
  if (page != td->tdr) {
    TryLock& lock = leaf.s.pamt.lock_to_share(td->tdr);
    if (auto shared = leaf.share(lock, "busy", Operand::kTdr); !shared) {
      LeafResult& refused = shared.error().result;
      const LeafResult told = describe(entry);
      refused.rcx = told.rcx;
      refused.rdx = told.rdx;
      refused.r8 = told.r8;
      return shared;
    }
  }
  if (td->life_cycle != LifeCycle::kTeardown) return leaf.refuse("life_cycle", describe(entry));
  if (page == td->tdr && td->chldcnt != 0) return leaf.refuse("children", describe(entry));
  return {};
}

}  // namespace

/// Source: tdh_phymem_page_reclaim.c.
LeafResult Module::tdh_phymem_page_reclaim(Hpa page) {
  Leaf leaf(*state_, row::kPhymemPageReclaim);
  TDX_TRY(leaf.in_tdmr(page, Operand::kRcx));
  PamtEntry& entry = leaf.s.pamt.entry(page);
  TDX_TRY(leaf.take(entry.lock, "busy", Operand::kRcx));
  const LeafResult found = describe(entry);
  switch (entry.type) {
    case PageType::kFree:
    case PageType::kDevifcs:
    case PageType::kDevifmt:
    case PageType::kMmiomt:
      return leaf.refuse("type");
    case PageType::kIommuMt:
      if (std::as_const(leaf.s.iommus)[entry.iommu].generation == entry.generation)
        return leaf.refuse("iommu", found);
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
