#include "firmware/tdx/ide_stream.h"

#include <algorithm>
#include <utility>

#include "firmware/tdx/ide_keys.h"
#include "firmware/tdx/messages.h"
#include "hw/root_port.h"

// IDE streams and their keys.

namespace teeio::tdx {
namespace {

bool overlap(std::uint64_t first, std::uint64_t last, std::uint64_t other_first,
             std::uint64_t other_last) {
  return first <= other_last && other_first <= last;
}

/// What the root complex decodes. Source: tdxio branch, hiop_info_t.
struct Decoded {
  std::uint8_t first_bus = 0xff, last_bus = 0;
  hw::BridgeRange memory{.base = ~std::uint64_t{0}, .last = 0};  ///< above 4 GiB
};
Decoded decoded_by(const IommuState& iommu) {
  Decoded all;
  for (const hw::RootPort* port : iommu.root_ports) {
    all.first_bus = std::min(all.first_bus, port->secondary_bus());
    all.last_bus = std::max(all.last_bus, port->subordinate_bus());
    all.memory.base = std::min(all.memory.base, port->window().base);
    all.memory.last = std::max(all.memory.last, port->window().last);
  }
  return all;
}

/// Whether the key unit's stream registers are enabled: as long as a stream is that has them.
bool is_key_used(const IommuState& iommu, const IdeStreamConfig& config) {
  return config.key_id && std::ranges::any_of(iommu.streams, [&](const auto& at) {
           const IdeStream& other = at.second;
           return other.enabled && !other.blocked && other.config.root_port == config.root_port &&
                  other.config.key_id == config.key_id;
         });
}

/// Source: ide_stream.c, verify_stream_config_reg_and_map_rp_cfg(), verify_stream_control_reg(),
/// verify_rid_assoc_regs() and verify_addr_assoc_regs(), in this order.
Checked<void> check_registers(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config) {
  if (config.root_port >= iommu.root_ports.size()) return leaf.refuse("root_port");
  const hw::RootPort& port = *iommu.root_ports[config.root_port];
  // A unit has stream registers also for a port that has no stream.
  if (config.key_id && *config.key_id >= std::max<std::size_t>(port.streams(), 1))
    return leaf.refuse("key_id");
  if (port.streams() == 0) return leaf.refuse("ide");
  if (config.register_block >= port.streams()) return leaf.refuse("block");
  if (port.stream_state(config.register_block) == hw::IdeStreamState::kEnabled)
    return leaf.refuse("block_used");
  if (is_key_used(iommu, config)) return leaf.refuse("key_used");
  if (iommu.streams.contains(config.stream_id)) return leaf.refuse("stream_id");
  const Decoded decoded = decoded_by(iommu);
  if (config.rid_base > config.rid_limit || config.rid_base >> 8U < decoded.first_bus ||
      config.rid_limit >> 8U > decoded.last_bus)
    return leaf.refuse("rids");
  if (config.address_base >= config.address_limit ||
      raw(config.address_base) < decoded.memory.base ||
      raw(config.address_limit) > decoded.memory.last)
    return leaf.refuse("addresses");
  return {};
}

/// Source: ide_stream.c, verify_no_stream_overlaps(): all streams of the IOMMU, the upper half
/// of their ids first.
Checked<void> check_overlaps(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config) {
  for (const bool upper : {true, false})
    for (const auto& [id, other] : iommu.streams) {
      const IdeStreamConfig& there = other.config;
      if ((id >= kMaxIdeStreams / 2) != upper) continue;
      if (overlap(config.rid_base, config.rid_limit, there.rid_base, there.rid_limit))
        return leaf.refuse("rid_overlap");
      if (overlap(raw(config.address_base), raw(config.address_limit), raw(there.address_base),
                  raw(there.address_limit)))
        return leaf.refuse("address_overlap");
    }
  return {};
}

hw::IdeAssociation association(const IdeStreamConfig& config) {
  return {.stream_id = config.stream_id,
          .segment = 0,
          .rid_first = config.rid_base,
          .rid_last = config.rid_limit,
          .memory = {{.base = raw(config.address_base), .last = raw(config.address_limit)}}};
}

}  // namespace

Checked<IdeStream*> stream_at(Leaf& leaf, IommuState& iommu, std::uint64_t stream) {
  if (stream >= kMaxIdeStreams) return leaf.refuse("stream_id");
  const auto at = iommu.streams.find(static_cast<std::uint8_t>(stream));
  if (at == iommu.streams.end()) return leaf.refuse("stream");
  return &at->second;
}

Checked<IdeStream*> usable_stream(Leaf& leaf, IommuState& iommu, std::uint64_t stream) {
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, iommu, stream));
  if (found->blocked) return leaf.refuse("stream_blocked");
  return found;
}

Checked<void> check_stream(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config) {
  TDX_TRY(check_registers(leaf, iommu, config));
  return check_overlaps(leaf, iommu, config);
}

Checked<void> make_stream(Leaf& leaf, std::uint32_t iommu, std::uint32_t session,
                          const IdeStreamConfig& config, std::vector<Hpa> pages) {
  IommuState& state = leaf.s.iommus[iommu];
  hw::RootPort& port = *state.root_ports[config.root_port];
  // What another stream has written there, and not enabled or blocked, is written over.
  if (port.stream_state(config.register_block) != hw::IdeStreamState::kFree)
    (void)port.release_stream(config.register_block);
  if (const auto done = port.configure_stream(config.register_block, association(config)); !done)
    return leaf.refuse_because("hardware", done.error().why);
  for (const Hpa page : pages) leaf.s.take_iommu_page(iommu, page);
  IdeStream& stream = state.streams[config.stream_id];
  stream.config = config;
  stream.spdm = session;
  stream.pages = std::move(pages);
  ++state.sessions.at(session).active_stream_count;
  return {};
}

void block_stream(State& s, std::uint32_t iommu, std::uint8_t id, IdeStream& stream) {
  (void)port_of(s.iommus[iommu], stream).block_stream(stream.config.register_block);
  stream.blocked = true;
  // Interfaces are made for functions that the stream is associated with.
  for (std::uint32_t function = stream.config.rid_base; function <= stream.config.rid_limit;
       ++function) {
    const DevifSlot* const slot = std::as_const(s.devifmt.slots).find(function);
    if (slot == nullptr || !slot->devif || slot->devif->iommu != iommu || slot->devif->stream != id)
      continue;
    s.trace.fact(object::Lane::kFirmware, object::Fact::kStreamBlocked, "stream blocked",
                 {.function = bdf_of(FunctionId{function}),
                  .vm = s.look_at_td(slot->devif->tdr)->trace_vm,
                  .a = id});
  }
}

void forget_stream(State& s, std::uint32_t iommu, std::uint8_t id) {
  IommuState& state = s.iommus[iommu];
  const IdeStream& stream = state.streams.at(id);
  // BLOCK has cleared the registers: they may be another stream's by now.
  hw::RootPort& port = port_of(state, stream);
  if (port.stream_state(stream.config.register_block) == hw::IdeStreamState::kBlocked)
    (void)port.release_stream(stream.config.register_block);
  for (const Hpa page : stream.pages) s.release_page(page);
  --state.sessions.at(stream.spdm).active_stream_count;
  state.streams.erase(id);
}

LeafResult Module::tdh_ide_stream_create(std::uint32_t iommu, std::uint32_t session,
                                         const IdeStreamConfig& config, Hpa page) {
  Leaf leaf(*state_, row::kIdeStreamCreate);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  if (session >= kMaxSpdm) return leaf.refuse("spdm");
  TDX_ASSIGN(SpdmSession* const spdm, leaf.spdm(*state, session, Operand::kRdx));
  if (spdm == nullptr) return leaf.refuse("no_spdm");
  if (!spdm->bound) return leaf.refuse("spdm_state");
  TDX_TRY(check_stream(leaf, *state, config));
  TDX_TRY(leaf.free_page(page, Operand::kR15));
  leaf.give_way();
  TDX_TRY(make_stream(leaf, iommu, session, config, {page}));
  return {};
}

LeafResult Module::tdh_ide_stream_block(std::uint32_t iommu, std::uint64_t stream) {
  Leaf leaf(*state_, row::kIdeStreamBlock);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  leaf.give_way();
  block_stream(leaf.s, iommu, found->config.stream_id, *found);
  return {};
}

LeafResult Module::tdh_ide_stream_delete(std::uint32_t iommu, std::uint64_t stream) {
  Leaf leaf(*state_, row::kIdeStreamDelete);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, *state, stream));
  if (!found->blocked) return leaf.refuse("not_blocked");
  TDX_TRY(leaf.take_page_of(found->pages.front(), "busy", Operand::kRdx));
  TDX_TRY(leaf.bound_spdm(*state, found->spdm, Operand::kRdx));
  if (found->devif_ref_cnt != 0) return leaf.refuse("devifs");
  leaf.give_way();
  const Hpa page = found->pages.front();
  forget_stream(leaf.s, iommu, found->config.stream_id);
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_ide_km_request(std::uint32_t iommu, std::uint64_t stream, KmObject object,
                                      const KmParameters& parameters, std::uint64_t slot,
                                      Hpa message) {
  Leaf leaf(*state_, row::kIdeKmRequest);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  if (found->outstanding) return leaf.refuse("outstanding");
  TDX_ASSIGN(SpdmSession* const spdm, leaf.bound_spdm(*state, found->spdm, Operand::kRdx));
  if (object != KmObject::kKeyProg && object != KmObject::kSetGo && object != KmObject::kSetStop)
    return leaf.refuse("object");
  if (object == KmObject::kSetStop && found->devif_ref_cnt != 0) return leaf.refuse("devifs");
  if (parameters.sub_stream > KmParameters::SubStream::kCompletion ||
      parameters.direction > KmParameters::Direction::kTx || parameters.key_set > 1)
    return leaf.refuse("parameters");
  const bool go = object == KmObject::kSetGo;
  if (go && (found->of(parameters).go & key_bit(parameters)) == 0) return leaf.refuse("keys");
  if (go) count_go(*found, parameters);
  hw::RootPort& port = port_of(*state, *found);
  const std::uint64_t slots = kKeySlotsOfStream * port.streams();
  if (object == KmObject::kKeyProg ? slot >= slots : slot != 0) return leaf.refuse("slot");
  TDX_TRY(leaf.shared_page(message, Operand::kR11));
  leaf.give_way();
  TDX_ASSIGN(const Bytes& sealed, km_request(leaf, port, *found, *spdm, object, parameters));
  write_object(leaf, message, sealed);
  return {.status = {},
          .rcx = message_register(static_cast<std::uint8_t>(object), 0, sealed.size())};
}

LeafResult Module::tdh_ide_km_response(std::uint32_t iommu, std::uint64_t stream, Hpa message) {
  Leaf leaf(*state_, row::kIdeKmResponse);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  if (!found->outstanding) return leaf.refuse("outstanding");
  TDX_ASSIGN(SpdmSession* const spdm, leaf.bound_spdm(*state, found->spdm, Operand::kRdx));
  TDX_ASSIGN(const Bytes& object, read_object(leaf, message, Operand::kR8));
  TDX_ASSIGN(const Bytes& plain, km_answer(leaf, *found, *spdm, object));
  leaf.give_way();
  TDX_TRY(km_answered(leaf, port_of(*state, *found), *found));
  // The first eight bytes: object id, stream, status and key of an acknowledgement.
  Bytes first = plain;
  first.resize(8);
  Reader reader(first);
  return {.status = {}, .rcx = reader.le<std::uint64_t>()};
}

}  // namespace teeio::tdx
