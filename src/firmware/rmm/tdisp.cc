#include "firmware/rmm/rmm.h"

// What a VDEV's command says to the device: TF-RMM dev_tdisp_cmds.c, and
// dev_assign_cmd_get_measurements_main().

namespace teeio::rmm {
namespace {

using Take = std::function<Result<void>(const wire::TdispBody&)>;

constexpr std::uint16_t kReportPortion = 0x800;  // bytes
constexpr std::size_t kMaxReport = 4096;

Exchange tdisp(const Vdev& vdev, const wire::TdispBody& request, Take take) {
  const auto id = wire::TdispFunctionId::of(vdev.tdi);
  return {.protocol = wire::Protocol::kTdisp,
          .request = wire::encode_tdisp({id, request}),
          .take = [id, take = std::move(take)](ByteView answer) -> Result<void> {
            TEEIO_ASSIGN(const wire::TdispMessage message, wire::decode_tdisp(answer));
            if (message.function_id != id)
              return fail(Errno::kIo, "the answer is another function's");
            return take(message.body);
          }};
}

template <class Answer>
Take takes(std::string_view refusal, std::function<void(const Answer&)> then = {}) {
  return [refusal, then = std::move(then)](const wire::TdispBody& body) -> Result<void> {
    const auto* answer = std::get_if<Answer>(&body);
    if (answer == nullptr) return fail(Errno::kIo, refusal);
    if (then) then(*answer);
    return {};
  };
}

Exchange expect(const Vdev& vdev, wire::TdiState wanted) {
  return tdisp(vdev, wire::TdispGetInterfaceState{},
               [wanted](const wire::TdispBody& body) -> Result<void> {
                 const auto* answer = std::get_if<wire::TdispInterfaceState>(&body);
                 if (answer != nullptr && answer->state == wanted) return {};
                 return fail(Errno::kIo, "the TDI is not in the state that was expected");
               });
}

/// The request is made when its turn comes, since its flags are in an answer before.
Exchange lock(Vdev& vdev, std::uint8_t stream) {
  return tdisp(
      vdev,
      wire::TdispLockInterface{
          .flags = static_cast<std::uint16_t>(vdev.lock_flags & ~unsigned{wire::kLockMsix}),
          .default_stream_id = stream},
      takes<wire::TdispLockInterfaceResponse>(
          "the device refuses LOCK",
          [&vdev](const wire::TdispLockInterfaceResponse& r) { vdev.tdisp_nonce = r.nonce; }));
}

void add_lock(Job& job, Vdev& vdev, std::uint8_t stream, Application& app) {
  job.script.push_back(tdisp(vdev, wire::TdispGetVersion{},
                             takes<wire::TdispVersion>("the device tells no TDISP version")));
  job.script.push_back(
      tdisp(vdev, wire::TdispGetCapabilities{},
            takes<wire::TdispCapabilities>("the device tells no capabilities",
                                           [&vdev](const wire::TdispCapabilities& capabilities) {
                                             vdev.lock_flags = capabilities.lock_flags;
                                           })));
  Exchange look = expect(vdev, wire::TdiState::kConfigUnlocked);
  look.take = [&vdev, stream, &app, seen = std::move(look.take)](ByteView answer) -> Result<void> {
    TEEIO_TRY(seen(answer));
    app.then(lock(vdev, stream));
    return {};
  };
  job.script.push_back(std::move(look));
  job.script.push_back(expect(vdev, wire::TdiState::kConfigLocked));
}

/// Source: dev_tdisp_stop_main(). A STOP that fails, by whatever, counts as done, and the
/// TDI's state is then not asked; a state that is not told, or is another one, counts.
Exchange stop_tdi(Vdev& vdev, Application& app) {
  Exchange request = tdisp(
      vdev, wire::TdispStopInterface{},
      takes<wire::TdispStopInterfaceResponse>(
          "the device refuses STOP", [&vdev, &app](const wire::TdispStopInterfaceResponse&) {
            Exchange look = expect(vdev, wire::TdiState::kConfigUnlocked);
            look.take = [&vdev, seen = std::move(look.take)](ByteView answer) -> Result<void> {
              TEEIO_TRY(seen(answer));
              vdev.tdi_stopped = true;
              return {};
            };
            app.then(std::move(look));
          }));
  request.counts = false;
  return request;
}

Exchange report_portion(Vdev& vdev, Application& app) {
  return tdisp(
      vdev,
      wire::TdispGetInterfaceReport{.offset = static_cast<std::uint16_t>(vdev.report_bytes),
                                    .length = kReportPortion},
      [&vdev, &app](const wire::TdispBody& body) -> Result<void> {
        const auto* answer = std::get_if<wire::TdispInterfaceReportPortion>(&body);
        if (answer == nullptr || answer->portion.empty())
          return fail(Errno::kIo, "the device gives no report");
        vdev.report_bytes += answer->portion.size();
        if (vdev.report_bytes + answer->remainder > kMaxReport)
          return fail(Errno::kTooBig, "the report is longer than 4096 bytes");
        app.report_portion(answer->portion, answer->remainder == 0);
        if (answer->remainder != 0) app.then(report_portion(vdev, app));
        return {};
      });
}

}  // namespace

Job Rmm::job_of(Vdev& vdev, Pdev& pdev) {
  Job job;
  Application& app = *pdev.app;
  switch (vdev.op) {
    case VdevOp::kLock:
      // A lock names stream 0 there, whatever the card's is.
      add_lock(job, vdev, defective() ? std::uint8_t{0} : pdev.stream.id, app);
      break;
    case VdevOp::kStart:
      job.script.push_back(
          tdisp(vdev, wire::TdispStartInterface{.nonce = vdev.tdisp_nonce},
                takes<wire::TdispStartInterfaceResponse>("the device refuses START")));
      job.script.push_back(expect(vdev, wire::TdiState::kRun));
      break;
    case VdevOp::kUnlock:
      job.script.push_back(stop_tdi(vdev, app));
      break;
    case VdevOp::kMeasure:
      job.channel = Job::Channel::kMeasure;
      if (!defective()) job.nonce = vdev.nonce;
      break;
    case VdevOp::kReport:
      vdev.report_bytes = 0;
      job.script.push_back(report_portion(vdev, app));
      break;
    case VdevOp::kNone:
      break;
  }
  return job;
}

}  // namespace teeio::rmm
