#include "firmware/tdx/spdm_session.h"

#include <algorithm>
#include <utility>

#include "crypto/hash.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/messages.h"
#include "hw/root_port.h"

// What an IOMMU is set up for, and SPDM sessions.

namespace teeio::tdx {
namespace {

/// A session, by its index in the IOMMU's directory.
Checked<SpdmSession*> session_at(Leaf& leaf, IommuState& iommu, std::uint32_t session) {
  if (session >= kMaxSpdm) return leaf.refuse("spdm");
  TDX_ASSIGN(SpdmSession* const found, leaf.spdm(iommu, session, Operand::kRdx));
  if (found == nullptr) return leaf.refuse("no_spdm");
  return found;
}

LeafResult bound_result(const SpdmSession& spdm) {
  const DeviceInfoHash& hash = spdm.info_hash;
  return {.status = {},
          .rcx = 0,
          .rdx = hash[0],
          .r8 = hash[1],
          .r9 = hash[2],
          .r10 = hash[3],
          .r11 = hash[4],
          .r12 = hash[5]};
}

/// Puts the next request into the message page; 0 bytes: there is none.
LeafResult ask(Leaf& leaf, Hpa message, SpdmSession& spdm, const Bytes& request) {
  write_object(leaf, message, request);
  spdm.asked = true;
  if (!leaf.s.watcher.last().empty()) leaf.note(leaf.s.watcher.last());
  return {.status = {}, .rcx = message_register(0, 0, request.size())};
}

}  // namespace

void start_iommu(IommuState& iommu, Hpa root_table) {
  iommu.root_table = root_table;
  iommu.configured = true;
  iommu.iommu->set_root(hw::TBit::kTrusted, root_table);
}

void stop_iommu(State& s, std::uint32_t iommu) {
  IommuState& state = s.iommus[iommu];
  state.iommu->set_root(hw::TBit::kTrusted, std::nullopt);
  state.iommu->invalidate_all(hw::TBit::kTrusted);
  auto& dmar = s.dmar;
  for (auto at = dmar.begin(); at != dmar.end();)
    at = std::get<0>(at->first) == iommu ? dmar.erase(at) : std::next(at);
  state.queue.clear();
  state.ready_ports.clear();
  state.pages = {};
  state.configured = false;
  ++state.generation;
}

void make_session(State& s, std::uint32_t iommu, std::uint32_t session, std::vector<Hpa> pages) {
  IommuState& state = s.iommus[iommu];
  for (const Hpa page : pages) s.take_iommu_page(iommu, page);
  SpdmSession& made = state.sessions[session];
  made.pages = std::move(pages);
  // aead.c, tdx_io_aead_decrypt(): what is not authentic changes nothing.
  spdm::ChannelSetup channels = s.channels;
  channels.patient = true;
  made.channel = spdm::make_requester(channels, &s.watcher);
  ++state.active_spdm_session_count;
}

void forget_session(State& s, std::uint32_t iommu, std::uint32_t session) {
  IommuState& state = s.iommus[iommu];
  for (const Hpa page : state.sessions.at(session).pages) s.release_page(page);
  state.sessions.erase(session);
  --state.active_spdm_session_count;
}

void keep_evidence(SpdmSession& spdm, const Bytes& answer) {
  const spdm::Evidence* const evidence = spdm.channel->evidence();
  spdm.info = evidence != nullptr ? spdm::encode_evidence(*evidence) : answer;
  const crypto::Digest hash = crypto::hash(crypto::HashAlgorithm::kSha384, spdm.info);
  Reader digest(hash.view());
  for (std::uint64_t& quadword : spdm.info_hash) quadword = digest.le<std::uint64_t>();
}

void forget_connection(SpdmSession& spdm) {
  spdm.channel->reset();
  spdm.bound = spdm.asked = spdm.ending = spdm.worn = false;
  spdm.recollecting.reset();
  spdm.operation.reset();
  spdm.info.clear();
  spdm.info_hash = {};
}

LeafResult Module::tdh_spdm_create(std::uint32_t iommu, std::uint32_t session, Hpa page) {
  Leaf leaf(*state_, row::kSpdmCreate);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  if (session >= kMaxSpdm) return leaf.refuse("spdm");
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  TDX_ASSIGN(const SpdmSession* const there, leaf.spdm(*state, session, Operand::kRdx));
  if (there != nullptr) return leaf.refuse("spdm_present");
  leaf.give_way();
  make_session(leaf.s, iommu, session, {page});
  return {};
}

LeafResult Module::tdh_spdm_delete(std::uint32_t iommu, std::uint32_t session) {
  Leaf leaf(*state_, row::kSpdmDelete);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  TDX_TRY(leaf.take_page_of(spdm->pages.front(), "busy", Operand::kRcx));
  if (spdm->active_stream_count != 0) return leaf.refuse("streams");
  leaf.give_way();
  const Hpa page = spdm->pages.front();
  forget_session(leaf.s, iommu, session);
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_spdm_connect(std::uint32_t iommu, std::uint32_t session, Hpa message) {
  Leaf leaf(*state_, row::kSpdmConnect);
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  if (spdm->bound) return leaf.refuse("bound");
  if (spdm->asked) {
    TDX_ASSIGN(const Bytes& answer, read_object(leaf, message, Operand::kR8));
    // Whatever became of it: a further call without an answer asks again.
    spdm->asked = false;
    if (const auto taken = spdm->channel->connect_response(answer); !taken)
      return leaf.refuse_because("answer", taken.error().why);
    if (spdm->channel->connected()) keep_evidence(*spdm, answer);
  }
  TDX_TRY(leaf.shared_page(message, Operand::kR8));
  leaf.give_way();
  if (const auto request = spdm->channel->connect_request())
    return ask(leaf, message, *spdm, *request);
  if (!spdm->channel->connected()) return leaf.refuse("connected");
  spdm->bound = true;
  return bound_result(*spdm);
}

LeafResult Module::tdh_spdm_recollect(std::uint32_t iommu, std::uint32_t session,
                                      const std::array<std::byte, 32>& nonce, Hpa message) {
  Leaf leaf(*state_, row::kSpdmRecollect, {.detail = "device information"});
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  if (!spdm->bound) return leaf.refuse("spdm_state");
  if (spdm->recollecting && *spdm->recollecting != nonce) return leaf.refuse("nonce");
  TDX_TRY(leaf.shared_page(message, Operand::kR8));
  if (spdm->asked) {
    TDX_ASSIGN(const Bytes& answer, read_object(leaf, message, Operand::kR8));
    spdm->asked = false;
    if (const auto taken = spdm->channel->measure_response(answer); !taken) {
      spdm->recollecting.reset();
      return leaf.refuse_because("answer", taken.error().why);
    }
  }
  leaf.give_way();
  if (const auto request = spdm->channel->measure_request(nonce)) {
    spdm->recollecting = nonce;
    return ask(leaf, message, *spdm, *request);
  }
  spdm->recollecting.reset();
  if (spdm->channel->evidence() != nullptr) keep_evidence(*spdm, {});
  return bound_result(*spdm);
}

LeafResult Module::tdh_spdm_info(std::uint32_t iommu, std::uint32_t session, std::uint32_t offset,
                                 Hpa page) {
  Leaf leaf(*state_, row::kSpdmInfo, {.detail = "read device information"});
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  if (!spdm->bound) return leaf.refuse("spdm_state");
  if (offset > spdm->info.size()) return leaf.refuse("offset");
  TDX_TRY(leaf.shared_page(page, Operand::kR8));
  leaf.give_way();
  const ByteView rest = ByteView(spdm->info).subspan(offset);
  const ByteView portion = rest.first(std::min<std::size_t>(rest.size(), kPageSize));
  write_object(leaf, page, portion);
  return {.status = {}, .rcx = message_register(0, 0, portion.size()), .rdx = spdm->info.size()};
}

LeafResult Module::tdh_spdm_disconnect(std::uint32_t iommu, std::uint32_t session,
                                       std::optional<Hpa> message) {
  Leaf leaf(*state_, row::kSpdmDisconnect);
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(SpdmSession* const spdm, session_at(leaf, *state, session));
  if (spdm->active_stream_count != 0) return leaf.refuse("streams");
  if (message) TDX_TRY(leaf.shared_page(*message, Operand::kR8));
  if (message && spdm->ending) {
    TDX_ASSIGN(const Bytes& answer, read_object(leaf, *message, Operand::kR8));
    (void)spdm->channel->disconnect_response(answer);
  }
  leaf.give_way();
  if (const auto request = spdm->channel->disconnect_request(); message && request) {
    write_object(leaf, *message, *request);
    spdm->ending = true;
    return {.status = {}, .rcx = message_register(0, 0, request->size())};
  }
  forget_connection(*spdm);
  return {};
}

}  // namespace teeio::tdx
