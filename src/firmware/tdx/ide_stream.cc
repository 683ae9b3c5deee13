#include "base/check.h"
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

bool overlap(std::uint64_t first, std::uint64_t last, std::uint64_t other_first,
             std::uint64_t other_last) {
  return first <= other_last && other_first <= last;
}

Checked<IdeStream*> stream_at(Leaf& leaf, IommuState& iommu, std::uint8_t stream) {
  const auto at = iommu.streams.find(stream);
  if (at == iommu.streams.end())
    return leaf.refuse(Code::kIdeStreamNotConfigured, Operand::kRdx, "no such IDE stream");
  return &at->second;
}

/// As stream_at(), and it may still carry messages about its keys.
Checked<IdeStream*> usable_stream(Leaf& leaf, IommuState& iommu, std::uint8_t stream) {
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, iommu, stream));
  if (found->blocked)
    return leaf.refuse(Code::kIdeStreamBlocked, Operand::kRdx, "the IDE stream is blocked");
  return found;
}

hw::RootPort& port_of(const IommuState& iommu, const IdeStream& stream) {
  return *iommu.root_ports[stream.config.root_port];
}

IdeKeySelector selector(const KmParameters& p) {
  return IdeKeySelector::make(0, static_cast<IdeDirection>(p.direction),
                              static_cast<IdeSubStream>(p.sub_stream));
}

std::uint8_t key_bit(const KmParameters& p) {
  const unsigned number =
      static_cast<unsigned>(p.sub_stream) * 2 + static_cast<unsigned>(p.direction);
  return static_cast<std::uint8_t>(1U << number);
}

/// The three keys of one direction.
std::uint8_t direction_bits(KmParameters p) {
  std::uint8_t bits = 0;
  for (const auto sub : {KmParameters::SubStream::kPosted, KmParameters::SubStream::kNonPosted,
                         KmParameters::SubStream::kCompletion}) {
    p.sub_stream = sub;
    bits |= key_bit(p);
  }
  return bits;
}

/// Source: tdh_ide_stream_idekmreq.c: the third key of a direction makes all three ready.
void key_programmed(IdeStream& stream, const KmParameters& p) {
  const std::uint8_t all = direction_bits(p);
  stream.keys_programmed |= key_bit(p);
  if ((stream.keys_programmed & all) != all) return;
  stream.keys_programmed &= static_cast<std::uint8_t>(~all);
  stream.keys_ready |= all;
}

/// The root port's end of a key: it receives what the device transmits.
hw::IdeKeySlot port_slot(const KmParameters& p) {
  using Direction = hw::IdeKeySlot::Direction;
  return {.key_set = 0,
          .direction = p.direction == KmParameters::Direction::kTx ? Direction::kReceive
                                                                   : Direction::kTransmit,
          .sub_stream = static_cast<hw::IdeKeySlot::SubStream>(p.sub_stream)};
}

Checked<void> check_config(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config) {
  if (config.root_port >= iommu.root_ports.size())
    return leaf.refuse(Code::kRpNotConfigured, Operand::kR8, "no such root port");
  if (config.register_block >= iommu.root_ports[config.root_port]->streams())
    return leaf.refuse(Code::kIdeStreamNotSupported, Operand::kR8,
                       "the root port has no such stream registers");
  for (const auto& [id, other] : iommu.streams)
    if (id == config.stream_id || (other.config.root_port == config.root_port &&
                                   other.config.register_block == config.register_block))
      return leaf.refuse(Code::kIdeStreamNotFree, Operand::kR9, "the stream is in use");
  if (config.rid_base > config.rid_limit)
    return leaf.refuse(Code::kOperandInvalid, Operand::kR10, "the requester range is empty");
  if (config.address_base > config.address_limit)
    return leaf.refuse(Code::kOperandInvalid, Operand::kR12, "the address range is empty");
  for (const auto& [id, other] : iommu.streams) {
    if (other.config.root_port != config.root_port) continue;
    if (overlap(config.rid_base, config.rid_limit, other.config.rid_base, other.config.rid_limit))
      return leaf.refuse(Code::kIdeStreamRidOverlap, Operand::kR10,
                         "another stream has these requester IDs");
    if (raw(config.address_limit) != 0 && raw(other.config.address_limit) != 0 &&
        overlap(raw(config.address_base), raw(config.address_limit), raw(other.config.address_base),
                raw(other.config.address_limit)))
      return leaf.refuse(Code::kIdeStreamAddrOverlap, Operand::kR12,
                         "another stream has these addresses");
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

wire::IdeKmMessage request_message(const IdeStream& stream, const IdeStream::Outstanding& what) {
  const std::uint8_t id = stream.config.stream_id;
  const IdeKeySelector key = selector(what.parameters);
  switch (what.object) {
    case KmObject::kKeyProg:
      return wire::IdeKmKeyProg{.stream_id = id,
                                .selector = key,
                                .port_index = 0,
                                .key = wire::IdeKey{.key = what.key, .ifv = 1}};
    case KmObject::kSetGo:
      return wire::IdeKmKSetGo{.stream_id = id, .selector = key, .port_index = 0};
    case KmObject::kSetStop:
      return wire::IdeKmKSetStop{.stream_id = id, .selector = key, .port_index = 0};
  }
  std::unreachable();
}

/// Whether `answer` is that to the outstanding request; KP_ACK's status is
/// looked at later.
bool answers(const IdeStream& stream, const wire::IdeKmMessage& answer) {
  const std::uint8_t id = stream.config.stream_id;
  const IdeKeySelector key = selector(stream.outstanding->parameters);
  if (stream.outstanding->object == KmObject::kKeyProg) {
    const auto* ack = std::get_if<wire::IdeKmKpAck>(&answer);
    return ack != nullptr && ack->stream_id == id && ack->selector == key;
  }
  const auto* ack = std::get_if<wire::IdeKmKGoStopAck>(&answer);
  return ack != nullptr && ack->stream_id == id && ack->selector == key;
}

/// The effect of an answer on the stream and on the root port's end of it. A
/// port that refuses leaves the key's bit clear: the stream is never enabled.
void apply(hw::RootPort& port, IdeStream& stream, const wire::IdeKmMessage& answer) {
  IdeStream::Outstanding done = *stream.outstanding;
  crypto::wipe(stream.outstanding->key);
  stream.outstanding.reset();
  const std::size_t block = stream.config.register_block;
  const std::uint8_t bit = key_bit(done.parameters);
  switch (done.object) {
    case KmObject::kKeyProg:
      if (std::get<wire::IdeKmKpAck>(answer).status == 0 &&
          port.program_key(block, port_slot(done.parameters), done.key))
        key_programmed(stream, done.parameters);
      crypto::wipe(done.key);
      return;
    case KmObject::kSetGo:
      stream.keys_ready &= static_cast<std::uint8_t>(~bit);  // a second GO has no key
      if (port.key_go(block, port_slot(done.parameters))) stream.keys_running |= bit;
      if (stream.keys_running == kAllStreamKeys) (void)port.enable_stream(block);
      return;
    case KmObject::kSetStop:
      (void)port.key_stop(block, port_slot(done.parameters));
      stream.keys_running &= static_cast<std::uint8_t>(~bit);
      return;
  }
}

}  // namespace

LeafResult Module::tdh_ide_stream_create(std::uint32_t iommu, std::uint32_t session,
                                         const IdeStreamConfig& config, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IDE.STREAM.CREATE"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  if (session >= kMaxSpdm)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "bad SPDM index");
  const auto spdm = state->sessions.find(session);
  if (spdm == state->sessions.end())
    return leaf.refuse(Code::kSpdmEntryNotPresent, Operand::kRdx, "no such SPDM session");
  if (!spdm->second.bound)
    return leaf.refuse(Code::kSpdmInvalidState, Operand::kRdx, "the SPDM session is not bound");
  TDX_TRY(check_config(leaf, *state, config));
  TDX_TRY(leaf.free_page(page, Operand::kR15));
  leaf.give_way();
  hw::RootPort& port = *state->root_ports[config.root_port];
  if (const auto done = port.configure_stream(config.register_block, association(config)); !done) {
    if (done.error().code == Errno::kBusy)
      return leaf.refuse(Code::kIdeStreamNotFree, Operand::kR8, done.error().why);
    return leaf.refuse(Code::kOperandInvalid, Operand::kR12, done.error().why);
  }
  leaf.s.take_iommu_page(iommu, page);
  IdeStream& stream = state->streams[config.stream_id];
  stream.config = config;
  stream.spdm = session;
  stream.page = page;
  ++spdm->second.active_stream_count;
  return {};
}

LeafResult Module::tdh_ide_stream_block(std::uint32_t iommu, std::uint8_t stream) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IDE.STREAM.BLOCK"));
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
  Leaf leaf(*state_, TDX_LEAF("TDH.IDE.STREAM.DELETE"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, *state, stream));
  if (!found->blocked)
    return leaf.refuse(Code::kIdeStreamNotBlocked, Operand::kRdx, "the IDE stream is not blocked");
  TDX_TRY(leaf.take(leaf.s.pamt.entry(found->page).lock, Operand::kRcx));
  SpdmSession& spdm = state->sessions.at(found->spdm);
  if (!spdm.bound)
    return leaf.refuse(Code::kSpdmInvalidState, Operand::kSpdm, "the SPDM session is not bound");
  if (found->devif_ref_cnt != 0)
    return leaf.refuse(Code::kIdeStreamHasDeviceInterfaces, Operand::kRdx,
                       "device interfaces use the stream");
  leaf.give_way();
  (void)port_of(*state, *found).release_stream(found->config.register_block);
  const Hpa page = found->page;
  leaf.s.release_page(page);
  state->streams.erase(stream);
  --spdm.active_stream_count;
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_ide_km_request(std::uint32_t iommu, std::uint8_t stream, KmObject object,
                                      const KmParameters& parameters, Hpa message) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IDE.STREAM.IDEKMREQ"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  if (found->outstanding)
    return leaf.refuse(Code::kIdeKmOutReq, Operand::kRdx, "a request waits for its answer");
  SpdmSession& spdm = state->sessions.at(found->spdm);
  if (!spdm.bound)
    return leaf.refuse(Code::kSpdmInvalidState, Operand::kSpdm, "the SPDM session is not bound");
  if (object != KmObject::kKeyProg && object != KmObject::kSetGo && object != KmObject::kSetStop)
    return leaf.refuse(Code::kOperandInvalid, Operand::kR8, "no such IDE_KM request");
  if (object == KmObject::kSetStop && found->devif_ref_cnt != 0)
    return leaf.refuse(Code::kIdeStreamHasDeviceInterfaces, Operand::kRdx,
                       "device interfaces use the stream");
  if (parameters.sub_stream > KmParameters::SubStream::kCompletion ||
      parameters.direction > KmParameters::Direction::kTx)
    return leaf.refuse(Code::kOperandInvalid, Operand::kR9, "no such key");
  if (object == KmObject::kSetGo && (found->keys_ready & key_bit(parameters)) == 0)
    return leaf.refuse(Code::kIdeKmKeysNotReady, Operand::kRdx,
                       "a key of this direction is not programmed");
  TDX_TRY(leaf.shared_page(message, Operand::kR11));
  leaf.give_way();
  IdeStream::Outstanding what{.object = object, .parameters = parameters};
  if (object == KmObject::kKeyProg) schedule::fill_random(what.key);
  wire::IdeKmMessage request = request_message(*found, what);
  Bytes plain = wire::encode_ide_km(request);
  if (auto* prog = std::get_if<wire::IdeKmKeyProg>(&request)) crypto::wipe(prog->key->key);
  const auto sealed = spdm.channel->seal(wire::Protocol::kIdeKm, plain);
  crypto::wipe(plain);
  if (!sealed) return leaf.refuse(Code::kSpdmInvalidState, Operand::kSpdm, sealed.error().why);
  write_object(leaf, message, *sealed);
  found->outstanding = what;
  crypto::wipe(what.key);
  return {.status = {},
          .rcx = message_register(static_cast<std::uint8_t>(object), 0, sealed->size())};
}

LeafResult Module::tdh_ide_km_response(std::uint32_t iommu, std::uint8_t stream, Hpa message) {
  Leaf leaf(*state_, TDX_LEAF("TDH.IDE.STREAM.IDEKMRSP"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  TDX_ASSIGN(IdeStream* const found, usable_stream(leaf, *state, stream));
  if (!found->outstanding)
    return leaf.refuse(Code::kIdeKmInvalidResponse, Operand::kRdx, "no request waits");
  SpdmSession& spdm = state->sessions.at(found->spdm);
  TDX_ASSIGN(const Bytes& object,
             read_object(leaf, message, Operand::kR8, Code::kIdeKmInvalidResponse));
  const auto plain = spdm.channel->open(wire::Protocol::kIdeKm, object);
  const auto answer = plain ? wire::decode_ide_km(*plain) : std::unexpected(plain.error());
  const bool fits = answer && answers(*found, *answer);
  if (!fits && !spdm.channel->waiting()) found->outstanding.reset();  // no other answer can come
  if (!plain) return leaf.refuse(Code::kIdeKmInvalidResponse, Operand::kR8, plain.error().why);
  if (!fits)
    return leaf.refuse(Code::kIdeKmInvalidResponse, Operand::kR8,
                       "the answer is not that to the request");
  leaf.give_way();
  apply(port_of(*state, *found), *found, *answer);
  // The first eight bytes: object id, stream, status and key of an acknowledgement.
  Bytes first(plain->begin(), plain->end());
  first.resize(8);
  Reader reader(first);
  return {.status = {}, .rcx = reader.le<std::uint64_t>()};
}

}  // namespace teeio::tdx
