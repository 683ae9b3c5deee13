#include <fmt/format.h>

#include "base/check.h"
#include "firmware/tdx/devif_messages.h"
#include "firmware/tdx/dmar_index.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/messages.h"

// What a guest asks by TDCALL.

namespace teeio::tdx {
namespace {

/// The TD whose vCPU makes this TDCALL. A CPU model may handle the call after it
/// has left the TD; then the leaf holds the vCPU, so that nothing flushes it.
Checked<Td*> caller(Leaf& leaf, Hpa vp) {
  Vcpu* const vcpu = leaf.s.find_vcpu(vp);
  if (vcpu == nullptr || !vcpu->associated || vcpu->entered_epoch == 0)
    return leaf.refuse(Code::kVcpuStateIncorrect, Operand::kTdvpr, "the vCPU is not in its TD");
  if (!vcpu->inside) TDX_TRY(leaf.take(vcpu->lock, Operand::kTdvpr));
  Td* const td = leaf.s.find_td(vcpu->tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  if (td->fatal) return leaf.refuse(Code::kTdFatal, Operand::kTdr, "the TD met a fatal error");
  return td;
}

enum class Validated : std::uint8_t { kNotNeeded, kNeeded };

Checked<Devif*> guest_devif(Leaf& leaf, const Td& td, FunctionId function, Validated validated) {
  TDX_ASSIGN(Devif* const devif, leaf.devif(function, Operand::kRcx));
  if (validated == Validated::kNeeded && !devif->valid)
    return leaf.refuse(Code::kDevifInvalidState, Operand::kRcx,
                       "the guest has not validated the device");
  if (devif->tdr != td.tdr)
    return leaf.refuse(Code::kDevifInvalidMetadata, Operand::kRcx, "the function is another TD's");
  return devif;
}

Module::GuestLeafResult violation(Gpa gpa) { return {.leaf = {}, .ept_violation = gpa}; }

/// A leaf of either kind that the guest has accepted. Source: tdxio branch,
/// sept_state_is_guest_accessible_leaf().
bool accessible(SeptState state) {
  return state == SeptState::kMapped || state == SeptState::kMmioMapped;
}
/// The operand of statuses that say at which level the walk ended: that number itself.
Operand level_operand(const Sept::Place& place) {
  return number_operand(static_cast<std::uint32_t>(place.level));
}
/// Source: tdg_mmio_accept.c and tdg_mem_page_accept.c, cases 1.1 and 4.1.
Module::GuestLeafResult already_accepted(Leaf& leaf, const Sept::Place& place) {
  LeafResult result = leaf.remark(Code::kPageAlreadyAccepted);
  result.status = Status(Code::kPageAlreadyAccepted, level_operand(place));
  return {.leaf = result};
}

std::string describe(Gpa gpa, Level level) {
  return fmt::format("gpa={:#x} level={}", raw(gpa), static_cast<unsigned>(level));
}

}  // namespace

LeafResult Module::tdg_vp_info(Hpa vp) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.VP.INFO");
  TDX_ASSIGN(const Td* const td, caller(leaf, vp));
  return {.status = {},
          .rcx = 48,
          .rdx = td->parameters.attributes,
          .r8 = std::uint64_t{td->vcpus} | std::uint64_t{td->parameters.max_vcpus} << 32U,
          .r9 = leaf.s.find_vcpu(vp)->index};
}

Module::GuestLeafResult Module::tdg_mem_page_accept(Hpa vp, Gpa gpa, Level level) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.MEM.PAGE.ACCEPT", {.detail = describe(gpa, level)});
  TDX_ASSIGN(Td* const td, caller(leaf, vp));
  TDX_TRY(leaf.gpa(gpa, level, Level::k2M));
  const Sept sept(leaf.s.memory, *td);
  const Sept::Place place = sept.walk(gpa, level);
  TDX_TRY(leaf.sept_entry(*td, place));
  const SeptState state = place.entry.state();
  if (accessible(state)) return already_accepted(leaf, place);
  if (state == SeptState::kTable || (state == SeptState::kPending && place.level != level))
    return leaf.refuse(Code::kPageSizeMismatch, Operand::kRcx, "the host mapped another size");
  if (state != SeptState::kPending) return violation(gpa);
  if (level == Level::k2M) TDX_TRY(leaf.may_be_interrupted("TDG.MEM.PAGE.ACCEPT interrupted"));
  leaf.give_way();
  // The page is zero: it got the TD's key by AUG and nobody could write it since.
  sept.write(place.where, SeptEntry::make(SeptState::kMapped, level, place.entry.address()));
  return {};
}

Module::GuestLeafResult Module::tdg_mmio_accept(Hpa vp, Gpa gpa, Level level,
                                                std::uint64_t handle) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.MMIO.ACCEPT", {.detail = describe(gpa, level)});
  TDX_ASSIGN(Td* const td, caller(leaf, vp));
  TDX_TRY(leaf.gpa(gpa, level, Level::k1G));
  const Hpa expected{handle - td->mmio_offset};
  if (raw(expected) % level_bytes(level) != 0 || raw(expected) >> 52U != 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "the handle is no page of that size");
  const Sept sept(leaf.s.memory, *td);
  const Sept::Place place = sept.walk(gpa, level);
  TDX_TRY(leaf.sept_entry(*td, place));
  const SeptState state = place.entry.state();
  if (place.level == level && state == SeptState::kTable)
    return leaf.refuse(Code::kMmioAcceptSizeMismatch, level_operand(place),
                       "the host mapped smaller pages");
  if (accessible(state)) return already_accepted(leaf, place);
  if (state != SeptState::kMmioPending || place.level != level) return violation(gpa);
  if (place.entry.address() != expected)
    return leaf.refuse(Code::kMmioInvalidHpaOffset, Operand::kRcx,
                       "another MMIO page is mapped here than the guest expects");
  leaf.give_way();
  sept.write(place.where, SeptEntry::make(SeptState::kMmioMapped, level, place.entry.address()));
  return {};
}

LeafResult Module::tdg_dmar_accept(Hpa vp, FunctionId function) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.DMAR.ACCEPT", {.function = bdf_of(function)});
  TDX_ASSIGN(Td* const td, caller(leaf, vp));
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded));
  if (devif->state != TdiState::kLocked && devif->state != TdiState::kRun)
    return leaf.refuse(Code::kTdispInvalidState, Operand::kRcx, "the TDI is not locked");
  const DmarIndex index{.level = DmarLevel::kPasid,
                        .rid = bdf_of(function).rid(),
                        .iommu = static_cast<std::uint16_t>(devif->iommu),
                        .pasid = 0};
  TDX_ASSIGN(DmarEntry* const entry, dmar_used(leaf, index, Operand::kDmar));
  if (entry->state != DmarState::kPending && entry->state != DmarState::kPresent)
    return leaf.refuse(Code::kDmarInvalidMappingState, Operand::kDmar, "the entry is blocked");
  TDX_TRY(leaf.share(td->epoch_lock, Operand::kTdEpoch));
  // An entry has no lock here: the host may block it while this leaf gives way,
  // as the real module's host may between its walk and its store, so there is
  // no giving way between the look above and the store below.
  const bool first = entry->state == DmarState::kPending;
  if (first) {
    TdIommu& part = td->iommus[devif->iommu];
    if (part.pasidte_ref_cnt++ == 0) {
      ++td->curr_iotlb_cnt;
      part.inv_epoch = td->epoch;
      leaf.s.iommus[devif->iommu].iommu->set_domain_key(hw::TBit::kTrusted, td->domain(),
                                                        td->key());
    }
    devif->dmar_mapped = true;
  }
  entry->state = DmarState::kPresent;
  entry->tdr = td->tdr;
  dmar_write(leaf.s, entry->where + 8, td->domain());
  dmar_write(leaf.s, entry->where, raw(td->sept_root) | kPasidSecondStage | kDmarPresent);
  if (first)
    leaf.s.trace.fact(object::Lane::kFirmware, object::Fact::kTrustedDmaOn, "trusted DMA on",
                      {.function = bdf_of(function), .vm = td->trace_vm});
  return {};
}

LeafResult Module::tdg_devif_validate(Hpa vp, FunctionId function, const DeviceInfoHash& hash) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.DEVIF.VALIDATE", {.function = bdf_of(function)});
  TDX_ASSIGN(const Td* const td, caller(leaf, vp));
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNotNeeded));
  if (devif->info_hash != hash)
    return leaf.refuse(Code::kDevifPkhMismatch, Operand::kRdx,
                       "the device is not the one that the guest means");
  if (devif->valid) return leaf.remark(Code::kDevifAlreadyValid);
  leaf.give_way();
  devif->valid = true;
  return {};
}

LeafResult Module::tdg_devif_rd(Hpa vp, FunctionId function, DevifField field) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.DEVIF.RD", {.function = bdf_of(function)});
  TDX_ASSIGN(const Td* const td, caller(leaf, vp));
  TDX_ASSIGN(const Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded));
  switch (field) {
    case DevifField::kTdispVersion:
      return {.status = {}, .rcx = wire::kTdispVersion10};
    case DevifField::kState:
      return {.status = {}, .rcx = static_cast<std::uint64_t>(devif->state)};
  }
  return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "no such field");
}

LeafResult Module::tdg_devif_request(Hpa vp, FunctionId function, DevifRequest code) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.DEVIF.REQUEST",
            {.detail = std::string(wire::tdisp_name(static_cast<std::uint8_t>(code))),
             .function = bdf_of(function)});
  TDX_ASSIGN(const Td* const td, caller(leaf, vp));
  if (code != DevifRequest::kReport && code != DevifRequest::kState && code != DevifRequest::kStart)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "a guest may not ask for this");
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded));
  if (devif->state == TdiState::kError && code != DevifRequest::kState)
    return leaf.refuse(Code::kTdispErrorState, Operand::kRcx, "the TDI is in ERROR");
  if (devif->td_request != TdRequest::kAvailable)
    return leaf.refuse(Code::kTdispInvalidReqSts, Operand::kRcx, "the last request is not over");
  auto message = request_message(*devif, *td, function, code);
  if (!message)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx,
                       "the report was read: it is there once a lock");
  leaf.give_way();
  devif->td_request = TdRequest::kRequested;
  devif->td_message = std::move(*message);
  if (code == DevifRequest::kStart) {
    Reader nonce(devif->nonce);
    leaf.s.trace.fact(
        object::Lane::kFirmware, object::Fact::kGuestStart, "guest asked to start",
        {.function = bdf_of(function), .vm = td->trace_vm, .a = nonce.le<std::uint64_t>()});
  }
  return {};
}

Module::GuestLeafResult Module::tdg_devif_response(Hpa vp, FunctionId function,
                                                   std::optional<Gpa> buffer) {
  Leaf leaf(*state_, Leaf::Guest{}, "TDG.DEVIF.RESPONSE", {.function = bdf_of(function)});
  TDX_ASSIGN(Td* const td, caller(leaf, vp));
  std::optional<Hpa> target;
  if (buffer) {
    if (!is_page_aligned(raw(*buffer)))
      return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "the buffer is no page");
    TDX_TRY(leaf.gpa(*buffer, Level::k4K, Level::k4K));
    const Sept::Place place = Sept(leaf.s.memory, *td).walk(*buffer, Level::k4K);
    if (place.entry.state() != SeptState::kMapped) return violation(*buffer);
    TDX_TRY(leaf.sept_entry(*td, place));
    target = place.entry.address() + raw(*buffer) % level_bytes(place.level);
  }
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded));
  if (devif->td_request != TdRequest::kProcessed)
    return leaf.refuse(Code::kTdispInvalidReqSts, Operand::kRcx, "no answer is there");
  const auto answer = answer_of(function, devif->td_message);
  if (!answer)
    return leaf.refuse(Code::kTdispInvalidMessage, Operand::kRcx, "the answer is no good");
  if (std::holds_alternative<wire::TdispLockInterfaceResponse>(answer->body) ||
      std::holds_alternative<wire::TdispStopInterfaceResponse>(answer->body))
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "the answer was for the VMM");
  leaf.give_way();
  const auto applied = apply_answer(leaf.s, function, *devif, answer->body);
  if (!applied)
    return leaf.refuse(applied.error(), Operand::kRcx, "the answer shows what no guest may take");
  const Bytes message = std::exchange(devif->td_message, {});
  devif->td_request = TdRequest::kAvailable;
  LeafResult result{.status = {}, .rcx = *applied};
  if (target) {
    const bool written = leaf.s.memory.write(*target, message, td->key()).has_value();
    TEEIO_CHECK(written, "an accepted page takes bytes with its TD's key");
    result.rcx |= message_register(0, 0, message.size());
  }
  return {.leaf = result};
}

}  // namespace teeio::tdx
