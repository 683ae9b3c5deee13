#include "firmware/rmm/command.h"

// Driving a communication: TF-RMM runtime/rmi/pdev.c, dev_communicate() and
// pdev_dispatch_cmd(), vdev_dispatch_cmd(). A failed exchange ends in the object's state;
// the call itself succeeds.

namespace teeio::rmm {

using Turn = Stream::Turn;
using Step = Application::Step;

namespace {

Step stream_wait() {
  return {.progress = Progress::kYielded, .exit = {.flags = CommExit::kStreamWait}, .why = {}};
}
/// Whether the application waits, and in that object's exchange.
bool waits_for(const Pdev& pdev, Hpa user) { return pdev.app->yielded() && pdev.app_user == user; }
Step failed(std::string_view why) {
  return {.progress = Progress::kFailed, .exit = {}, .why = why};
}

}  // namespace

/// copyin_and_validate_dev_comm_enter(), after what its callers look at first.
std::optional<CommEnter> Rmm::enter(Command& c, CommState comm, CommState pdevs, Hpa data) {
  const auto refuse = [&](std::string_view id) {
    (void)c.refuse(id);
    return std::nullopt;
  };
  if (comm == CommState::kIdle || comm == CommState::kError) return refuse("comm");
  Bytes bytes(CommEnter::kSize);
  (void)memory_.read(data, bytes);
  const CommEnter enter = CommEnter::decode(bytes);
  if (!is_page_aligned(raw(enter.request) | raw(enter.response)) ||
      enter.response_length > kPageSize)
    return refuse("buffers");
  if (enter.status == CommEnter::kResponse && enter.response_length == 0) return refuse("length");
  for (const Hpa buffer : {enter.request, enter.response})
    if (!is_hosts(buffer)) return refuse("buffers_ns");
  if (pdevs == CommState::kPending && enter.status != CommEnter::kNone) return refuse("status");
  return enter;
}

/// copyout_dev_comm_exit() and set_comm_state(): what the call itself says.
Code Rmm::leave(CommState& comm, Step& step, Hpa data) {
  const bool told = memory_.write(data + CommExit::kOffset, step.exit.encode()).has_value();
  if (!told) step = failed("the data page is gone");
  switch (step.progress) {
    case Progress::kDone:
      comm = CommState::kIdle;
      break;
    case Progress::kYielded:
      comm = CommState::kActive;
      break;
    case Progress::kFailed:
      comm = CommState::kError;
      break;
  }
  return told ? Code::kSuccess : Code::kInput;
}

/// One application serves a PDEV and its VDEVs: the source asserts in app_run() that none
/// of them waits in it.
Step Rmm::step_application(Pdev& pdev, Hpa user, Job job, const CommEnter& enter) {
  if (pdev.app->yielded()) {
    if (panic("app_run(): the application of " + pdev.params.function().str() +
                  " waits in another exchange",
              pdev.params.function()))
      return failed("the monitor stops");
    return failed("the PDEV's application waits in another exchange");
  }
  pdev.app_user = user;
  return pdev.app->run(std::move(job), enter);
}

Step Rmm::step_root_port(Pdev& pdev) {
  if (pdev.op == PdevOp::kStop || pdev.state == PdevState::kNew) return {};
  if (pdev.state != PdevState::kReady) {
    (void)panic("pdev_dispatch_cmd_rp(): the root port's PDEV is READY or NEW",
                pdev.params.function());
    return failed("the root port's PDEV is in no state to be driven");
  }
  const auto at = pdevs_.find(raw(pdev.end_point));
  if (at == pdevs_.end()) return {};
  Turn& turn = at->second.stream.turn;
  if (turn == Turn::kStart) turn = Turn::kPortReady;
  if (turn == Turn::kPortReady) return stream_wait();
  if (turn == Turn::kEndpointReady) turn = Turn::kPortConnected;
  return {};
}

/// pdev_dispatch_cmd_ready_ep().
Step Rmm::step_stream(Pdev& pdev, const CommEnter& enter) {
  switch (pdev.stream.turn) {
    case Turn::kStart:
    case Turn::kEndpointReady:
      return stream_wait();
    case Turn::kPortReady: {
      Job job = pdev.op == PdevOp::kConnect      ? connect_job(pdev)
                : pdev.op == PdevOp::kKeyRefresh ? refresh_job(pdev)
                                                 : disconnect_job(pdev);
      return step_application(pdev, pdev.at, std::move(job), enter);
    }
    case Turn::kPortConnected:
    case Turn::kNone:
      break;
  }
  return {};
}

Step Rmm::step_end_point(Pdev& pdev, const CommEnter& enter) {
  const bool streaming = pdev.op == PdevOp::kConnect || pdev.op == PdevOp::kDisconnect ||
                         pdev.op == PdevOp::kKeyRefresh;
  Step step;
  if (pdev.app_marked) {
    if (waits_for(pdev, pdev.at))
      step = pdev.app->resume(enter);
    else if (panic("app_resume(): the application of " + pdev.params.function().str() +
                       " does not wait",
                   pdev.params.function()))
      return failed("the monitor stops");
    else
      step = failed("the PDEV's application no longer waits for it");
  } else if (pdev.op == PdevOp::kStop) {
    step = step_application(pdev, pdev.at, {.channel = Job::Channel::kStop}, enter);
  } else if (pdev.state == PdevState::kNew) {
    step = step_application(pdev, pdev.at, {.channel = Job::Channel::kIdentify}, enter);
  } else if (pdev.state == PdevState::kHasKey) {
    step = step_application(pdev, pdev.at, {.channel = Job::Channel::kOpen}, enter);
  } else if (pdev.state == PdevState::kReady) {
    step = step_stream(pdev, enter);
  } else if (streaming &&
             panic("pdev_dispatch_cmd_ep(): the PDEV is READY", pdev.params.function())) {
    return failed("the monitor stops");
  } else {
    step = streaming ? step_stream(pdev, enter) : failed("the PDEV is in no state to be driven");
  }
  // The end point's keys are in: the root port's turn.
  if (step.progress == Progress::kDone && streaming && pdev.stream.turn == Turn::kPortReady) {
    pdev.stream.turn = Turn::kEndpointReady;
    step = stream_wait();
  }
  const bool waits = step.progress == Progress::kYielded && pdev.app->yielded();
  if (step.progress != Progress::kFailed || !defective()) pdev.app_marked = waits;
  return step;
}

RmiResult Rmm::drive_pdev(Command& c, Pdev& pdev, const CommEnter& enter, Hpa data) {
  Step step = pdev.is_root_port() ? step_root_port(pdev) : step_end_point(pdev, enter);
  touch(kPanicked, How::kRead);
  if (panicked_) return {.code = Code::kSmcNotSupported};
  const Code code = leave(pdev.comm, step, data);
  if (!step.why.empty()) c.remark(step.why);
  pdev_driven(pdev);
  return {.code = code};
}

/// smc_pdev_communicate(), behind dev_communicate().
void Rmm::pdev_driven(Pdev& pdev) {
  if (pdev.comm == CommState::kError) pdev.state = PdevState::kError;
  if (pdev.comm != CommState::kIdle) return;
  if (pdev.op == PdevOp::kStop) {
    pdev.state = PdevState::kStopped;
    pdev.op = PdevOp::kNone;
    return;
  }
  if (pdev.state == PdevState::kNew)
    pdev.state = pdev.is_root_port() ? PdevState::kReady : PdevState::kNeedsKey;
  else if (pdev.state == PdevState::kHasKey)
    pdev.state = PdevState::kReady;
  const bool streaming = pdev.op == PdevOp::kConnect || pdev.op == PdevOp::kDisconnect ||
                         pdev.op == PdevOp::kKeyRefresh;
  pdev.op = streaming ? PdevOp::kStreamComplete : PdevOp::kNone;
}

RmiResult Rmm::drive_vdev(Command& c, Pdev& pdev, Vdev& vdev, const CommEnter& enter, Hpa data) {
  Step step;
  if (vdev.comm == CommState::kActive) {
    if (waits_for(pdev, vdev.at))
      step = pdev.app->resume(enter);
    else if (!panic("app_resume(): the application of " + pdev.params.function().str() +
                        " does not wait",
                    pdev.params.function()))
      step = failed("the PDEV's application no longer waits for the VDEV");
  } else if (vdev.op != VdevOp::kUnlock || vdev.state != VdevState::kNew) {
    step = step_application(pdev, vdev.at, job_of(vdev, pdev), enter);
  }
  touch(kPanicked, How::kRead);
  if (panicked_) return {.code = Code::kSmcNotSupported};
  if (step.progress == Progress::kDone && vdev.op == VdevOp::kMeasure)
    vdev.measurements = pdev.app->object_digest();
  if (step.progress == Progress::kDone && vdev.op == VdevOp::kReport)
    vdev.report = pdev.app->object_digest();
  const Code code = leave(vdev.comm, step, data);
  if (!step.why.empty()) c.remark(step.why);
  vdev_driven(vdev);
  return {.code = code};
}

/// smc_vdev_communicate(), behind dev_communicate().
void Rmm::vdev_driven(Vdev& vdev) {
  if (vdev.comm == CommState::kError) vdev.state = VdevState::kError;
  if (vdev.comm != CommState::kIdle) return;
  switch (std::exchange(vdev.op, VdevOp::kNone)) {
    case VdevOp::kUnlock:
      if (vdev.state != VdevState::kNew)
        fact(vdev.tdi_stopped ? object::Fact::kTdiStopped : object::Fact::kTdiStopFailed,
             vdev.tdi_stopped ? "TDI stopped" : "STOP failed, taken as done", vdev);
      vdev.state = VdevState::kUnlocked;
      break;
    case VdevOp::kLock:
      vdev.state = VdevState::kLocked;
      vdev.nonces.lock = schedule::random_u64();
      break;
    case VdevOp::kStart:
      vdev.state = VdevState::kStarted;
      break;
    case VdevOp::kMeasure:
      vdev.nonces.measurements = schedule::random_u64();
      break;
    case VdevOp::kReport:
      vdev.nonces.report = schedule::random_u64();
      break;
    case VdevOp::kNone:
      break;
  }
}

}  // namespace teeio::rmm
