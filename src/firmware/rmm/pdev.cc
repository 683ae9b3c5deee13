#include "crypto/secret.h"
#include "firmware/rmm/command.h"
#include "schedule/task.h"
#include "wire/ide_km.h"

// Physical devices: TF-RMM runtime/rmi/pdev.c.

namespace teeio::rmm {
namespace {

using object::EventFields;
using State = Comm::State;

/// Sends `request` about one key and lets `applied` do the same at the root port.
Exchange ide_km(const wire::IdeKmMessage& request, std::function<Result<void>()> applied) {
  return {wire::Protocol::kIdeKm, wire::encode_ide_km(request),
          [applied = std::move(applied)](ByteView answer) -> Result<void> {
            TEEIO_ASSIGN(const wire::IdeKmMessage message, wire::decode_ide_km(answer));
            const auto* ack = std::get_if<wire::IdeKmKpAck>(&message);
            if (ack != nullptr ? ack->status != 0
                               : !std::holds_alternative<wire::IdeKmKGoStopAck>(message))
              return fail(Errno::kIo, "the device acknowledges no key");
            return applied();
          }};
}

/// Calls `make(selector, the root port's slot of that key)` for the six keys.
template <class Make>
void each_key(Make make) {
  for (const auto sub : {wire::IdeSubStream::kPosted, wire::IdeSubStream::kNonPosted,
                         wire::IdeSubStream::kCompletion})
    for (const auto direction : {wire::IdeDirection::kRx, wire::IdeDirection::kTx}) {
      using Direction = hw::IdeKeySlot::Direction;
      make(wire::IdeKeySelector::make(0, direction, sub),
           hw::IdeKeySlot{.direction = direction == wire::IdeDirection::kTx ? Direction::kReceive
                                                                            : Direction::kTransmit,
                          .sub_stream = static_cast<hw::IdeKeySlot::SubStream>(sub)});
    }
}

std::deque<Exchange> connect_script(const Pdev::Stream& stream) {
  std::deque<Exchange> script;
  hw::RootPort& port = *stream.port;
  const std::size_t block = stream.block;
  each_key([&](wire::IdeKeySelector selector, hw::IdeKeySlot slot) {
    wire::IdeKey key;
    schedule::fill_random(key.key);
    const auto kept = std::make_shared<const crypto::Secret>(ByteView(key.key));
    script.push_back(
        ide_km(wire::IdeKmKeyProg{stream.id, selector, 0, key},
               [&port, block, slot, kept] { return port.program_key(block, slot, kept->view()); }));
    crypto::wipe(key.key);
  });
  each_key([&](wire::IdeKeySelector selector, hw::IdeKeySlot slot) {
    script.push_back(ide_km(wire::IdeKmKSetGo{stream.id, selector, 0},
                            [&port, block, slot] { return port.key_go(block, slot); }));
  });
  return script;
}

}  // namespace

RmiResult Rmm::pdev_create(Hpa at, const PdevParams& params) {
  Command c(*this, RMI_NAME("RMI_PDEV_CREATE"), {.function = params.function});
  if (params.rid_base >= params.rid_top) return c.refuse(Code::kInput, "no requester IDs");
  if (!c.granule(at, GranuleState::kDelegated)) return c.result();
  set(at, GranuleState::kPdev);
  Pdev& pdev = pdevs_.emplace(raw(at), Pdev{.params = params}).first->second;
  pdev.channel = spdm::make_requester(channels_, &watcher_);
  pdev.comm.channel = Comm::Channel::kConnect;
  pdev.comm.due({},
                [&pdev](bool good) { pdev.state = good ? PdevState::kReady : PdevState::kError; });
  return {};
}

RmiResult Rmm::pdev_communicate(Hpa at, Hpa data, HostComm host) {
  Command c(*this, RMI_NAME("RMI_PDEV_COMMUNICATE"), at);
  Pdev* pdev = c.pdev(at);
  return pdev == nullptr ? c.result() : talk(c, *pdev, pdev->comm, data, host);
}

RmiResult Rmm::pdev_get_state(Hpa at) {
  Command c(*this, "RMI_PDEV_GET_STATE", at);
  RMM_FIND(pdev, c.pdev(at));
  return {.x1 = static_cast<std::uint64_t>(pdev->state)};
}

RmiResult Rmm::pdev_stream_connect(Hpa at, Bdf port_at, std::uint8_t id) {
  Command c(*this, RMI_NAME("RMI_PDEV_STREAM_CONNECT"), at);
  RMM_FIND(pdev, c.pdev(at));
  const auto port = std::ranges::find(ports_, port_at, &hw::RootPort::bdf);
  if (port == ports_.end()) return c.refuse(Code::kInput, "no such root port");
  if (pdev->state != PdevState::kReady || pdev->comm.state != State::kIdle || pdev->stream)
    return c.refuse(Code::kInput, "the PDEV is not READY and idle, or has its stream");
  std::size_t block = 0;
  while (block < (*port)->streams() && (*port)->stream_state(block) != hw::IdeStreamState::kFree)
    ++block;
  const hw::IdeAssociation association{
      .stream_id = id,
      .rid_first = pdev->params.rid_base,
      .rid_last = static_cast<std::uint16_t>(pdev->params.rid_top - 1),
      .memory = {}};
  if (!(*port)->configure_stream(block, association))
    return c.refuse(Code::kInput, "the root port's stream is taken");
  pdev->stream = Pdev::Stream{.port = *port, .block = block, .id = id};
  pdev->comm.due(connect_script(*pdev->stream), [pdev](bool good) {
    const Pdev::Stream& stream = *pdev->stream;
    pdev->stream->connected = good && stream.port->enable_stream(stream.block).has_value();
    if (pdev->stream->connected) return;
    (void)stream.port->release_stream(stream.block);
    pdev->stream.reset();
    pdev->state = PdevState::kError;
  });
  return {};
}

RmiResult Rmm::pdev_stream_disconnect(Hpa at) {
  Command c(*this, RMI_NAME("RMI_PDEV_STREAM_DISCONNECT"), at);
  RMM_FIND(pdev, c.pdev(at));
  if (!pdev->stream || !pdev->stream->connected)
    return c.refuse(Code::kDevice, "the stream is not CONNECTED");
  if (pdev->comm.state != State::kIdle) return c.refuse(Code::kInput, "the PDEV is busy");
  if (pdev->vdevs != 0) return c.refuse(Code::kDevice, "VDEVs use the stream");
  std::deque<Exchange> script;
  each_key([&](wire::IdeKeySelector selector, hw::IdeKeySlot) {
    script.push_back(
        ide_km(wire::IdeKmKSetStop{pdev->stream->id, selector, 0}, [] { return Result<void>{}; }));
  });
  pdev->comm.due(std::move(script), [pdev](bool good) {
    (void)pdev->stream->port->release_stream(pdev->stream->block);
    pdev->stream.reset();
    if (!good) pdev->state = PdevState::kError;
  });
  return {};
}

RmiResult Rmm::pdev_abort(Hpa at) {
  Command c(*this, RMI_NAME("RMI_PDEV_ABORT"), at);
  RMM_FIND(pdev, c.pdev(at));
  if (pdev->comm.state == State::kIdle) return c.refuse(Code::kDevice, "nothing to abort");
  const PdevState state = pdev->state;
  if (pdev->comm.finish) pdev->comm.finish(false);
  pdev->state = state;
  pdev->comm = {};
  return {};
}

RmiResult Rmm::pdev_stop(Hpa at) {
  Command c(*this, RMI_NAME("RMI_PDEV_STOP"), at);
  RMM_FIND(pdev, c.pdev(at));
  if (pdev->comm.state != State::kIdle || pdev->stream || pdev->vdevs != 0)
    return c.refuse(Code::kDevice, "the PDEV is busy, or has a stream or VDEVs");
  pdev->comm.channel = Comm::Channel::kDisconnect;
  pdev->comm.due({}, [pdev](bool) {
    pdev->state = PdevState::kStopped;
    pdev->channel->reset();
  });
  return {};
}

RmiResult Rmm::pdev_destroy(Hpa at) {
  Command c(*this, RMI_NAME("RMI_PDEV_DESTROY"), at);
  RMM_FIND(pdev, c.pdev(at));
  if (pdev->state != PdevState::kStopped) return c.refuse(Code::kDevice, "it is not STOPPED");
  pdevs_.erase(raw(at));
  set(at, GranuleState::kDelegated);
  return {};
}

}  // namespace teeio::rmm
