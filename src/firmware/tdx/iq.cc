#include "base/check.h"
#include "firmware/tdx/dmar_index.h"
#include "firmware/tdx/leaf.h"

// The invalidation queue of a trusted IOMMU side. REQUEST puts an entry into it
// and comes back at once; PROCESS takes the finished ones. The caches are dropped
// when an entry is taken: the latest moment that the caller may rely on.

namespace teeio::tdx {
namespace {

IqType type_of(DmarLevel level) {
  switch (level) {
    case DmarLevel::kPasid:
      return IqType::kPasid;
    case DmarLevel::kDirectory:
      return IqType::kDirectory;
    case DmarLevel::kContext:
      return IqType::kContext;
    case DmarLevel::kRoot:
      return IqType::kRoot;
  }
  std::unreachable();
}

/// Descriptors of a request, with its wait. Source: tdh_iq_inv_request.c.
std::uint32_t descriptors(IqType type) {
  switch (type) {
    case IqType::kIotlb:
    case IqType::kContext:
      return 2;
    case IqType::kPasid:
      return 3;
    case IqType::kRoot:
    case IqType::kDirectory:
      return 1;
  }
  std::unreachable();
}

Checked<void> room(Leaf& leaf, const IommuState& iommu, IqType type) {
  std::uint32_t used = descriptors(type);
  for (const QueueEntry& entry : iommu.queue) used += descriptors(entry.type);
  if (used > kQueueDescriptors)
    return leaf.refuse(Code::kIqQueueFull, Operand::kRdx, "the invalidation queue is full");
  return {};
}

Checked<void> finish_iotlb(Leaf& leaf, std::uint32_t id, IommuState& iommu, Hpa tdr) {
  Td* const td = leaf.s.find_td(tdr);
  TEEIO_CHECK(td != nullptr, "VPFLUSHDONE waits for queued requests of its TD");
  TryLock& page = leaf.s.pamt.entry(tdr).lock;
  if (!page.try_shared())
    return leaf.refuse(Code::kOperandBusy, Operand::kRcx, "another leaf has the TDR page");
  page.release_shared();
  if (!td->epoch_lock.try_shared())
    return leaf.refuse(Code::kOperandBusy, Operand::kTdEpoch, "another leaf has the TD's epoch");
  td->epoch_lock.release_shared();
  iommu.iommu->invalidate_domain(hw::TBit::kTrusted, td->domain());
  TdIommu& part = td->iommus[id];
  part.inv_epoch = td->epoch;
  part.inv_req = false;
  if (td->prev_iotlb_cnt != 0) --td->prev_iotlb_cnt;
  return {};
}

void finish_table(State& s, IommuState& iommu, const QueueEntry& request) {
  const auto at = s.dmar.find(dmar_key(request.index));
  TEEIO_CHECK(at != s.dmar.end(), "an entry with a queued invalidation is not removed");
  DmarEntry& entry = at->second;
  entry.inv = InvState::kDone;
  if (request.type != IqType::kPasid) {
    iommu.iommu->invalidate_all(hw::TBit::kTrusted);
    return;
  }
  iommu.iommu->invalidate_function(hw::TBit::kTrusted, request.index.rid);
  const Td* const td = s.find_td(entry.tdr);
  if (td == nullptr) return;  // never accepted
  iommu.iommu->invalidate_domain(hw::TBit::kTrusted, td->domain());
  s.trace.fact(object::Lane::kFirmware, object::Fact::kTrustedDmaOff, "trusted DMA off",
               {.function = Bdf::from_rid(request.index.rid), .vm = td->trace_vm});
}

}  // namespace

LeafResult Module::tdh_iq_inv_request_iotlb(std::uint32_t iommu, Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IQ.INV.REQUEST"), {.detail = "type=IOTLB"});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_TRY(room(leaf, *state, IqType::kIotlb));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kR8, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.share(td->epoch_lock, Operand::kTdEpoch));
  TdIommu& part = td->iommus[iommu];
  if (part.pasidte_ref_cnt == 0 || part.inv_epoch == td->epoch)
    return leaf.refuse(Code::kIotlbTrackingNotRequired, Operand::kRax,
                       "the IOMMU has nothing of the TD's previous epoch");
  if (part.inv_req)
    return leaf.refuse(Code::kIotlbTrackingNotDone, Operand::kRax, "the request is queued");
  leaf.give_way();
  part.inv_req = true;
  state->queue.push_back({.type = IqType::kIotlb, .tdr = tdr, .index = {}});
  return {};
}

LeafResult Module::tdh_iq_inv_request(DmarIndex index) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IQ.INV.REQUEST"), {.function = Bdf::from_rid(index.rid)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(dmar_index(leaf, index));
  TDX_ASSIGN(IommuState* const state, leaf.iommu(index.iommu));
  TDX_TRY(room(leaf, *state, type_of(index.level)));
  TDX_ASSIGN(DmarEntry* const entry, dmar_used(leaf, index, Operand::kR8));
  if (entry->state != DmarState::kBlocked)
    return leaf.refuse(Code::kDmarInvalidMappingState, Operand::kR8, "the entry is not blocked");
  if (entry->inv != InvState::kPending)
    return leaf.refuse(Code::kDmarInvalidInvState, Operand::kR8,
                       "the invalidation was asked for already");
  leaf.give_way();
  entry->inv = InvState::kQueued;
  state->queue.push_back({.type = type_of(index.level), .tdr = Hpa{0}, .index = index});
  return {};
}

LeafResult Module::tdh_iq_inv_process(std::uint32_t iommu) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IQ.INV.PROCESS"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  leaf.give_way();
  while (!state->queue.empty()) {
    const QueueEntry request = state->queue.front();
    if (request.type == IqType::kIotlb)
      TDX_TRY(finish_iotlb(leaf, iommu, *state, request.tdr));
    else
      finish_table(leaf.s, *state, request);
    state->queue.erase(state->queue.begin());
    if (!state->queue.empty()) TDX_TRY(leaf.may_be_interrupted("TDH.IQ.INV.PROCESS interrupted"));
  }
  return {};
}

}  // namespace teeio::tdx
