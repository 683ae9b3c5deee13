#include <algorithm>

#include "firmware/tdx/leaf.h"
#include "firmware/tdx/messages.h"
#include "hw/root_port.h"

// IOMMU set-up and SPDM sessions.

namespace teeio::tdx {
namespace {

Checked<SpdmSession*> session_at(Leaf& leaf, IommuState& iommu, std::uint32_t session) {
  if (session >= kMaxSpdm)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "bad SPDM index");
  const auto at = iommu.sessions.find(session);
  if (at == iommu.sessions.end())
    return leaf.refuse(Code::kSpdmEntryNotPresent, Operand::kRdx, "no such SPDM session");
  return &at->second;
}

/// A page for IOMMU tables of the current generation.
void take_iommu_page(State& s, std::uint32_t iommu, Hpa page) {
  s.take_page(page, PageType::kIommuMt, Hpa{0}, hw::KeyId{kModuleKey});
  PamtEntry& entry = s.pamt.entry(page);
  entry.iommu = iommu;
  entry.generation = s.iommus[iommu].generation;
}

DeviceInfoHash hash_of(ByteView version_answer) {
  Reader reader(version_answer.first(std::min(version_answer.size(), kDeviceInfoHash)));
  DeviceInfoHash hash{};
  for (std::uint64_t& quadword : hash)
    for (unsigned byte = 0; byte < 8 && !reader.rest().empty(); ++byte)
      quadword |= std::uint64_t{reader.le<std::uint8_t>()} << (8 * byte);
  return hash;
}

}  // namespace

LeafResult Module::tdh_iommu_setup(std::uint32_t iommu, Hpa root_table, Hpa queue) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IOMMU.SETUP"));
  TDX_TRY(leaf.extension());
  if (iommu >= kMaxIommus) return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "bad id");
  if (iommu >= leaf.s.iommus.size() || leaf.s.iommus[iommu].configured)
    return leaf.refuse(Code::kIommuInvalidState, Operand::kRcx, "no such IOMMU, or it is set up");
  IommuState& state = leaf.s.iommus[iommu];
  TDX_TRY(leaf.free_page(root_table, Operand::kRdx));
  TDX_TRY(leaf.free_page(queue, Operand::kR8));
  for (hw::RootPort* port : state.root_ports)
    if (port->free_streams() != port->streams())
      return leaf.refuse(Code::kRpIdeMustBeDisabled, Operand::kRcx,
                         "a root port's IDE stream is on");
  leaf.give_way();
  take_iommu_page(leaf.s, iommu, root_table);
  take_iommu_page(leaf.s, iommu, queue);
  state.root_table = root_table;
  state.configured = true;
  state.iommu->set_root(hw::TBit::kTrusted, root_table);
  return {};
}

LeafResult Module::tdh_iommu_clear(std::uint32_t iommu) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IOMMU.CLEAR"));
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  if (state->active_spdm_session_count != 0)
    return leaf.refuse(Code::kIommuInvalidState, Operand::kRcx, "SPDM sessions are left");
  leaf.give_way();
  state->iommu->set_root(hw::TBit::kTrusted, std::nullopt);
  state->iommu->invalidate_all(hw::TBit::kTrusted);
  std::erase_if(leaf.s.dmar, [&](const auto& item) { return std::get<0>(item.first) == iommu; });
  state->queue.clear();
  state->configured = false;
  ++state->generation;
  return {};
}

LeafResult Module::tdh_spdm_create(std::uint32_t iommu, std::uint32_t session, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.SPDM.CREATE"));
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  if (session >= kMaxSpdm)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "bad SPDM index");
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  if (state->sessions.contains(session))
    return leaf.refuse(Code::kSpdmEntryAlreadyPresent, Operand::kRdx, "the session exists");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kSpdm, Hpa{0}, hw::KeyId{kModuleKey});
  SpdmSession& made = state->sessions[session];
  made.page = page;
  made.channel = spdm::make_plain_requester();
  ++state->active_spdm_session_count;
  return {};
}

LeafResult Module::tdh_spdm_delete(std::uint32_t iommu, std::uint32_t session) {
  Leaf leaf(*state_, TDX_LEAF("TDH.SPDM.DELETE"));
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  TDX_TRY(leaf.take(leaf.s.pamt.entry(spdm->page).lock, Operand::kPamt));
  if (spdm->active_stream_count != 0)
    return leaf.refuse(Code::kSpdmHasActiveIdeStreams, Operand::kRdx, "IDE streams are left");
  leaf.give_way();
  const Hpa page = spdm->page;
  leaf.s.release_page(page);
  state->sessions.erase(session);
  --state->active_spdm_session_count;
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_spdm_connect(std::uint32_t iommu, std::uint32_t session, Hpa message) {
  Leaf leaf(*state_, TDX_LEAF("TDH.SPDM.CONNECT"));
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  if (spdm->bound)
    return leaf.refuse(Code::kSpdmInvalidState, Operand::kRdx, "the session is bound");
  if (spdm->asked) {
    TDX_ASSIGN(const Bytes& answer,
               read_object(leaf, message, Operand::kR8, Code::kSpdmInvalidState));
    // Whatever became of it: a further call without an answer asks again.
    spdm->asked = false;
    if (const auto taken = spdm->channel->connect_response(answer); !taken)
      return leaf.refuse(Code::kSpdmInvalidState, Operand::kR8, taken.error().why);
    spdm->info_hash = hash_of(answer);
  }
  TDX_TRY(leaf.shared_page(message, Operand::kR8));
  leaf.give_way();
  if (const auto request = spdm->channel->connect_request()) {
    write_object(leaf, message, *request);
    spdm->asked = true;
    return {.status = {}, .rcx = message_register(0, 0, request->size())};
  }
  spdm->bound = true;
  const DeviceInfoHash& hash = spdm->info_hash;
  return {.status = {},
          .rcx = 0,
          .rdx = hash[0],
          .r8 = hash[1],
          .r9 = hash[2],
          .r10 = hash[3],
          .r11 = hash[4],
          .r12 = hash[5]};
}

LeafResult Module::tdh_spdm_disconnect(std::uint32_t iommu, std::uint32_t session) {
  Leaf leaf(*state_, TDX_LEAF("TDH.SPDM.DISCONNECT"));
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  if (spdm->active_stream_count != 0)
    return leaf.refuse(Code::kSpdmHasActiveIdeStreams, Operand::kRdx, "IDE streams are left");
  leaf.give_way();
  spdm->channel->reset();
  spdm->bound = false;
  spdm->asked = false;
  spdm->info_hash = {};
  return {};
}

}  // namespace teeio::tdx
