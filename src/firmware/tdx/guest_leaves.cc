#include <algorithm>

#include "base/check.h"
#include "firmware/tdx/devif_messages.h"
#include "firmware/tdx/dmar_index.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/measurement.h"
#include "firmware/tdx/messages.h"

// What a guest asks by TDCALL.

namespace teeio::tdx {
namespace {

enum class Validated : std::uint8_t { kNotNeeded, kNeeded };

Checked<Devif*> guest_devif(Leaf& leaf, const Td& td, FunctionId function, Validated validated,
                            const ReservedBits& rest) {
  if (rest[Operand::kRcx] != 0) return leaf.refuse("function");
  TDX_ASSIGN(Devif* const devif, leaf.devif(function, Operand::kRcx));
  if (validated == Validated::kNeeded && !devif->valid) return leaf.refuse("valid");
  if (devif->tdr != td.tdr) return leaf.refuse("owner");
  return devif;
}

Module::GuestLeafResult violation(Gpa gpa) { return {.leaf = {}, .ept_violation = gpa}; }

/// A leaf of either kind that the guest has accepted. Source: tdxio branch,
/// sept_state_is_guest_accessible_leaf().
bool accessible(SeptState state) {
  return state == SeptState::kMapped || state == SeptState::kMmioMapped;
}
/// What statuses carry that say at which level the walk ended.
std::uint32_t level_number(const Sept::Place& place) {
  return static_cast<std::uint32_t>(place.level);
}
/// Source: tdg_mmio_accept.c and tdg_mem_page_accept.c, cases 1.1 and 4.1.
Module::GuestLeafResult already_accepted(Leaf& leaf, const Sept::Place& place) {
  return {.leaf = leaf.remark_number("accepted", level_number(place))};
}

/// A walk that ended above `level`: nothing there was locked. Source: the same, cases 1 and 2.
Module::GuestLeafResult ended_above(Leaf& leaf, const Sept::Place& place, Gpa gpa) {
  return accessible(place.entry.state()) ? already_accepted(leaf, place) : violation(gpa);
}

/// Private memory of one page. False: it is not accepted there.
bool read_guest(State& s, const Td& td, Gpa from, std::span<std::byte> out) {
  const std::optional<Hpa> where = Sept(s.memory, td).accepted_ram(from);
  if (!where) return false;
  const bool read = s.memory.read(*where, out, td.key()).has_value();
  TEEIO_CHECK(read, "a TD's page can be read with its key");
  return true;
}

}  // namespace

LeafResult Module::tdg_vp_info(Hpa vp) {
  Leaf leaf(*state_, row::kTdgVpInfo);
  TDX_ASSIGN(const Td* const td, leaf.caller(vp));
  constexpr std::uint64_t kHasSysRd = 1;
  return {.status = {},
          .rcx = 48,
          .rdx = td->parameters.attributes,
          .r8 = std::uint64_t{td->vcpus} | std::uint64_t{td->parameters.max_vcpus} << 32U,
          .r9 = leaf.s.find_vcpu(vp)->index,
          .r10 = kHasSysRd};
}

Module::GuestLeafResult Module::tdg_mr_rtmr_extend(Hpa vp, Gpa data, std::uint64_t index) {
  Leaf leaf(*state_, row::kTdgMrRtmrExtend);
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  if (raw(data) % 64 != 0) return leaf.refuse("alignment");
  if (raw(data) >= kSharedGpaBit) return leaf.refuse("private");
  Measurement more{};
  if (!read_guest(leaf.s, *td, data, more)) return violation(data);
  if (index >= td->rtmrs.size()) return leaf.refuse("index");
  TDX_TRY(leaf.take(td->rtmr_lock, "rtmrs", Operand::kRtmr));
  leaf.give_way();
  Measurement& rtmr = td->rtmrs.at(index);
  std::ranges::copy(crypto::hash(crypto::HashAlgorithm::kSha384, {rtmr, more}).view(),
                    rtmr.begin());
  return {};
}

Module::GuestLeafResult Module::tdg_mr_report(Hpa vp, Gpa report, Gpa data, std::uint64_t subtype) {
  Leaf leaf(*state_, row::kTdgMrReport);
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  if (raw(report) % kTdReportBytes != 0) return leaf.refuse("alignment", Operand::kRcx);
  if (raw(data) % kReportDataBytes != 0) return leaf.refuse("alignment", Operand::kRdx);
  if (raw(data) >= kSharedGpaBit) return leaf.refuse("private", Operand::kRdx);
  std::array<std::byte, kReportDataBytes> own{};
  if (!read_guest(leaf.s, *td, data, own)) return violation(data);
  if (subtype != 0) return leaf.refuse("subtype");
  TDX_TRY(leaf.share(td->rtmr_lock, "rtmrs", Operand::kRtmr));
  if (raw(report) >= kSharedGpaBit) return leaf.refuse("private", Operand::kRcx);
  if (!Sept(leaf.s.memory, *td).accepted_ram(report)) return violation(report);
  leaf.give_way();
  // No lock keeps the page, only that a vCPU may still have its translation.
  const std::optional<Hpa> target = Sept(leaf.s.memory, *td).accepted_ram(report);
  if (!target) return violation(report);
  const bool written =
      leaf.s.memory.write(*target, make_td_report(*td, own), td->key()).has_value();
  TEEIO_CHECK(written, "an accepted page takes bytes with its TD's key");
  return {};
}

Module::GuestLeafResult Module::tdg_mr_verifyreport(Hpa vp, Gpa mac_struct) {
  Leaf leaf(*state_, row::kTdgMrVerifyreport);
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  if (raw(mac_struct) % kReportMacBytes != 0) return leaf.refuse("alignment");
  if (raw(mac_struct) >= kSharedGpaBit) return leaf.refuse("private");
  std::array<std::byte, kReportMacBytes> bytes{};
  if (!read_guest(leaf.s, *td, mac_struct, bytes)) return violation(mac_struct);
  if (!is_own_report(bytes)) return leaf.refuse("mac");
  return {};
}

Module::GuestLeafResult Module::tdg_mem_page_accept(Hpa vp, Gpa gpa, Level level,
                                                    const ReservedBits& rest) {
  Leaf leaf(*state_, row::kTdgMemPageAccept, {.detail = describe(gpa, level)});
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  TDX_TRY(leaf.reserved(rest, {Operand::kRcx}));
  TDX_TRY(leaf.gpa(gpa, level, Level::k2M));
  const Sept sept(leaf.s.memory, *td);
  const Sept::Place place = sept.walk(gpa, level);
  const SeptState state = place.entry.state();
  if (place.level != level) return ended_above(leaf, place, gpa);
  TDX_TRY(leaf.sept_entry(*td, place));
  if (state == SeptState::kTable) return leaf.refuse_number("size", level_number(place));
  if (accessible(state)) return already_accepted(leaf, place);
  if (state != SeptState::kPending) return violation(gpa);
  if (level == Level::k2M) TDX_TRY(leaf.may_be_interrupted("TDG.MEM.PAGE.ACCEPT interrupted"));
  leaf.give_way();
  // The page is zero: it got the TD's key by AUG and nobody could write it since.
  sept.write(place.where, SeptEntry::make(SeptState::kMapped, level, place.entry.address()));
  return {};
}

Module::GuestLeafResult Module::tdg_mmio_accept(Hpa vp, Gpa gpa, Level level, std::uint64_t handle,
                                                const ReservedBits& rest) {
  Leaf leaf(*state_, row::kTdgMmioAccept, {.detail = describe(gpa, level)});
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  TDX_TRY(leaf.reserved(rest, {Operand::kRcx}));
  TDX_TRY(leaf.gpa(gpa, level, Level::k1G));
  const Hpa expected{handle - td->mmio_offset};
  if (raw(expected) % level_bytes(level) != 0 || raw(expected) >> 52U != 0)
    return leaf.refuse("handle");
  const Sept sept(leaf.s.memory, *td);
  const Sept::Place place = sept.walk(gpa, level);
  if (place.level != level) return ended_above(leaf, place, gpa);
  TDX_TRY(leaf.sept_entry(*td, place));
  const SeptState state = place.entry.state();
  if (state == SeptState::kTable) return leaf.refuse_number("size", level_number(place));
  if (accessible(state)) return already_accepted(leaf, place);
  if (state != SeptState::kMmioPending) return violation(gpa);
  if (place.entry.address() != expected) return leaf.refuse("offset");
  leaf.give_way();
  sept.write(place.where, SeptEntry::make(SeptState::kMmioMapped, level, place.entry.address()));
  return {};
}

/// An entry has no lock here: the host may block it between the walk and the store, as on the
/// real module, so there is no giving way in between.
LeafResult Module::tdg_dmar_accept(Hpa vp, FunctionId function, const ReservedBits& rest) {
  using enum Operand;
  Leaf leaf(*state_, row::kTdgDmarAccept, {.function = bdf_of(function)});
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  TDX_TRY(leaf.reserved(rest, {kRdx, kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15}));
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded, rest));
  if (devif->state != TdiState::kLocked && devif->state != TdiState::kRun)
    return leaf.refuse("locked");
  const DmarIndex index{.level = DmarLevel::kPasid,
                        .rid = bdf_of(function).rid(),
                        .iommu = static_cast<std::uint16_t>(devif->iommu),
                        .pasid = 0};
  TDX_ASSIGN(DmarEntry* const entry, dmar_walk(leaf, index, Operand::kDmar));
  const DmarState state = dmar_state_of(entry);
  if (state != DmarState::kPending && state != DmarState::kPresent) return leaf.refuse("state");
  const bool first = state == DmarState::kPending;
  if (first) {
    TDX_TRY(leaf.share(td->epoch_lock, "epoch", Operand::kTdEpoch));
    TdIommu& part = td->iommus[devif->iommu];
    if (part.pasidte_ref_cnt++ == 0) {
      ++td->curr_iotlb_cnt;
      part.inv_epoch = td->epoch;
      leaf.s.iommus[devif->iommu].iommu->set_domain_key(hw::TBit::kTrusted, td->domain(), td->key(),
                                                        Iova{kSharedGpaBit});
    }
  }
  devif->dmar_mapped = true;
  entry->state = DmarState::kPresent;
  entry->inv = InvState::kPending;
  entry->tdr = td->tdr;
  dmar_write(leaf.s, entry->where + 8, entry->value[1] | td->domain());
  dmar_write(leaf.s, entry->where,
             entry->value[0] | raw(td->sept_root) | kPasidFourLevels | kDmarPresent);
  if (first)
    leaf.s.trace.fact(object::Lane::kFirmware, object::Fact::kTrustedDmaOn, "trusted DMA on",
                      {.function = bdf_of(function), .vm = td->trace_vm});
  return {};
}

LeafResult Module::tdg_devif_validate(Hpa vp, FunctionId function, const DeviceInfoHash& hash,
                                      const ReservedBits& rest) {
  Leaf leaf(*state_, row::kTdgDevifValidate, {.function = bdf_of(function)});
  TDX_ASSIGN(const Td* const td, leaf.caller(vp));
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNotNeeded, rest));
  if (devif->info_hash != hash) return leaf.refuse("hash");
  if (devif->valid) return leaf.remark("already");
  leaf.give_way();
  devif->valid = true;
  return {};
}

LeafResult Module::tdg_devif_rd(Hpa vp, FunctionId function, DevifField field,
                                const ReservedBits& rest) {
  Leaf leaf(*state_, row::kTdgDevifRd, {.function = bdf_of(function)});
  TDX_ASSIGN(const Td* const td, leaf.caller(vp));
  TDX_TRY(leaf.reserved(rest, {Operand::kR9, Operand::kRdx}));
  if (field != DevifField::kTdispVersion) return leaf.refuse("field");
  TDX_TRY(guest_devif(leaf, *td, function, Validated::kNeeded, rest));
  return {.status = {}, .rcx = wire::kTdispVersion10};
}

LeafResult Module::tdg_devif_request(Hpa vp, FunctionId function, DevifRequest code,
                                     const ReservedBits& rest) {
  Leaf leaf(*state_, row::kTdgDevifRequest,
            {.detail = std::string(wire::tdisp_name(static_cast<std::uint8_t>(code))),
             .function = bdf_of(function)});
  TDX_ASSIGN(const Td* const td, leaf.caller(vp));
  TDX_TRY(leaf.reserved(rest, {Operand::kRdx, Operand::kR9}));
  if (code != DevifRequest::kReport && code != DevifRequest::kState && code != DevifRequest::kStart)
    return leaf.refuse("code");
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded, rest));
  if (devif->state == TdiState::kError && code != DevifRequest::kState) return leaf.refuse("error");
  if (devif->td_request != TdRequest::kAvailable) return leaf.refuse("slot");
  auto message = request_message(*devif, *td, function, code);
  if (!message) return leaf.refuse("report");
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
                                                   std::optional<Gpa> buffer,
                                                   const ReservedBits& rest) {
  Leaf leaf(*state_, row::kTdgDevifResponse, {.function = bdf_of(function)});
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  TDX_TRY(leaf.reserved(rest, {Operand::kR9}));
  if (buffer && (!is_page_aligned(raw(*buffer)) || raw(*buffer) >= kSharedGpaBit))
    return leaf.refuse("buffer");
  if (buffer && !Sept(leaf.s.memory, *td).accepted_ram(*buffer)) return violation(*buffer);
  TDX_ASSIGN(Devif* const devif, guest_devif(leaf, *td, function, Validated::kNeeded, rest));
  if (devif->td_request != TdRequest::kProcessed) return leaf.refuse("slot");
  const auto answer = answer_of(function, devif->td_message);
  if (!answer) return leaf.refuse("header");
  if (std::holds_alternative<wire::TdispLockInterfaceResponse>(answer->body) ||
      std::holds_alternative<wire::TdispStopInterfaceResponse>(answer->body))
    return leaf.refuse("for_vmm");
  leaf.give_way();
  // No lock keeps the page, only that a vCPU may still have its translation.
  const std::optional<Hpa> target =
      buffer ? Sept(leaf.s.memory, *td).accepted_ram(*buffer) : std::nullopt;
  if (buffer && !target) return violation(*buffer);
  const auto applied = apply_answer(leaf.s, function, *devif, answer->body);
  if (!applied)
    return leaf.refuse(applied.error() == Code::kTdispInvalidMessage ? "message" : "configuration");
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
