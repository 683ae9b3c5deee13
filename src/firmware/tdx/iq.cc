#include "firmware/tdx/iq.h"

#include <algorithm>

#include "base/check.h"
#include "firmware/tdx/dmar_index.h"
#include "firmware/tdx/guest_invalidation.h"
#include "firmware/tdx/leaf.h"

// The invalidation queue of a trusted IOMMU side. REQUEST puts an entry into it
// and comes back at once; PROCESS takes those that the IOMMU has passed.

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
std::uint32_t descriptors(const QueueEntry& entry) {
  switch (entry.type) {
    case IqType::kIotlb:
    case IqType::kContext:
      return 2;
    case IqType::kPasid:
      return 3;
    case IqType::kRoot:
    case IqType::kDirectory:
      return 1;
    case IqType::kTd:
      return static_cast<std::uint32_t>(entry.descriptors.size()) + 1;
  }
  std::unreachable();
}

Checked<void> room(Leaf& leaf, const IommuState& iommu, IqType type) {
  if (queue_room(iommu) < descriptors({.type = type, .index = {}})) return leaf.refuse("full");
  return {};
}

/// What the IOMMU forgets before a request's wait: of a root entry or a directory nothing, whose
/// entries have gone before. Source: tdh_iq_inv_request.c.
void forget(State& s, hw::VtdIommu& unit, const QueueEntry& request) {
  constexpr hw::TBit kSide = hw::TBit::kTrusted;
  switch (request.type) {
    case IqType::kTd:
      // The queue may outlive the TD, and nothing of it is in the IOMMU then.
      if (const Td* td = s.find_td(request.tdr))
        for (const InvalidationDescriptor& one : request.descriptors)
          forget_for_guest(unit, *td, one);
      return;
    case IqType::kIotlb:
      unit.invalidate_domain(kSide, s.find_td(request.tdr)->domain());
      return;
    case IqType::kContext:
      unit.invalidate_contexts(kSide);
      return;
    case IqType::kPasid:
      // An entry that was never accepted was never present.
      if (const Td* td = s.find_td(s.dmar.find(dmar_key(request.index))->second.tdr)) {
        unit.invalidate_pasid_cache(kSide, td->domain(), hw::Pasid{request.index.pasid});
        unit.invalidate_domain(kSide, td->domain());
      }
      return;
    case IqType::kRoot:
    case IqType::kDirectory:
      return;
  }
}

/// The IOMMU's head passes a request: its caches have forgotten, and its wait is done.
void pass_by(State& s, IommuState& iommu, QueueEntry& request) {
  request.passed = true;
  forget(s, *iommu.iommu, request);
  constexpr std::uint64_t kStatusWrite = 1U << 5U;
  if ((request.wait[0] & kStatusWrite) == 0) return;
  Writer status;
  status.le(static_cast<std::uint32_t>(request.wait[0] >> 32U));
  // Where the host has no memory any more nothing is written.
  (void)s.memory.write(Hpa{request.wait[1]}, status.take());
}

/// The TDR of a request, as long as it takes to look at it.
Checked<void> pass_tdr(Leaf& leaf, Hpa tdr) {
  TryLock& page = leaf.s.pamt.entry(tdr).lock;
  if (!page.try_shared()) return leaf.refuse("busy", Operand::kRcx);
  page.release_shared();
  return {};
}

/// What the guest has asked for: looked at with host priority.
Checked<void> pass_tdinv(Leaf& leaf, Td& td) {
  const bool taken = td.tdinv_lock.try_exclusive();
  td.tdinv_lock.set_host_waits(!taken);
  if (!taken) return leaf.refuse("tdinv");
  td.tdinv_lock.release_exclusive();
  return {};
}

Checked<void> finish_iotlb(Leaf& leaf, std::uint32_t id, Hpa tdr) {
  Td* const td = leaf.s.find_td(tdr);
  TEEIO_CHECK(td != nullptr, "VPFLUSHDONE waits for queued requests of its TD");
  TDX_TRY(pass_tdr(leaf, tdr));
  TDX_TRY(pass_tdinv(leaf, *td));
  if (!td->epoch_lock.try_shared()) return leaf.refuse("epoch", Operand::kTdEpoch);
  td->epoch_lock.release_shared();
  TdIommu& part = td->iommus[id];
  part.inv_epoch = td->epoch;
  part.inv_req = false;
  if (td->prev_iotlb_cnt != 0) --td->prev_iotlb_cnt;
  all_passed_for_guest(leaf.s, *td, id);
  return {};
}

/// One descriptor of a request for a guest. A TD that is dying keeps the queue where it is.
Checked<void> finish_for_guest(Leaf& leaf, std::uint32_t id, Hpa tdr) {
  TDX_TRY(pass_tdr(leaf, tdr));
  Td* const td = leaf.s.find_td(tdr);
  if (td == nullptr) return leaf.refuse("type", Operand::kRcx);
  if (td->fatal) return leaf.refuse("fatal");
  if (td->life_cycle != LifeCycle::kKeysConfigured) return leaf.refuse("keys");
  if (td->op_state != OpState::kRunnable) return leaf.refuse("op_state");
  TDX_TRY(pass_tdinv(leaf, *td));
  passed_for_guest(leaf.s, *td, id);
  return {};
}

void finish_table(State& s, const QueueEntry& request) {
  const auto at = s.dmar.find(dmar_key(request.index));
  TEEIO_CHECK(at != s.dmar.end(), "an entry with a queued invalidation is not removed");
  DmarEntry& entry = at->second;
  entry.inv = InvState::kDone;
  const Td* const td = s.find_td(entry.tdr);
  if (td == nullptr) return;  // a table, or never accepted
  s.trace.fact(object::Lane::kFirmware, object::Fact::kTrustedDmaOff, "trusted DMA off",
               {.function = Bdf::from_rid(request.index.rid), .vm = td->trace_vm});
}

constexpr std::string_view kInterrupted = "TDH.IQ.INV.PROCESS interrupted";

/// PROCESS takes a request from the queue, descriptor by descriptor: an interrupt ends the leaf
/// behind any that is not the queue's last one.
Checked<void> take(Leaf& leaf, std::uint32_t iommu, QueueEntry& request) {
  const std::uint32_t before_wait = descriptors(request) - 1;
  if (request.type == IqType::kTd) {
    for (; request.taken <= before_wait; ++request.taken) {
      if (request.taken != 0) TDX_TRY(leaf.may_be_interrupted(kInterrupted));
      TDX_TRY(finish_for_guest(leaf, iommu, request.tdr));
    }
    return {};
  }
  if (request.taken != before_wait) {
    request.taken = before_wait;
    TDX_TRY(leaf.may_be_interrupted(kInterrupted));
  }
  if (request.type == IqType::kIotlb) return finish_iotlb(leaf, iommu, request.tdr);
  finish_table(leaf.s, request);
  return {};
}

}  // namespace

std::uint32_t queue_room(const IommuState& iommu) {
  std::uint32_t used = 0;
  for (const QueueEntry& entry : iommu.queue) used += descriptors(entry) - entry.taken;
  return kQueueDescriptors - std::min(used, kQueueDescriptors);
}

Checked<void> check_wait(Leaf& leaf, const WaitDescriptor& wait) {
  constexpr std::uint64_t kFixed = 0xffff'ffcfU;  // all but interrupt, status write; no data
  constexpr std::uint64_t kTypeAndFence = 5U | 1U << 6U;
  if ((wait[0] & kFixed) != kTypeAndFence) return leaf.refuse("wait", Operand::kR9);
  if (wait[1] % 4 != 0 || wait[1] >> 52U != 0) return leaf.refuse("wait", Operand::kR10);
  if (wait[2] != 0) return leaf.refuse("wait", Operand::kR11);
  if (wait[3] != 0) return leaf.refuse("wait", Operand::kR12);
  return {};
}

LeafResult Module::tdh_iq_inv_request_iotlb(std::uint32_t iommu, Hpa tdr,
                                            const WaitDescriptor& wait) {
  Leaf leaf(*state_, row::kIqInvRequestIotlb, {.detail = "type=IOTLB"});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_TRY(room(leaf, *state, IqType::kIotlb));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kR8, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.share(td->epoch_lock, "epoch", Operand::kTdEpoch));
  TdIommu& part = td->iommus[iommu];
  if (part.pasidte_ref_cnt == 0 || part.inv_epoch == td->epoch) return leaf.refuse("needed");
  if (part.inv_req) return leaf.refuse("queued");
  TDX_TRY(check_wait(leaf, wait));
  leaf.give_way();
  part.inv_req = true;
  state->queue.push_back({.type = IqType::kIotlb, .tdr = tdr, .index = {}, .wait = wait});
  return {};
}

LeafResult Module::tdh_iq_inv_request(DmarIndex index, const WaitDescriptor& wait) {
  Leaf leaf(*state_, row::kIqInvRequest, {.function = Bdf::from_rid(index.rid)});
  TDX_TRY(leaf.may_fail());
  if (index.level > DmarLevel::kRoot) return leaf.refuse("request");
  TDX_ASSIGN(IommuState* const state, leaf.iommu(index.iommu));
  TDX_TRY(room(leaf, *state, type_of(index.level)));
  if (!dmar_index_fits(index)) return leaf.refuse("subject");
  TDX_ASSIGN(DmarEntry* const entry, dmar_walk(leaf, index, Operand::kR8));
  if (dmar_state_of(entry) != DmarState::kBlocked) return leaf.refuse("state");
  if (entry->inv != InvState::kPending) return leaf.refuse("inv_state");
  TDX_TRY(check_wait(leaf, wait));
  leaf.give_way();
  entry->inv = InvState::kQueued;
  state->queue.push_back(
      {.type = type_of(index.level), .tdr = Hpa{0}, .index = index, .wait = wait});
  return {};
}

LeafResult Module::tdh_iq_inv_process(std::uint32_t iommu) {
  Leaf leaf(*state_, row::kIqInvProcess);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  leaf.give_way();
  // The IOMMU is as late as it may be: it passes all that is asked, or nothing yet.
  if (state->queue.empty() || leaf.lags("the invalidation queue lags")) return {};
  while (!state->queue.empty()) {
    QueueEntry& request = state->queue.front();
    if (!request.passed) pass_by(leaf.s, *state, request);
    TDX_TRY(take(leaf, iommu, request));
    state->queue.erase(state->queue.begin());
    if (!state->queue.empty()) TDX_TRY(leaf.may_be_interrupted(kInterrupted));
  }
  return {};
}

}  // namespace teeio::tdx
