#include "firmware/rmm/application.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "crypto/secret.h"
#include "firmware/rmm/device_key.h"
#include "wire/doe.h"
#include "wire/spdm.h"

namespace teeio::rmm {
namespace {

using Channel = Job::Channel;
using Object = std::optional<Bytes>;

bool is(ByteView message, wire::SpdmCode code) {
  return message.size() >= 2 &&
         std::to_integer<std::uint8_t>(message[1]) == std::to_underlying(code);
}

}  // namespace

Application::Step Application::run(Job job, const CommEnter& enter) {
  TEEIO_CHECK(!job_, "an application that waits is run");
  job_ = std::move(job);
  ending_ = session_ ? Ending::kSession : Ending::kVersion;
  ended_badly_ = false;
  report_.clear();
  exit_ = {};
  return advance(enter);
}

Application::Step Application::resume(const CommEnter& enter) {
  TEEIO_CHECK(job_.has_value(), "an application that does not wait is resumed");
  exit_ = {};
  return advance(enter);
}

bool Application::abort() {
  const bool looks = waiting_ == Waiting::kResponse;
  if (looks) forget_answer();
  (void)fail("the host gives the exchange up");
  return looks;
}

bool Application::set_key(const PublicKeyParams& params) {
  if (!is_device_key(params)) return false;
  key_ = params;
  return true;
}

void Application::report_portion(ByteView portion, bool last) {
  portion_.assign(portion.begin(), portion.end());
  report_.insert(report_.end(), portion.begin(), portion.end());
  report_over_ = last;
}

Application::Step Application::yield(Waiting waiting) {
  waiting_ = waiting;
  return {.progress = Progress::kYielded, .exit = exit_, .why = {}};
}

Application::Step Application::fail(std::string_view why) {
  job_.reset();
  held_.reset();
  current_.reset();
  waiting_ = Waiting::kNothing;
  return {.progress = Progress::kFailed, .exit = {}, .why = why};
}

/// The channel is told that no answer comes, and takes it as it likes.
void Application::forget_answer() {
  switch (job_->channel) {
    case Channel::kIdentify:
    case Channel::kOpen:
      return channel_->reset();
    case Channel::kMeasure:
      return static_cast<void>(channel_->measure_response({}));
    case Channel::kStop:
      ended_badly_ = ended_badly_ || ending_ == Ending::kSession;
      ending_ = ending_ == Ending::kSession ? Ending::kVersion : Ending::kOver;
      return channel_->reset();
    case Channel::kNothing:
      if (current_) (void)channel_->open(current_->protocol, {});
      break;
  }
}

/// Takes what the host brings, and goes on until the next message, the next thing for
/// its cache that would be overwritten, or the end.
Application::Step Application::advance(const CommEnter& enter) {
  if (std::exchange(waiting_, Waiting::kNothing) == Waiting::kResponse) {
    const auto taken = take(enter);
    if (!taken && !pass_over()) return fail(taken.error().why);
    current_.reset();
    if ((exit_.flags & CommExit::kCacheRequest) != 0) return yield(Waiting::kCached);
  }
  auto object = next_object(enter);
  if (!object) return fail(object.error().why);
  if (*object) {
    if (auto sent = send(**object, enter); !sent) return fail(sent.error().why);
    return yield(Waiting::kResponse);
  }
  if ((exit_.flags & CommExit::kCacheRequest) != 0) return yield(Waiting::kCached);
  if (exit_.flags != 0) return yield(Waiting::kFinal);
  if (ended_badly_) return fail("the session does not end");
  job_.reset();
  return {};
}

/// What failed is done with, and its group. False: its failure counts.
bool Application::pass_over() {
  if (!current_) return job_->channel == Channel::kStop;
  if (current_->counts) return false;
  std::erase_if(job_->script,
                [&](const Exchange& other) { return other.group == current_->group; });
  current_.reset();
  return true;
}

/// A host that brings none has failed (the source asserts that it brings one, or says so).
Result<void> Application::take(const CommEnter& enter) {
  if (enter.status != CommEnter::kResponse) {
    forget_answer();
    return teeio::fail(Errno::kIo, "the host brings no answer");
  }
  if (is_of_no_session()) {
    forget_answer();
    return teeio::fail(Errno::kIo, "FINISH_RSP is of a session that the monitor does not know yet");
  }
  Bytes message(enter.response_length);
  TEEIO_TRY(memory_.read(enter.response, message));
  if (!secured_) TEEIO_TRY(key_is_the_hosts(message));
  const auto type = secured_ ? wire::DoeType::kSecuredSpdm : wire::DoeType::kSpdm;
  TEEIO_TRY(took(
      enter, wire::DoeObject{wire::kPciSigVendorId, std::to_underlying(type), message}.encode()));
  if (!secured_ && job_->channel != Channel::kNothing) cache_plain(message);
  return {};
}

Result<void> Application::took(const CommEnter& enter, ByteView object) {
  switch (job_->channel) {
    case Channel::kIdentify:
    case Channel::kOpen:
      return channel_->connect_response(object);
    case Channel::kMeasure:
      return channel_->measure_response(object);
    case Channel::kStop:
      if (ending_ == Ending::kSession) {
        // As where none comes: libspdm_stop_session() fails.
        if (!channel_->disconnect_response(object)) ended_badly_ = true;
        if (!channel_->connected()) ending_ = Ending::kVersion;
      } else {
        channel_->reset();  // whatever the version is
        ending_ = Ending::kOver;
      }
      break;
    case Channel::kNothing: {
      TEEIO_ASSIGN(const Bytes answer, channel_->open(current_->protocol, object));
      TEEIO_TRY(current_->take(answer));
      return cache_report(enter);
    }
  }
  return {};
}

/// The device has to sign with the key that the host named: here, that key is the
/// certificate's, with which the channel verifies.
Result<void> Application::key_is_the_hosts(ByteView message) const {
  if (job_->channel != Channel::kOpen || !is(message, wire::SpdmCode::kKeyExchangeRsp)) return {};
  if (same_device_key(key_, chain_)) return {};
  return teeio::fail(Errno::kPerm, "the device signs with another key than the host named");
}

bool Application::is_of_no_session() const {
  return handshake_ == Handshake::kInTheClear && job_->channel == Channel::kOpen && secured_ &&
         !finished_in_the_clear_;
}

Result<std::optional<Bytes>> Application::next_object(const CommEnter& enter) {
  for (;;) {
    TEEIO_ASSIGN(Object object, channel_object(enter));
    if (object || (exit_.flags & CommExit::kCacheRequest) != 0) return object;
    auto next = script_object();
    if (next || !pass_over()) return next;
  }
}

/// The channel's next object, if it has one in this job.
Result<std::optional<Bytes>> Application::channel_object(const CommEnter& enter) {
  switch (job_->channel) {
    case Channel::kIdentify:
    case Channel::kOpen:
      return connect_object();
    case Channel::kMeasure: {
      Object object = channel_->measure_request(job_->nonce);
      if (object) return object;
      job_->channel = Channel::kNothing;
      TEEIO_TRY(cache_measurements(enter));
      break;
    }
    case Channel::kStop:
      return ending_object();
    case Channel::kNothing:
      break;
  }
  return Object{};
}

Result<std::optional<Bytes>> Application::connect_object() {
  Object object = held_ ? std::exchange(held_, std::nullopt) : channel_->connect_request();
  if (job_->channel == Channel::kIdentify && object) {
    const auto doe = wire::DoeObject::decode(*object);
    if (doe && is(doe->payload, wire::SpdmCode::kKeyExchange)) held_ = std::exchange(object, {});
  }
  if (object || held_) return object;
  if (!channel_->connected()) return teeio::fail(Errno::kIo, "the device cannot be connected");
  session_ = channel_->evidence() != nullptr;
  return Object{};
}

/// Source: dev_assign_cmd_stop_connection_main(). The answer to GET_VERSION does not count.
Result<std::optional<Bytes>> Application::ending_object() {
  if (ending_ == Ending::kSession) {
    if (Object bye = channel_->disconnect_request()) return bye;
    ended_badly_ = true;
    channel_->reset();
    ending_ = Ending::kVersion;
  }
  if (ending_ == Ending::kOver) return Object{};
  session_ = session_ && ended_badly_;
  channel_->reset();
  return channel_->connect_request();
}

Result<std::optional<Bytes>> Application::script_object() {
  while (!job_->script.empty()) {
    current_ = std::move(job_->script.front());
    job_->script.pop_front();
    if (!current_->request.empty()) {
      auto sealed = channel_->seal(current_->protocol, current_->request);
      crypto::wipe(current_->request);  // sent once; a KEY_PROG has a key in it
      if (!sealed) return std::unexpected(sealed.error());
      return std::optional(std::move(*sealed));
    }
    TEEIO_TRY(current_->take({}));
    current_.reset();
  }
  return Object{};
}

Result<void> Application::send(ByteView object, const CommEnter& enter) {
  TEEIO_ASSIGN(const wire::DoeObject doe, wire::DoeObject::decode(object));
  secured_ = doe.type == std::to_underlying(wire::DoeType::kSecuredSpdm);
  request_.assign(doe.payload.begin(), doe.payload.end());
  finished_in_the_clear_ =
      finished_in_the_clear_ || (!secured_ && is(request_, wire::SpdmCode::kFinish));
  exit_.flags |= CommExit::kSend;
  exit_.protocol = secured_ ? CommExit::Protocol::kSecuredSpdm : CommExit::Protocol::kSpdm;
  exit_.request_length = request_.size();
  return memory_.write(enter.request, request_);
}

}  // namespace teeio::rmm
