#include "firmware/tdx/g3_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "firmware/tdx/messages.h"
#include "firmware/tdx/spdm_session.h"
#include "hw/root_port.h"

// IOMMU set-up and SPDM sessions as the newer API has them.

namespace teeio::tdx {
namespace {

/// The IOMMU that translates for a function's root port.
std::optional<std::uint32_t> iommu_of(const State& s, FunctionId function) {
  const std::uint8_t bus = bdf_of(function).bus;
  for (std::uint32_t id = 0; id < s.iommus.size(); ++id)
    for (const hw::RootPort* port : s.iommus.unrecorded(id).root_ports)
      if (bus >= port->secondary_bus() && bus <= port->subordinate_bus()) return id;
  return std::nullopt;
}

std::optional<std::uint32_t> free_index(const IommuState& iommu) {
  for (std::uint32_t index = 0; index < kMaxSpdm; ++index)
    if (!iommu.sessions.contains(index)) return index;
  return std::nullopt;
}

/// Only slot 0 is asked for its certificates here.
Checked<SpdmConfiguration> read_configuration(Leaf& leaf, Hpa page) {
  TDX_TRY(leaf.shared_page(page, Operand::kRdx));
  std::array<std::byte, 7> bytes{};
  if (!leaf.s.memory.read(page, bytes)) return leaf.refuse("shared", Operand::kRdx);
  Reader reader(bytes);
  SpdmConfiguration configuration;
  configuration.capabilities = reader.le<std::uint32_t>();
  configuration.session_policy = reader.le<std::uint8_t>();
  configuration.certificate_slots = reader.le<std::uint8_t>();
  configuration.raw_bitstream = reader.le<std::uint8_t>();
  constexpr std::uint32_t kKnown = SpdmConfiguration::kHeartbeat | SpdmConfiguration::kKeyUpdate;
  if ((configuration.capabilities & ~kKnown) != 0 || configuration.session_policy != 0 ||
      (configuration.certificate_slots & 1U) == 0 || configuration.raw_bitstream != 0)
    return leaf.refuse("configuration");
  return configuration;
}

Checked<std::vector<Hpa>> info_pages(Leaf& leaf, HpaArray info, Operand operand) {
  TDX_ASSIGN(const std::vector<Hpa>& pages, leaf.array(info, kInfoPages, operand));
  for (const Hpa page : pages) TDX_TRY(leaf.shared_page(page, operand));
  return pages;
}

/// The device information in the host's pages; RCX: its bytes.
LeafResult give_info(Leaf& leaf, const std::vector<Hpa>& pages, const Bytes& info) {
  ByteView rest(info);
  for (const Hpa page : pages) {
    const ByteView portion = rest.first(std::min<std::size_t>(rest.size(), kPageSize));
    if (portion.empty()) break;
    write_object(leaf, page, portion);
    rest = rest.subspan(portion.size());
  }
  return {.status = {}, .rcx = info.size()};
}

spdm::RequesterChannel::Upkeep upkeep_of(SpdmOperation operation) {
  using enum spdm::RequesterChannel::Upkeep;
  return operation == SpdmOperation::kHeartbeat ? kHeartbeat : kKeyUpdate;
}

/// What MNG is about may be asked of this session.
Checked<void> may_manage(Leaf& leaf, const SpdmSession& spdm, SpdmOperation operation) {
  if (operation > SpdmOperation::kRecollect) return leaf.refuse("operation");
  if (spdm.operation && *spdm.operation != operation) return leaf.refuse("under_way");
  const std::uint32_t needed = operation == SpdmOperation::kHeartbeat
                                   ? SpdmConfiguration::kHeartbeat
                                   : SpdmConfiguration::kKeyUpdate;
  if (operation != SpdmOperation::kRecollect && (spdm.configuration.capabilities & needed) == 0)
    return leaf.refuse("capability");
  return {};
}

using Nonce = std::array<std::byte, 32>;

Checked<Nonce> read_nonce(Leaf& leaf, std::optional<Hpa> page) {
  Nonce nonce{};
  if (!page) return leaf.refuse("parameter");
  TDX_TRY(leaf.shared_page(*page, Operand::kR8));
  if (!leaf.s.memory.read(*page, nonce)) return leaf.refuse("shared", Operand::kR8);
  return nonce;
}

/// The device's answer to MNG's last message.
Checked<void> take_managed(Leaf& leaf, SpdmSession& spdm, SpdmOperation operation, Hpa answer) {
  TDX_ASSIGN(const Bytes& object, read_object(leaf, answer, Operand::kR9));
  spdm.asked = false;
  const auto taken = operation == SpdmOperation::kRecollect ? spdm.channel->measure_response(object)
                                                            : spdm.channel->upkeep_response(object);
  if (taken) return {};
  spdm.operation.reset();
  return leaf.refuse_because("answer", taken.error().why);
}

/// MNG's next message; nullopt: all was said.
Checked<std::optional<Bytes>> next_managed(Leaf& leaf, SpdmSession& spdm, SpdmOperation operation,
                                           const Nonce& nonce) {
  if (operation == SpdmOperation::kRecollect) return spdm.channel->measure_request(nonce);
  auto request = spdm.channel->upkeep_request(upkeep_of(operation));
  if (!request) return leaf.refuse_because("upkeep", request.error().why);
  return std::move(*request);
}

}  // namespace

Checked<G3Session> g3_session(Leaf& leaf, std::uint64_t spdm, Operand operand) {
  G3Session found{
      .iommu_id = static_cast<std::uint32_t>(std::min<std::uint64_t>(spdm >> 8U, kMaxIommus)),
      .index = static_cast<std::uint32_t>(spdm & 0xffU)};
  if (found.iommu_id >= leaf.s.iommus.size()) return leaf.refuse("no_spdm", operand);
  TDX_ASSIGN(found.iommu, leaf.iommu(found.iommu_id));
  TDX_ASSIGN(found.spdm, leaf.spdm(*found.iommu, found.index, operand));
  if (found.spdm == nullptr) return leaf.refuse("no_spdm", operand);
  return found;
}

Checked<void> g3_messages(Leaf& leaf, const G3Leaves::Messages& messages, Operand answer,
                          Operand request) {
  TDX_TRY(leaf.shared_page(messages.answer, answer));
  return leaf.shared_page(messages.request, request);
}

LeafResult g3_request(Leaf& leaf, Hpa page, const Bytes& request) {
  write_object(leaf, page, request);
  if (!leaf.s.watcher.last().empty()) leaf.note(leaf.s.watcher.last());
  return {.status = Code::kSpdmRequest, .rcx = request.size()};
}

LeafResult G3Leaves::tdh_iommu_setup(Hpa registers, HpaArray pages) {
  Leaf leaf(s_, row::kG3IommuSetup);
  TDX_TRY(leaf.may_fail());
  const auto at = std::ranges::find(s_.iommus, registers, &IommuState::registers);
  if (at == s_.iommus.end()) return leaf.refuse("registers");
  TDX_TRY(leaf.take_host_priority(at->lock, "iommu_busy", Operand::kRcx));
  if (at->configured) return leaf.refuse("iommu_state");
  TDX_ASSIGN(const std::vector<Hpa>& donated, leaf.free_array(pages, kIommuPages, Operand::kRdx));
  for (const hw::RootPort* port : at->root_ports)
    if (port->free_streams() != port->streams()) return leaf.refuse("root_port");
  leaf.give_way();
  const auto id = static_cast<std::uint32_t>(at - s_.iommus.begin());
  for (const Hpa page : donated) s_.take_iommu_page(id, page);
  at->ready_ports.assign(at->root_ports.begin(), at->root_ports.end());
  start_iommu(*at, donated[0]);
  return {.status = {}, .rcx = id};
}

LeafResult G3Leaves::tdh_iommu_clear(std::uint32_t iommu) {
  Leaf leaf(s_, row::kG3IommuClear);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(const IommuState* const state, leaf.iommu(iommu));
  if (state->active_spdm_session_count != 0) return leaf.refuse("sessions");
  leaf.give_way();
  stop_iommu(s_, iommu);
  return {};
}

LeafResult G3Leaves::tdh_spdm_create(FunctionId function, HpaArray pages) {
  Leaf leaf(s_, row::kG3SpdmCreate, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  if (static_cast<std::uint32_t>(function) >> 16U != 0) return leaf.refuse("function");
  const auto id = iommu_of(s_, function);
  if (!id) return leaf.refuse("root_port");
  TDX_ASSIGN(const IommuState* const iommu, leaf.iommu(*id));
  TDX_ASSIGN(const std::vector<Hpa>& donated, leaf.free_array(pages, kSpdmPages, Operand::kRdx));
  const auto index = free_index(*iommu);
  if (!index) return leaf.refuse("sessions");
  leaf.give_way();
  make_session(s_, *id, *index, donated);
  return {.status = {}, .rcx = G3Session::name(*id, *index)};
}

LeafResult G3Leaves::tdh_spdm_delete(std::uint64_t spdm, Hpa list) {
  Leaf leaf(s_, row::kG3SpdmDelete);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  TDX_TRY(leaf.shared_page(list, Operand::kRdx));
  const std::vector<Hpa> pages = session.spdm->pages;
  for (const Hpa page : pages) TDX_TRY(leaf.take_page_of(page, "busy", Operand::kRcx));
  if (session.spdm->active_stream_count != 0) return leaf.refuse("streams");
  leaf.give_way();
  forget_session(s_, session.iommu_id, session.index);
  Writer addresses;
  for (const Hpa page : pages) addresses.le(raw(page));
  write_object(leaf, list, addresses.take());
  return {.status = {}, .rcx = HpaArray(list, pages.size()).raw()};
}

LeafResult G3Leaves::tdh_spdm_connect(std::uint64_t spdm, Hpa configuration, Messages messages,
                                      HpaArray info) {
  Leaf leaf(s_, row::kG3SpdmConnect);
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  SpdmSession& it = *session.spdm;
  if (it.bound) return leaf.refuse("bound");
  TDX_ASSIGN(const SpdmConfiguration wanted, read_configuration(leaf, configuration));
  TDX_TRY(g3_messages(leaf, messages, Operand::kR8, Operand::kR9));
  TDX_ASSIGN(const std::vector<Hpa>& pages, info_pages(leaf, info, Operand::kR10));
  if (it.asked) {
    TDX_ASSIGN(const Bytes& answer, read_object(leaf, messages.answer, Operand::kR8));
    // Whatever became of it: a further call asks again.
    it.asked = false;
    if (const auto taken = it.channel->connect_response(answer); !taken)
      return leaf.refuse_because("answer", taken.error().why);
    if (it.channel->connected()) keep_evidence(it, answer);
  } else {
    TDX_TRY(leaf.may_be_interrupted("TDH.SPDM.CONNECT interrupted"));
  }
  leaf.give_way();
  if (const auto request = it.channel->connect_request()) {
    it.asked = true;
    return g3_request(leaf, messages.request, *request);
  }
  if (!it.channel->connected()) return leaf.refuse("connected");
  if (it.info.size() > kInfoPages * kPageSize) return leaf.refuse("space");
  it.bound = true;
  it.configuration = wanted;
  return give_info(leaf, pages, it.info);
}

LeafResult G3Leaves::tdh_spdm_mng(std::uint64_t spdm, SpdmOperation operation,
                                  std::optional<Hpa> parameter, Messages messages,
                                  std::optional<HpaArray> info) {
  Leaf leaf(s_, row::kG3SpdmMng);
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  SpdmSession& it = *session.spdm;
  if (!it.bound) return leaf.refuse("spdm_state");
  TDX_TRY(may_manage(leaf, it, operation));
  const bool recollects = operation == SpdmOperation::kRecollect;
  Nonce nonce{};
  std::vector<Hpa> pages;
  if (recollects) {
    TDX_ASSIGN(nonce, read_nonce(leaf, parameter));
    if (it.operation && it.recollecting && *it.recollecting != nonce)
      return leaf.refuse("under_way");
  }
  TDX_TRY(g3_messages(leaf, messages, Operand::kR9, Operand::kR10));
  if (recollects) {
    if (!info) return leaf.refuse("array");
    TDX_ASSIGN(pages, info_pages(leaf, *info, Operand::kR11));
  }
  if (it.asked) TDX_TRY(take_managed(leaf, it, operation, messages.answer));
  leaf.give_way();
  TDX_ASSIGN(const std::optional<Bytes>& request, next_managed(leaf, it, operation, nonce));
  if (request) {
    it.operation = operation;
    if (recollects) it.recollecting = nonce;
    it.asked = true;
    return g3_request(leaf, messages.request, *request);
  }
  it.operation.reset();
  it.recollecting.reset();
  if (operation == SpdmOperation::kKeyUpdate) it.worn = false;
  if (!recollects) return {};
  if (it.channel->evidence() != nullptr) keep_evidence(it, {});
  if (it.info.size() > kInfoPages * kPageSize) return leaf.refuse("space");
  return give_info(leaf, pages, it.info);
}

LeafResult G3Leaves::tdh_spdm_disconnect(std::uint64_t spdm, Messages messages) {
  Leaf leaf(s_, row::kG3SpdmDisconnect);
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  SpdmSession& it = *session.spdm;
  if (it.active_stream_count != 0) return leaf.refuse("streams");
  TDX_TRY(g3_messages(leaf, messages, Operand::kRdx, Operand::kR8));
  // Whatever the device says, and be it nothing, the session is over.
  if (it.ending) {
    Bytes answer(kPageSize);
    (void)leaf.s.memory.read(messages.answer, answer);
    (void)it.channel->disconnect_response(answer);
  }
  leaf.give_way();
  if (const auto request = it.channel->disconnect_request(); request && !it.ending) {
    it.ending = true;
    return g3_request(leaf, messages.request, *request);
  }
  forget_connection(it);
  return {};
}

}  // namespace teeio::tdx
