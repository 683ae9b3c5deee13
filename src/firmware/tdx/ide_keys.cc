#include "firmware/tdx/ide_keys.h"

#include <utility>

#include "crypto/secret.h"
#include "firmware/tdx/messages.h"
#include "hw/root_port.h"
#include "schedule/seeded_bug.h"
#include "schedule/task.h"
#include "wire/ide_km.h"

namespace teeio::tdx {
namespace {

using wire::IdeDirection;
using wire::IdeKeySelector;
using wire::IdeSubStream;

/// K_SET_GO of what the device transmits: the keys of one key set.
constexpr std::uint32_t kTxKeys = 3;

IdeKeySelector selector(const KmParameters& p) {
  return IdeKeySelector::make(p.key_set, static_cast<IdeDirection>(p.direction),
                              static_cast<IdeSubStream>(p.sub_stream));
}

/// The root port's end of a key: it receives what the device transmits.
hw::IdeKeySlot port_slot(const KmParameters& p) {
  using Direction = hw::IdeKeySlot::Direction;
  return {.key_set = p.key_set,
          .direction = p.direction == KmParameters::Direction::kTx ? Direction::kReceive
                                                                   : Direction::kTransmit,
          .sub_stream = static_cast<hw::IdeKeySlot::SubStream>(p.sub_stream)};
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

/// As of a generator that begins anew with each connection.
Key key_of_stream(const KmParameters& p) {
  Key key{};
  key[0] = static_cast<std::byte>(1U + p.key_set);
  key[1] = static_cast<std::byte>(p.direction);
  key[2] = static_cast<std::byte>(p.sub_stream);
  return key;
}

}  // namespace

KeyBits key_bit(const KmParameters& p) {
  return static_cast<KeyBits>(1U << static_cast<unsigned>(p.sub_stream));
}

void count_go(IdeStream& stream, const KmParameters& parameters) {
  if (parameters.direction == KmParameters::Direction::kTx && stream.sent_tx_go != kTxKeys)
    ++stream.sent_tx_go;
}

hw::RootPort& port_of(const IommuState& iommu, const IdeStream& stream) {
  return *iommu.root_ports[stream.config.root_port];
}

Checked<Bytes> km_request(Leaf& leaf, hw::RootPort& port, IdeStream& stream, SpdmSession& spdm,
                          KmObject object, const KmParameters& parameters) {
  Key key{};
  if (object == KmObject::kKeyProg) {
    schedule::fill_random(key);
    if (schedule::seeded("keys-repeat")) key = key_of_stream(parameters);
    program(port, stream, parameters, key);
  }
  wire::IdeKmMessage request = request_message(stream, object, parameters, key);
  crypto::wipe(key);
  Bytes plain = wire::encode_ide_km(request);
  if (auto* prog = std::get_if<wire::IdeKmKeyProg>(&request)) crypto::wipe(prog->key->key);
  const auto sealed = spdm.channel->seal(wire::Protocol::kIdeKm, plain);
  crypto::wipe(plain);
  if (!sealed) return leaf.refuse_because("seal", sealed.error().why);
  stream.outstanding = {.object = object, .parameters = parameters};
  return *sealed;
}

Checked<Bytes> km_answer(Leaf& leaf, const IdeStream& stream, SpdmSession& spdm,
                         const Bytes& object) {
  // What is no answer leaves the request outstanding: only BLOCK gets past it.
  TDX_ASSIGN(const Bytes& plain,
             open_message(leaf, spdm, wire::Protocol::kIdeKm, object, "answer"));
  const auto answer = wire::decode_ide_km(plain);
  if (!answer || !answers(stream, *answer)) return leaf.refuse("answer");
  return plain;
}

Checked<void> km_answered(Leaf& leaf, hw::RootPort& port, IdeStream& stream) {
  const KmParameters parameters = stream.outstanding->parameters;
  if (stream.outstanding->object == KmObject::kSetGo) went(port, stream, parameters);
  TDX_TRY(may_enable(leaf, port, stream, parameters));
  stream.outstanding.reset();
  return {};
}

}  // namespace teeio::tdx
