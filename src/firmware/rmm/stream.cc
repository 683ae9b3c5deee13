#include <algorithm>

#include "crypto/secret.h"
#include "firmware/rmm/command.h"
#include "wire/ide_km.h"

// Streams of an end point: TF-RMM runtime/rmi/pdev.c, smc_pdev_stream_*();
// dev_assign_ide_cmds.c for keys.

namespace teeio::rmm {
namespace {

using wire::IdeDirection;
using wire::IdeSubStream;

constexpr std::uint8_t kPort = 0;  // this project's cards have one; the source says 1
constexpr IdeSubStream kSubStreams[] = {IdeSubStream::kPosted, IdeSubStream::kNonPosted,
                                        IdeSubStream::kCompletion};

/// The end point's `direction` is the other one of the root port.
hw::IdeKeySlot slot(std::uint8_t key_set, IdeDirection direction, IdeSubStream sub_stream) {
  using Direction = hw::IdeKeySlot::Direction;
  return {.key_set = key_set,
          .direction = direction == IdeDirection::kTx ? Direction::kReceive : Direction::kTransmit,
          .sub_stream = static_cast<hw::IdeKeySlot::SubStream>(sub_stream)};
}

Exchange ide_km(const wire::IdeKmMessage& request, std::uint8_t group = 0) {
  return {.protocol = wire::Protocol::kIdeKm,
          .request = wire::encode_ide_km(request),
          .take = [](ByteView answer) -> Result<void> {
            TEEIO_ASSIGN(const wire::IdeKmMessage message, wire::decode_ide_km(answer));
            if (const auto* ack = std::get_if<wire::IdeKmKpAck>(&message)) {
              if (ack->status == 0) return {};
              return fail(Errno::kIo, "the device takes no key");
            }
            if (std::holds_alternative<wire::IdeKmKGoStopAck>(message) ||
                std::holds_alternative<wire::IdeKmQueryResp>(message))
              return {};
            return fail(Errno::kIo, "the device's answer is none to IDE_KM");
          },
          .group = group};
}

/// The stream's block of the port's registers: an abort may have taken it away.
Result<std::size_t> block_of(const Stream& stream) {
  if (stream.block) return *stream.block;
  return fail(Errno::kNxio, "the root port's stream is gone");
}

/// A step at the root port, for which the source asks EL3.
Exchange at_port(std::function<Result<void>()> step, std::uint8_t group = 0) {
  return {.request = {},
          .take = [step = std::move(step)](ByteView) -> Result<void> { return step(); },
          .group = group};
}

/// ide_km_endpoint_rp_key_prog(): one key a direction, for all sub-streams.
void program(std::deque<Exchange>& script, Stream& stream, std::uint8_t key_set) {
  std::shared_ptr<const crypto::Secret> kept[2];
  wire::IdeKey keys[2];
  for (const auto direction : {IdeDirection::kRx, IdeDirection::kTx}) {
    const auto i = static_cast<std::size_t>(direction);
    schedule::fill_random(keys[i].key);
    kept[i] = std::make_shared<const crypto::Secret>(ByteView(keys[i].key));
  }
  for (const IdeSubStream sub : kSubStreams)
    for (const auto direction : {IdeDirection::kRx, IdeDirection::kTx})
      script.push_back(
          ide_km(wire::IdeKmKeyProg{stream.id, wire::IdeKeySelector::make(key_set, direction, sub),
                                    kPort, keys[static_cast<std::size_t>(direction)]}));
  for (wire::IdeKey& key : keys) crypto::wipe(key.key);
  for (const IdeSubStream sub : kSubStreams)
    for (const auto direction : {IdeDirection::kRx, IdeDirection::kTx})
      script.push_back(at_port([&stream, key_set, direction, sub,
                                key = kept[static_cast<std::size_t>(direction)]]() -> Result<void> {
        TEEIO_ASSIGN(const std::size_t block, block_of(stream));
        return stream.port->program_key(block, slot(key_set, direction, sub), key->view());
      }));
}

void go(std::deque<Exchange>& script, Stream& stream, std::uint8_t key_set,
        IdeDirection direction) {
  for (const IdeSubStream sub : kSubStreams)
    script.push_back(ide_km(
        wire::IdeKmKSetGo{stream.id, wire::IdeKeySelector::make(key_set, direction, sub), kPort}));
  for (const IdeSubStream sub : kSubStreams)
    script.push_back(at_port([&stream, key_set, direction, sub]() -> Result<void> {
      TEEIO_ASSIGN(const std::size_t block, block_of(stream));
      return stream.port->key_go(block, slot(key_set, direction, sub));
    }));
}

void stop(std::deque<Exchange>& script, Stream& stream, IdeDirection direction,
          std::uint8_t group) {
  for (const IdeSubStream sub : kSubStreams)
    script.push_back(ide_km(
        wire::IdeKmKSetStop{stream.id, wire::IdeKeySelector::make(stream.key_set, direction, sub),
                            kPort},
        group));
  for (const IdeSubStream sub : kSubStreams)
    script.push_back(at_port(
        [&stream, direction, sub]() -> Result<void> {
          TEEIO_ASSIGN(const std::size_t block, block_of(stream));
          return stream.port->key_stop(block, slot(stream.key_set, direction, sub));
        },
        group));
}

/// The block that the host has set up for the stream, or else the first free one. What the
/// registers say is the monitor's from here on: the card's requesters, the port's windows.
std::size_t block_for(Stream& stream) {
  hw::RootPort& port = *stream.port;
  const auto set_up = port.find_stream(stream.id);
  if (set_up && port.stream_state(*set_up) == hw::IdeStreamState::kConfigured) {
    (void)port.release_stream(*set_up);
    return *set_up;
  }
  std::size_t block = 0;
  while (block < port.streams() && port.stream_state(block) != hw::IdeStreamState::kFree) ++block;
  return block;
}

Result<void> take_block(Stream& stream, const PdevParams& params) {
  hw::IdeAssociation association{.stream_id = stream.id,
                                 .rid_first = static_cast<std::uint16_t>(params.rid_base),
                                 .rid_last = static_cast<std::uint16_t>(params.rid_top - 1),
                                 .memory = {}};
  for (const hw::BridgeRange& window : hw::bridge_windows(*stream.port))
    association.memory.push_back({.base = window.base, .last = window.last});
  const std::size_t block = block_for(stream);
  TEEIO_TRY(stream.port->configure_stream(block, association));
  stream.block = block;
  return {};
}

void free_block(Stream& stream) {
  if (stream.block) (void)stream.port->release_stream(*std::exchange(stream.block, std::nullopt));
}

bool is_quiet(const Pdev& pdev) {
  return pdev.state == PdevState::kReady && pdev.op == PdevOp::kNone &&
         pdev.comm == CommState::kIdle;
}

/// unpack_stream_handle().
bool is_handle_of(std::uint64_t handle, Hpa pdev) {
  return (handle & (kPageSize - 1)) < kStreamTypes && page_of(Hpa{handle}) == pdev;
}

}  // namespace

/// dev_assign_ide_setup().
Job Rmm::connect_job(Pdev& pdev) {
  Job job;
  Stream& stream = pdev.stream;
  stream.key_set = 0;
  job.script.push_back(at_port([&stream, &pdev] { return take_block(stream, pdev.params); }));
  job.script.push_back(ide_km(wire::IdeKmQuery{kPort}));
  program(job.script, stream, 0);
  go(job.script, stream, 0, IdeDirection::kRx);
  go(job.script, stream, 0, IdeDirection::kTx);
  job.script.push_back(at_port([&stream]() -> Result<void> {
    TEEIO_ASSIGN(const std::size_t block, block_of(stream));
    return stream.port->enable_stream(block);
  }));
  return job;
}

/// dev_assign_ide_refresh_main(): the other key set.
Job Rmm::refresh_job(Pdev& pdev) {
  Job job;
  Stream& stream = pdev.stream;
  const auto next = static_cast<std::uint8_t>(1 - stream.key_set);
  program(job.script, stream, next);
  go(job.script, stream, next, IdeDirection::kRx);
  go(job.script, stream, next, IdeDirection::kTx);
  job.script.push_back(at_port([&stream, next]() -> Result<void> {
    stream.key_set = next;
    return {};
  }));
  return job;
}

/// dev_assing_ide_teardown(): what fails is passed over.
Job Rmm::disconnect_job(Pdev& pdev) {
  Job job;
  Stream& stream = pdev.stream;
  if (!stream.block) return job;
  stop(job.script, stream, IdeDirection::kTx, 1);
  stop(job.script, stream, IdeDirection::kRx, 2);
  job.script.push_back(at_port(
      [&stream]() -> Result<void> {
        free_block(stream);
        return {};
      },
      3));
  for (Exchange& exchange : job.script) exchange.counts = false;
  return job;
}

void Rmm::begin_stream(const Ends& ends, PdevOp op) {
  ends.end_point->stream.turn = Stream::Turn::kStart;
  for (Pdev* pdev : {ends.end_point, ends.port}) {
    pdev->op = op;
    pdev->comm = CommState::kPending;
  }
  ends.port->end_point = ends.end_point->at;
}

/// What no call of the source does: an operation that was aborted is over, and its stream
/// free.
void Rmm::abandon_stream(Pdev& pdev) {
  const auto at =
      pdev.is_root_port() ? pdevs_.find(raw(pdev.end_point)) : pdevs_.find(raw(pdev.at));
  if (at == pdevs_.end() || !at->second.stream.taken) return;
  Pdev& end_point = at->second;
  free_block(end_point.stream);
  end_point.stream.taken = false;
  end_point.stream.state = Stream::State::kDisconnected;
  end_point.op = PdevOp::kNone;
  --end_point.streams;
  const auto port = pdevs_.find(raw(end_point.stream.root_port_pdev));
  if (port == pdevs_.end()) return;
  port->second.op = PdevOp::kNone;
  port->second.comm = CommState::kIdle;
  port->second.end_point = Hpa{0};
  --port->second.streams;
}

RmiResult Rmm::pdev_stream_connect(Hpa params_at) {
  Command c(*this, row::kPdevStreamConnect);
  if (!c.begin({params_at})) return c.result();
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  const StreamParams params = StreamParams::decode(page);
  RMM_REFUSE_IF(params.range_count > StreamParams::kMaxRanges, "ranges");
  RMM_REFUSE_IF(params.type != kNonCoherent, "type");
  RMM_REFUSE_IF(!is_page_aligned(raw(params.pdev_1) | raw(params.pdev_2)), "pdevs_aligned");
  RMM_FIND(end_point, c.pdev(params.pdev_1, "pdevs"));
  RMM_FIND(port, c.pdev(params.pdev_2, "pdevs"));
  RMM_REFUSE_IF(end_point == port, "pdevs");
  RMM_REFUSE_IF(end_point->is_root_port() || !port->is_root_port() || !is_quiet(*end_point) ||
                    !is_quiet(*port),
                "state");
  Stream& stream = end_point->stream;
  RMM_REFUSE_IF(stream.taken, "taken");
  stream = {.taken = true,
            .state = Stream::State::kConnecting,
            .id = static_cast<std::uint8_t>(params.stream_id),
            .root_port_pdev = params.pdev_2,
            .port = port->port};
  ++end_point->streams;
  ++port->streams;
  begin_stream({end_point, port}, PdevOp::kConnect);
  return {.x1 = raw(params.pdev_1) + params.type};
}

RmiResult Rmm::pdev_stream_complete(Hpa first, Hpa second, std::uint64_t handle) {
  Command c(*this, row::kPdevStreamComplete, first);
  if (!c.begin({first, second})) return c.result();
  RMM_REFUSE_IF(!is_handle_of(handle, first), "handle");
  RMM_FIND(end_point, c.pdev(first, "pdevs"));
  RMM_FIND(port, c.pdev(second, "pdevs"));
  RMM_REFUSE_IF(first == second, "pdevs");  // find_lock_two_granules()
  Stream& stream = end_point->stream;
  RMM_REFUSE_IF((handle & (kPageSize - 1)) != kNonCoherent || !stream.taken, "taken");
  RMM_REFUSE_IF(stream.root_port_pdev != second, "second");
  for (const Pdev* pdev : {end_point, port})
    RMM_REFUSE_IF(pdev->state != PdevState::kReady || pdev->comm != CommState::kIdle, "state");
  for (const Pdev* pdev : {end_point, port})
    RMM_REFUSE_IF(pdev->op != PdevOp::kStreamComplete, "op");
  using State = Stream::State;
  RMM_REFUSE_IF(stream.state != State::kConnecting && stream.state != State::kKeyRefreshing &&
                    stream.state != State::kDisconnecting,
                "stream");
  if (stream.state == State::kDisconnecting) {
    stream.state = State::kDisconnected;
    stream.taken = false;
    --end_point->streams;
    --port->streams;
  } else {
    stream.state = State::kConnected;
  }
  stream.turn = Stream::Turn::kNone;
  end_point->op = port->op = PdevOp::kNone;
  port->end_point = Hpa{0};
  return {};
}

RmiResult Rmm::pdev_stream_disconnect(Hpa first, Hpa second, std::uint64_t handle) {
  Command c(*this, row::kPdevStreamDisconnect, first);
  if (!c.begin({first, second})) return c.result();
  RMM_REFUSE_IF(!is_handle_of(handle, first), "handle");
  RMM_FIND(end_point, c.pdev(first, "pdevs"));
  RMM_FIND(port, c.pdev(second, "pdevs"));
  RMM_REFUSE_IF(first == second, "pdevs");  // find_lock_two_granules()
  Stream& stream = end_point->stream;
  RMM_REFUSE_IF((handle & (kPageSize - 1)) != kNonCoherent || !stream.taken, "taken");
  RMM_REFUSE_IF(stream.state != Stream::State::kConnected, "stream");
  RMM_REFUSE_IF(stream.root_port_pdev != second, "second");
  for (const Pdev* pdev : {end_point, port})
    RMM_REFUSE_IF((pdev->state != PdevState::kReady && pdev->state != PdevState::kError) ||
                      pdev->comm != CommState::kIdle,
                  "state");
  RMM_REFUSE_IF(end_point->vdevs != 0, "vdevs");
  stream.state = Stream::State::kDisconnecting;
  begin_stream({end_point, port}, PdevOp::kDisconnect);
  return {};
}

RmiResult Rmm::pdev_stream_key_refresh(Hpa first, Hpa second, std::uint64_t handle) {
  Command c(*this, row::kPdevStreamKeyRefresh, first);
  if (!c.begin({first, second})) return c.result();
  RMM_FIND(end_point, c.pdev(first, "pdevs"));
  RMM_FIND(port, c.pdev(second, "pdevs"));
  RMM_REFUSE_IF(first == second, "pdevs");  // find_lock_two_granules()
  RMM_REFUSE_IF(!is_handle_of(handle, first), "handle");
  Stream& stream = end_point->stream;
  RMM_REFUSE_IF((handle & (kPageSize - 1)) != kNonCoherent || !stream.taken, "taken");
  RMM_REFUSE_IF(stream.root_port_pdev != second, "second");
  RMM_REFUSE_IF(!is_quiet(*end_point) || !is_quiet(*port), "state");
  RMM_REFUSE_IF(stream.state != Stream::State::kConnected, "stream");
  stream.state = Stream::State::kKeyRefreshing;
  begin_stream({end_point, port}, PdevOp::kKeyRefresh);
  return {};
}

RmiResult Rmm::pdev_stream_key_purge(Hpa, Hpa, std::uint64_t) {
  Command c(*this, row::kPdevStreamKeyPurge);
  return c.begin() ? c.refuse("purge") : c.result();
}

}  // namespace teeio::rmm
