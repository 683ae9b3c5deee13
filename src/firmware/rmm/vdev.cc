#include <algorithm>

#include "firmware/rmm/command.h"

// Assigned functions: TF-RMM runtime/rmi/vdev.c, and dev_tdisp_cmds.c for what
// each command says to the device.

namespace teeio::rmm {
namespace {

using object::Fact;
using State = Comm::State;
using Take = std::function<Result<void>(const wire::TdispBody&)>;

constexpr std::size_t kMaxRanges = 8;
constexpr std::uint16_t kReportPortion = 0x800;  // bytes

Exchange tdisp(const Vdev& vdev, const wire::TdispBody& request, Take take) {
  const auto id = wire::TdispFunctionId::of(vdev.params.tdi);
  return {wire::Protocol::kTdisp, wire::encode_tdisp({id, request}),
          [id, take = std::move(take)](ByteView answer) -> Result<void> {
            TEEIO_ASSIGN(const wire::TdispMessage message, wire::decode_tdisp(answer));
            if (message.function_id != id)
              return fail(Errno::kIo, "the answer is another function's");
            return take(message.body);
          }};
}

Exchange expect(const Vdev& vdev, wire::TdiState wanted) {
  return tdisp(vdev, wire::TdispGetInterfaceState{},
               [wanted](const wire::TdispBody& body) -> Result<void> {
                 const auto* answer = std::get_if<wire::TdispInterfaceState>(&body);
                 if (answer != nullptr && answer->state == wanted) return {};
                 return fail(Errno::kIo, "the TDI is not in the state that was expected");
               });
}

std::deque<Exchange> lock_script(Vdev& vdev, std::uint8_t stream) {
  return {expect(vdev, wire::TdiState::kConfigUnlocked),
          tdisp(vdev, wire::TdispLockInterface{.default_stream_id = stream},
                [&vdev](const wire::TdispBody& body) -> Result<void> {
                  const auto* answer = std::get_if<wire::TdispLockInterfaceResponse>(&body);
                  if (answer == nullptr) return fail(Errno::kIo, "the device refuses LOCK");
                  vdev.nonce = answer->nonce;
                  return {};
                }),
          expect(vdev, wire::TdiState::kConfigLocked)};
}

Exchange report_portion(Vdev& vdev) {
  const auto offset = static_cast<std::uint16_t>(vdev.report.size());
  return tdisp(vdev, wire::TdispGetInterfaceReport{.offset = offset, .length = kReportPortion},
               [&vdev](const wire::TdispBody& body) -> Result<void> {
                 const auto* answer = std::get_if<wire::TdispInterfaceReportPortion>(&body);
                 if (answer == nullptr || answer->portion.empty())
                   return fail(Errno::kIo, "the device gives no report");
                 vdev.report.insert(vdev.report.end(), answer->portion.begin(),
                                    answer->portion.end());
                 if (answer->remainder == 0) return {};
                 vdev.comm.script.push_back(report_portion(vdev));
                 return {};
               });
}

bool disjoint(const std::vector<PaRange>& sorted) {
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i].base >= sorted[i].top || (i > 0 && sorted[i].base < sorted[i - 1].top))
      return false;
  return true;
}

bool overlap(const std::vector<PaRange>& some, const std::vector<PaRange>& others) {
  return std::ranges::any_of(some, [&](const PaRange& a) {
    return std::ranges::any_of(others,
                               [&](const PaRange& b) { return a.base < b.top && b.base < a.top; });
  });
}

}  // namespace

void Rmm::fact(Fact fact, std::string_view name, const Vdev& vdev, std::uint64_t a) {
  trace_.fact(object::Lane::kFirmware, fact, name,
              {.function = vdev.params.tdi, .vm = realms_.at(raw(vdev.rd)).vm, .a = a});
}

RmiResult Rmm::vdev_create(Hpa rd, Hpa pdev_at, Hpa vdev_at, const VdevParams& params) {
  Command c(*this, RMI_NAME("RMI_VDEV_CREATE"), {.function = params.tdi});
  RMM_FIND(realm, c.realm(rd));
  RMM_FIND(pdev, c.pdev(pdev_at));
  const std::uint16_t rid = params.tdi.rid();
  if (params.ranges.size() > kMaxRanges || !disjoint(params.ranges) ||
      rid < pdev->params.rid_base || rid >= pdev->params.rid_top)
    return c.refuse(Code::kInput, "the ranges or the TDI's requester ID are wrong");
  if (pdev->state != PdevState::kReady) return c.refuse(Code::kDevice, "the PDEV is not READY");
  for (const auto& [at, other] : vdevs_)
    if (other.pdev == pdev_at && overlap(other.params.ranges, params.ranges))
      return c.refuse(Code::kInput, "another VDEV of the PDEV has a part of the ranges");
  if (!pdev->stream || !pdev->stream->connected)
    return c.refuse(Code::kDevice, "the PDEV's stream is not CONNECTED");
  if (!c.granule(vdev_at, GranuleState::kDelegated)) return c.result();
  set(vdev_at, GranuleState::kVdev);
  Vdev& vdev =
      vdevs_.emplace(raw(vdev_at), Vdev{.params = params, .rd = rd, .pdev = pdev_at}).first->second;
  ++realm->vdevs;
  ++pdev->vdevs;
  vdev.comm.due({}, [&vdev](bool) { vdev.state = VdevState::kUnlocked; });
  fact(Fact::kMetadataCreated, "VDEV created", vdev);
  return {};
}

RmiResult Rmm::vdev_communicate(Hpa rd, Hpa pdev, Hpa at, Hpa data, HostComm host) {
  Command c(*this, RMI_NAME("RMI_VDEV_COMMUNICATE"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kInput));
  return talk(c, *c.pdev(pdev), vdev->comm, data, host);
}

RmiResult Rmm::vdev_get_state(Hpa at) {
  Command c(*this, "RMI_VDEV_GET_STATE", at);
  RMM_FIND(vdev, c.find(vdevs_, at, GranuleState::kVdev));
  return {.x1 = static_cast<std::uint64_t>(vdev->state)};
}

RmiResult Rmm::vdev_lock(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, RMI_NAME("RMI_VDEV_LOCK"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kInput));
  if (vdev->state != VdevState::kUnlocked || vdev->comm.state != State::kIdle)
    return c.refuse(Code::kDevice, "the VDEV is not UNLOCKED and idle");
  vdev->comm.due(lock_script(*vdev, c.pdev(pdev)->stream->id), [vdev](bool good) {
    vdev->state = good ? VdevState::kLocked : VdevState::kError;
  });
  return {};
}

RmiResult Rmm::vdev_start(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, RMI_NAME("RMI_VDEV_START"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kInput));
  if (vdev->state != VdevState::kLocked || vdev->comm.state != State::kIdle)
    return c.refuse(Code::kDevice, "the VDEV is not LOCKED and idle");
  // The guest asks its host for this command; the monitor itself hears no more.
  fact(Fact::kGuestStart, "start asked for", *vdev, Reader(vdev->nonce).le<std::uint64_t>());
  const auto started = [](const wire::TdispBody& body) -> Result<void> {
    if (std::holds_alternative<wire::TdispStartInterfaceResponse>(body)) return {};
    return fail(Errno::kIo, "the device refuses START");
  };
  vdev->comm.due(
      {tdisp(*vdev, wire::TdispStartInterface{.nonce = vdev->nonce}, started),
       expect(*vdev, wire::TdiState::kRun)},
      [vdev](bool good) { vdev->state = good ? VdevState::kStarted : VdevState::kError; });
  return {};
}

RmiResult Rmm::vdev_interface_report(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, RMI_NAME("RMI_VDEV_GET_INTERFACE_REPORT"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kDevice));
  if (vdev->state != VdevState::kLocked && vdev->state != VdevState::kStarted)
    return c.refuse(Code::kDevice, "the VDEV is not LOCKED or STARTED");
  if (vdev->comm.state != State::kIdle) return c.refuse(Code::kDevice, "the VDEV is busy");
  vdev->report.clear();
  vdev->comm.due({report_portion(*vdev)}, [vdev](bool good) {
    if (!good) vdev->state = VdevState::kError;
  });
  return {};
}

Bytes Rmm::cached_report(Hpa at) {
  const schedule::Lock lock(mutex_);
  const auto vdev = vdevs_.find(raw(at));
  return vdev == vdevs_.end() ? Bytes{} : vdev->second.report;
}

RmiResult Rmm::vdev_get_measurements(Hpa rd, Hpa pdev_at, Hpa at,
                                     const std::array<std::byte, 32>& nonce) {
  Command c(*this, RMI_NAME("RMI_VDEV_GET_MEASUREMENTS"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev_at, at, Code::kDevice));
  if (c.pdev(pdev_at)->comm.state != State::kIdle || vdev->comm.state != State::kIdle)
    return c.refuse(Code::kDevice, "the PDEV or the VDEV is busy");
  vdev->comm.channel = Comm::Channel::kMeasure;
  vdev->comm.nonce = nonce;
  vdev->comm.due({}, [](bool) {});
  return {};
}

Bytes Rmm::cached_evidence(Hpa at) {
  const schedule::Lock lock(mutex_);
  const auto pdev = pdevs_.find(raw(at));
  if (pdev == pdevs_.end()) return {};
  const spdm::Evidence* evidence = pdev->second.channel->evidence();
  return evidence == nullptr ? Bytes{} : spdm::encode_evidence(*evidence);
}

RmiResult Rmm::vdev_unlock(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, RMI_NAME("RMI_VDEV_UNLOCK"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kDevice));
  if (vdev->state == VdevState::kNew || vdev->state == VdevState::kUnlocked)
    return c.refuse(Code::kDevice, "the VDEV is not LOCKED, STARTED or ERROR");
  if (vdev->comm.state != State::kIdle) return c.refuse(Code::kDevice, "the VDEV is busy");
  for (const PaRange& range : vdev->params.ranges)
    for (Hpa granule = range.base; granule < range.top; granule = granule + kPageSize)
      if (state_of(granule) == GranuleState::kMapped)
        return c.refuse(Code::kGranule, "a granule of the VDEV is MAPPED", raw(granule));
  if (std::exchange(vdev->dma, false)) fact(Fact::kTrustedDmaOff, "STE off", *vdev);
  // A STOP that the device refuses counts as done; its state is then not asked.
  const auto stopped = [vdev](const wire::TdispBody& body) -> Result<void> {
    if (!std::holds_alternative<wire::TdispStopInterfaceResponse>(body)) vdev->comm.script.clear();
    return {};
  };
  Exchange look = expect(*vdev, wire::TdiState::kConfigUnlocked);
  look.take = [this, vdev, seen = std::move(look.take)](ByteView answer) -> Result<void> {
    TEEIO_TRY(seen(answer));
    fact(Fact::kTdiStopped, "TDI stopped", *vdev);
    return {};
  };
  vdev->comm.due(
      {tdisp(*vdev, wire::TdispStopInterface{}, stopped), std::move(look)},
      [vdev](bool good) { vdev->state = good ? VdevState::kUnlocked : VdevState::kError; });
  return {};
}

RmiResult Rmm::vdev_abort(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, RMI_NAME("RMI_VDEV_ABORT"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kDevice));
  if (vdev->comm.state == State::kIdle) return c.refuse(Code::kDevice, "nothing to abort");
  vdev->comm = {};
  vdev->state = VdevState::kError;
  return {};
}

RmiResult Rmm::vdev_destroy(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, RMI_NAME("RMI_VDEV_DESTROY"), at);
  RMM_FIND(vdev, c.vdev(rd, pdev, at, Code::kDevice));
  if (vdev->state != VdevState::kNew && vdev->state != VdevState::kUnlocked)
    return c.refuse(Code::kDevice, "the VDEV is not NEW or UNLOCKED");
  --c.realm(rd)->vdevs;
  --c.pdev(pdev)->vdevs;
  fact(Fact::kMetadataRemoved, "VDEV destroyed", *vdev);
  vdevs_.erase(raw(at));
  set(at, GranuleState::kDelegated);
  return {};
}

RmiResult Rmm::rsi_vdev_dma_enable(Hpa rd, Hpa at, const wire::TdispNonce& nonce) {
  Command c(*this, "RSI_VDEV_DMA_ENABLE", at);
  RMM_FIND(vdev, c.find(vdevs_, at, GranuleState::kVdev));
  if (vdev->rd != rd || vdev->state != VdevState::kStarted || vdev->nonce != nonce)
    return c.refuse(Code::kDevice, "the VDEV is not STARTED under that lock");
  // An unlock has switched DMA off already, and the state is STARTED until the device
  // has stopped.
  if (vdev->comm.state != State::kIdle) return c.refuse(Code::kDevice, "the VDEV is busy");
  if (!std::exchange(vdev->dma, true)) fact(Fact::kTrustedDmaOn, "STE valid", *vdev);
  return {};
}

}  // namespace teeio::rmm
