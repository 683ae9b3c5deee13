#include "crypto/secret.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/messages.h"
#include "hw/root_port.h"
#include "schedule/task.h"
#include "wire/ide_km.h"

// IDE streams and their keys.

namespace teeio::tdx {
namespace {

using wire::IdeDirection;
using wire::IdeKeySelector;
using wire::IdeKmObject;
using wire::IdeSubStream;

/// K_SET_GO of what the device transmits: the keys of one key set.
constexpr std::uint32_t kTxKeys = 3;

bool overlap(std::uint64_t first, std::uint64_t last, std::uint64_t other_first,
             std::uint64_t other_last) {
  return first <= other_last && other_first <= last;
}

Checked<IdeStream*> stream_at(Leaf& leaf, IommuState& iommu, std::uint8_t stream) {
  const auto at = iommu.streams.find(stream);
  if (at == iommu.streams.end()) return leaf.refuse("stream");
  return &at->second;
}

/// As stream_at(), and it may still carry messages about its keys.
Checked<IdeStream*> usable_stream(Leaf& leaf, IommuState& iommu, std::uint8_t stream) {
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, iommu, stream));
  if (found->blocked) return leaf.refuse("stream_blocked");
  return found;
}

hw::RootPort& port_of(const IommuState& iommu, const IdeStream& stream) {
  return *iommu.root_ports[stream.config.root_port];
}

IdeKeySelector selector(const KmParameters& p) {
  return IdeKeySelector::make(p.key_set, static_cast<IdeDirection>(p.direction),
                              static_cast<IdeSubStream>(p.sub_stream));
}

KeyBits key_bit(const KmParameters& p) {
  return static_cast<KeyBits>(1U << static_cast<unsigned>(p.sub_stream));
}

/// The root port's end of a key: it receives what the device transmits.
hw::IdeKeySlot port_slot(const KmParameters& p) {
  using Direction = hw::IdeKeySlot::Direction;
  return {.key_set = p.key_set,
          .direction = p.direction == KmParameters::Direction::kTx ? Direction::kReceive
                                                                   : Direction::kTransmit,
          .sub_stream = static_cast<hw::IdeKeySlot::SubStream>(p.sub_stream)};
}

/// Source: ide_stream.c, verify_stream_config_reg_and_map_rp_cfg(), verify_stream_control_reg(),
/// verify_rid_assoc_regs() and verify_addr_assoc_regs(), in this order.
Checked<void> check_registers(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config) {
  if (config.root_port >= iommu.root_ports.size()) return leaf.refuse("root_port");
  const hw::RootPort& port = *iommu.root_ports[config.root_port];
  if (port.streams() == 0) return leaf.refuse("ide");
  if (config.register_block >= port.streams()) return leaf.refuse("block");
  if (port.stream_state(config.register_block) != hw::IdeStreamState::kFree)
    return leaf.refuse("block_used");
  if (iommu.streams.contains(config.stream_id)) return leaf.refuse("stream_id");
  if (config.rid_base > config.rid_limit) return leaf.refuse("rids");
  if (config.address_base > config.address_limit) return leaf.refuse("addresses");
  return {};
}

/// Source: ide_stream.c, verify_no_stream_overlaps(): all streams of the IOMMU.
Checked<void> check_overlaps(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config) {
  for (const auto& [id, other] : iommu.streams) {
    const IdeStreamConfig& there = other.config;
    if (overlap(config.rid_base, config.rid_limit, there.rid_base, there.rid_limit))
      return leaf.refuse("rid_overlap");
    if (raw(config.address_limit) != 0 && raw(there.address_limit) != 0 &&
        overlap(raw(config.address_base), raw(config.address_limit), raw(there.address_base),
                raw(there.address_limit)))
      return leaf.refuse("address_overlap");
  }
  return {};
}

hw::IdeAssociation association(const IdeStreamConfig& config) {
  hw::IdeAssociation a{.stream_id = config.stream_id,
                       .segment = 0,
                       .rid_first = config.rid_base,
                       .rid_last = config.rid_limit,
                       .memory = {}};
  if (raw(config.address_limit) != 0)
    a.memory.push_back({.base = raw(config.address_base), .last = raw(config.address_limit)});
  return a;
}

using Key = std::array<std::byte, 32>;

wire::IdeKmMessage request_message(const IdeStream& stream, KmObject object,
                                   const KmParameters& parameters, const Key& key) {
  const std::uint8_t id = stream.config.stream_id;
  const IdeKeySelector which = selector(parameters);
  switch (object) {
    case KmObject::kKeyProg:
      return wire::IdeKmKeyProg{.stream_id = id,
                                .selector = which,
                                .port_index = 0,
                                .key = wire::IdeKey{.key = key, .ifv = 1}};
    case KmObject::kSetGo:
      return wire::IdeKmKSetGo{.stream_id = id, .selector = which, .port_index = 0};
    case KmObject::kSetStop:
      return wire::IdeKmKSetStop{.stream_id = id, .selector = which, .port_index = 0};
  }
  std::unreachable();
}

/// Whether `answer` is that to the outstanding request. The byte where a KP_ACK has its status
/// must be zero: a device that refuses a key gives no answer that counts.
/// Source: ide_stream.c, verify_idekm_message_content().
bool answers(const IdeStream& stream, const wire::IdeKmMessage& answer) {
  const std::uint8_t id = stream.config.stream_id;
  const IdeKeySelector key = selector(stream.outstanding->parameters);
  if (stream.outstanding->object == KmObject::kKeyProg) {
    const auto* ack = std::get_if<wire::IdeKmKpAck>(&answer);
    return ack != nullptr && ack->status == 0 && ack->stream_id == id && ack->selector == key;
  }
  const auto* ack = std::get_if<wire::IdeKmKGoStopAck>(&answer);
  return ack != nullptr && ack->stream_id == id && ack->selector == key;
}

/// The root port's part of KEY_PROG: it has the key from the request on, and all three of a
/// direction make them ready. Source: tdh_ide_stream_idekmreq.c, cfg_rc_ide_keys() and
/// prime_rc_ide_keys().
void program(hw::RootPort& port, IdeStream& stream, const KmParameters& p, const Key& key) {
  IdeStream::Keys& keys = stream.of(p);
  (void)port.program_key(stream.config.register_block, port_slot(p), key);
  keys.programmed |= key_bit(p);
  if (keys.programmed != kAllSubStreams) return;
  keys.programmed = 0;
  keys.go = kAllSubStreams;
  keys.primed = true;
}

/// The root port's end of all three keys of a direction is used from now on.
void use_keys(hw::RootPort& port, const IdeStream& stream, KmParameters p) {
  for (const auto sub : {KmParameters::SubStream::kPosted, KmParameters::SubStream::kNonPosted,
                         KmParameters::SubStream::kCompletion}) {
    p.sub_stream = sub;
    (void)port.key_go(stream.config.register_block, port_slot(p));
  }
}

/// K_GOSTOP_ACK for GO. What the device receives the root port sends with the new keys when all
/// three may; what it transmits the root port takes with either set, by the TLP's bit.
void went(hw::RootPort& port, IdeStream& stream, const KmParameters& p) {
  IdeStream::Keys& keys = stream.of(p);
  keys.go &= static_cast<KeyBits>(~key_bit(p));
  if (keys.go == 0) use_keys(port, stream, p);
}

/// The third GO of what the device transmits enables the stream, at whatever GO or STOP is
/// acknowledged then; then both directions of that key set must be ready.
/// Source: tdh_ide_stream_idekmrsp.c, enable_ide_stream().
Checked<void> may_enable(Leaf& leaf, hw::RootPort& port, IdeStream& stream, const KmParameters& p) {
  if (stream.outstanding->object != KmObject::kKeyProg && stream.sent_tx_go == kTxKeys) {
    stream.enabled = true;
    (void)port.enable_stream(stream.config.register_block);
    for (const auto& sets : stream.keys)
      if (!sets.at(p.key_set).primed) return leaf.refuse("ready");
    stream.sent_tx_go = 0;
  }
  // The bit stays set while the port's own keys follow.
  if (stream.enabled) (void)port.enable_stream(stream.config.register_block);
  return {};
}

}  // namespace

LeafResult Module::tdh_ide_stream_create(std::uint32_t iommu, std::uint32_t session,
                                         const IdeStreamConfig& config, Hpa page) {
  Leaf leaf(*state_, row::kIdeStreamCreate);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  if (session >= kMaxSpdm) return leaf.refuse("spdm");
  TDX_ASSIGN(SpdmSession* const spdm, leaf.spdm(*state, session, Operand::kRdx));
  if (spdm == nullptr) return leaf.refuse("no_spdm");
  if (!spdm->bound) return leaf.refuse("spdm_state");
  TDX_TRY(check_registers(leaf, *state, config));
  TDX_TRY(check_overlaps(leaf, *state, config));
  TDX_TRY(leaf.free_page(page, Operand::kR15));
  leaf.give_way();
  hw::RootPort& port = *state->root_ports[config.root_port];
  if (const auto done = port.configure_stream(config.register_block, association(config)); !done) {
    return leaf.refuse_because("hardware", done.error().why);
  }
  leaf.s.take_iommu_page(iommu, page);
  IdeStream& stream = state->streams[config.stream_id];
  stream.config = config;
  stream.spdm = session;
  stream.page = page;
  ++spdm->active_stream_count;
  return {};
}

LeafResult Module::tdh_ide_stream_block(std::uint32_t iommu, std::uint8_t stream) {
  Leaf leaf(*state_, row::kIdeStreamBlock);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  leaf.give_way();
  (void)port_of(*state, *found).block_stream(found->config.register_block);
  found->blocked = true;
  for (const auto& [id, slot] : leaf.s.devifmt.slots)
    if (slot.devif && slot.devif->iommu == iommu && slot.devif->stream == stream)
      leaf.s.trace.fact(object::Lane::kFirmware, object::Fact::kStreamBlocked, "stream blocked",
                        {.function = bdf_of(FunctionId{id}),
                         .vm = leaf.s.find_td(slot.devif->tdr)->trace_vm,
                         .a = stream});
  return {};
}

LeafResult Module::tdh_ide_stream_delete(std::uint32_t iommu, std::uint8_t stream) {
  Leaf leaf(*state_, row::kIdeStreamDelete);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, *state, stream));
  if (!found->blocked) return leaf.refuse("not_blocked");
  TDX_TRY(leaf.take_page_of(found->page, "busy", Operand::kRdx));
  TDX_ASSIGN(SpdmSession* const spdm, leaf.bound_spdm(*state, found->spdm, Operand::kRdx));
  if (found->devif_ref_cnt != 0) return leaf.refuse("devifs");
  leaf.give_way();
  (void)port_of(*state, *found).release_stream(found->config.register_block);
  const Hpa page = found->page;
  leaf.s.release_page(page);
  state->streams.erase(stream);
  --spdm->active_stream_count;
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_ide_km_request(std::uint32_t iommu, std::uint8_t stream, KmObject object,
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
  hw::RootPort& port = port_of(*state, *found);
  const std::uint64_t slots = kKeySlotsOfStream * port.streams();
  if (object == KmObject::kKeyProg ? slot >= slots : slot != 0) return leaf.refuse("slot");
  TDX_TRY(leaf.shared_page(message, Operand::kR11));
  leaf.give_way();
  if (go && parameters.direction == KmParameters::Direction::kTx) ++found->sent_tx_go;
  Key key{};
  if (object == KmObject::kKeyProg) {
    schedule::fill_random(key);
    program(port, *found, parameters, key);
  }
  wire::IdeKmMessage request = request_message(*found, object, parameters, key);
  crypto::wipe(key);
  Bytes plain = wire::encode_ide_km(request);
  if (auto* prog = std::get_if<wire::IdeKmKeyProg>(&request)) crypto::wipe(prog->key->key);
  const auto sealed = spdm->channel->seal(wire::Protocol::kIdeKm, plain);
  crypto::wipe(plain);
  if (!sealed) return leaf.refuse_because("seal", sealed.error().why);
  write_object(leaf, message, *sealed);
  found->outstanding = {.object = object, .parameters = parameters};
  return {.status = {},
          .rcx = message_register(static_cast<std::uint8_t>(object), 0, sealed->size())};
}

LeafResult Module::tdh_ide_km_response(std::uint32_t iommu, std::uint8_t stream, Hpa message) {
  Leaf leaf(*state_, row::kIdeKmResponse);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  if (!found->outstanding) return leaf.refuse("outstanding");
  TDX_ASSIGN(SpdmSession* const spdm, leaf.bound_spdm(*state, found->spdm, Operand::kRdx));
  TDX_ASSIGN(const Bytes& object, read_object(leaf, message, Operand::kR8));
  // What is no answer leaves the request outstanding: only BLOCK gets past it.
  const auto plain = spdm->channel->open(wire::Protocol::kIdeKm, object);
  if (!plain) return leaf.refuse_because("authentic", plain.error().why);
  const auto answer = wire::decode_ide_km(*plain);
  if (!answer || !answers(*found, *answer)) return leaf.refuse("answer");
  leaf.give_way();
  hw::RootPort& port = port_of(*state, *found);
  const KmParameters parameters = found->outstanding->parameters;
  if (found->outstanding->object == KmObject::kSetGo) went(port, *found, parameters);
  TDX_TRY(may_enable(leaf, port, *found, parameters));
  found->outstanding.reset();
  // The first eight bytes: object id, stream, status and key of an acknowledgement.
  Bytes first(plain->begin(), plain->end());
  first.resize(8);
  Reader reader(first);
  return {.status = {}, .rcx = reader.le<std::uint64_t>()};
}

}  // namespace teeio::tdx
