#include "spdm/session_channel.h"

#include <array>
#include <utility>

#include "schedule/task.h"
#include "spdm/channel.h"
#include "spdm/channel_setup.h"
#include "spdm/transport.h"
#include "wire/doe.h"
#include "wire/spdm_error.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::spdm {
namespace {

using MeasurementNonce = std::array<std::byte, 32>;

constexpr std::uint8_t kSlot = 0;
constexpr std::array kPciSigVendor{std::byte{0x01}, std::byte{0x00}};

Bytes with_protocol(wire::Protocol protocol, ByteView message) {
  return Writer().le(std::to_underlying(protocol)).bytes(message).take();
}

Result<Bytes> without_protocol(wire::Protocol protocol, ByteView answer) {
  if (answer.empty() || answer.front() != std::byte{std::to_underlying(protocol)})
    return fail(Errno::kInval, "answer is of another protocol");
  return Bytes(answer.begin() + 1, answer.end());
}

/// See make_session_requester().
class SessionRequester final : public RequesterChannel {
 public:
  SessionRequester(RequesterConfig config, bool patient)
      : requester_(std::move(config)), patient_(patient) {}

  std::optional<Bytes> connect_request() override;
  Result<void> connect_response(ByteView object) override;
  [[nodiscard]] bool connected() const override { return session_.has_value(); }
  Result<Bytes> seal(wire::Protocol protocol, ByteView message) override;
  Result<Bytes> open(wire::Protocol protocol, ByteView object) override;
  [[nodiscard]] bool waiting() const override { return patient_ || doing_ == Doing::kMessage; }
  std::optional<Bytes> measure_request(const MeasurementNonce& nonce) override;
  Result<void> measure_response(ByteView object) override;
  Result<std::optional<Bytes>> upkeep_request(Upkeep which) override;
  Result<void> upkeep_response(ByteView object) override;
  [[nodiscard]] const Evidence* evidence() const override {
    return session_ ? &evidence_ : nullptr;
  }
  std::optional<Bytes> disconnect_request() override;
  Result<void> disconnect_response(ByteView object) override;
  void reset() override;

 private:
  enum class Doing : std::uint8_t {
    kNothing,
    kConnecting,   ///< up to FINISH
    kMeasuring,    ///< GET_MEASUREMENTS
    kMeasured,     ///< measure_request() has to say so once
    kUpkeep,       ///< HEARTBEAT or KEY_UPDATE
    kKept,         ///< upkeep_request() has to say so once
    kMessage,      ///< an IDE_KM or TDISP message
    kDisconnected  ///< END_SESSION is under way
  };

  [[nodiscard]] std::optional<Bytes> next();
  Result<void> take(ByteView object);
  Result<bool> take_last(ByteView object);
  void ask_to_measure(std::uint32_t session, const MeasurementNonce& nonce);
  void keep_measurements();

  Requester requester_;
  const bool patient_;
  Doing doing_ = Doing::kNothing;
  std::optional<std::uint32_t> opened_;   ///< while the first measurements are due
  std::optional<std::uint32_t> session_;  ///< messages may flow
  Evidence evidence_;
};

std::optional<Bytes> SessionRequester::next() {
  const Message* message = requester_.request();
  return message == nullptr ? std::nullopt
                            : std::optional(wrap(Transport::kPciDoe, view(*message)));
}

/// Hands an answer to the requester. A session that died of it is gone here too.
Result<void> SessionRequester::take(ByteView object) {
  TEEIO_ASSIGN(const MessageView message, unwrap(Transport::kPciDoe, object));
  auto taken = requester_.take(message);
  if (session_ && !requester_.has_session(*session_)) session_.reset();
  return taken;
}

void SessionRequester::reset() {
  requester_.reset();
  doing_ = Doing::kNothing;
  opened_.reset();
  session_.reset();
  evidence_ = {};
}

std::optional<Bytes> SessionRequester::connect_request() {
  if (connected()) return std::nullopt;
  if (doing_ == Doing::kNothing) {
    requester_.connect();
    requester_.get_certificates(kSlot);
    requester_.open_session({.slot = kSlot});
    doing_ = Doing::kConnecting;
  }
  return next();
}

Result<void> SessionRequester::connect_response(ByteView object) {
  if (connected() || doing_ == Doing::kNothing)
    return fail(Errno::kInval, "no SPDM request of a connection waits for an answer");
  auto step = take(object);
  if (step && requester_.request() == nullptr) {
    if (const auto failure = requester_.failure()) {
      step = std::unexpected(*failure);
    } else if (doing_ == Doing::kConnecting) {
      opened_ = requester_.last_session();
      MeasurementNonce nonce;
      schedule::fill_random(nonce);
      ask_to_measure(*opened_, nonce);
      if (const auto refused = requester_.failure(); refused) step = std::unexpected(*refused);
    } else {
      keep_measurements();
      if (const PeerChain* chain = requester_.peer_chain(kSlot)) evidence_.chain = chain->chain;
      session_ = std::exchange(opened_, std::nullopt);
      doing_ = Doing::kNothing;
    }
  }
  if (!step) reset();
  return step;
}

void SessionRequester::ask_to_measure(std::uint32_t session, const MeasurementNonce& nonce) {
  evidence_.nonce = nonce;
  requester_.measure({.session = session,
                      .index = 0xff,
                      .sign = true,
                      .raw = false,  // digests of what the device measures as code
                      .slot = kSlot,
                      .nonce = nonce});
  doing_ = Doing::kMeasuring;
}

void SessionRequester::keep_measurements() {
  const MeasurementRecord& measured = requester_.measurement_record();
  evidence_.record = measured.record;
  evidence_.transcript = measured.transcript;
  evidence_.signature = measured.signature;
}

Result<Bytes> SessionRequester::seal(wire::Protocol protocol, ByteView message) {
  if (!connected()) return fail(Errno::kNxio, "the SPDM session is not connected");
  if (doing_ != Doing::kNothing)
    return fail(Errno::kBusy, "another exchange of the SPDM session waits for its answer");
  if (message.size() > wire::VendorDefined::kMaxMessage)
    return fail(Errno::kTooBig, "message is longer than a vendor-defined message carries");
  if (patient_) {
    TEEIO_ASSIGN(const Message sealed,
                 requester_.seal_app(*session_, wire::VendorDefined::kPciSigStandardId,
                                     kPciSigVendor, with_protocol(protocol, message)));
    return wrap(Transport::kPciDoe, view(sealed));
  }
  requester_.send_app(*session_, wire::VendorDefined::kPciSigStandardId, kPciSigVendor,
                      with_protocol(protocol, message));
  auto object = next();
  if (!object) {
    requester_.cancel();
    return fail(Errno::kTooBig, "the device takes no message of that length");
  }
  doing_ = Doing::kMessage;
  return std::move(*object);
}

Result<Bytes> SessionRequester::open(wire::Protocol protocol, ByteView object) {
  if (!connected()) return fail(Errno::kNxio, "the SPDM session is not connected");
  if (patient_) {
    const auto message = unwrap(Transport::kPciDoe, object);
    if (!message) return fail(Errno::kAcces, message.error().why);
    TEEIO_ASSIGN(const Bytes answer,
                 requester_.open_app(*session_, wire::VendorDefined::kPciSigStandardId,
                                     kPciSigVendor, *message));
    return without_protocol(protocol, answer);
  }
  if (doing_ != Doing::kMessage) return fail(Errno::kInval, "no message waits for an answer");
  const auto taken = take(object);
  doing_ = Doing::kNothing;
  if (!taken) {
    requester_.cancel();
    return std::unexpected(taken.error());
  }
  if (requester_.request() != nullptr) {
    requester_.cancel();
    return fail(Errno::kAgain, "the device was not ready to answer");
  }
  return without_protocol(protocol, requester_.app_answer());
}

std::optional<Bytes> SessionRequester::measure_request(const MeasurementNonce& nonce) {
  if (!connected() || doing_ == Doing::kMessage) return std::nullopt;
  if (doing_ == Doing::kMeasured) {
    doing_ = Doing::kNothing;
    return std::nullopt;
  }
  if (doing_ == Doing::kNothing) ask_to_measure(*session_, nonce);
  return next();
}

/// An answer within an operation, and whether it was the last. A bad one ends it.
Result<bool> SessionRequester::take_last(ByteView object) {
  auto step = take(object);
  if (step && requester_.request() != nullptr) return false;
  if (step)
    if (const auto failure = requester_.failure()) step = std::unexpected(*failure);
  if (step) return true;
  requester_.cancel();
  doing_ = Doing::kNothing;
  return std::unexpected(step.error());
}

Result<void> SessionRequester::measure_response(ByteView object) {
  if (!connected() || doing_ != Doing::kMeasuring)
    return fail(Errno::kInval, "no request for measurements waits for an answer");
  TEEIO_ASSIGN(const bool last, take_last(object));
  if (!last) return {};
  keep_measurements();
  doing_ = Doing::kMeasured;
  return {};
}

Result<std::optional<Bytes>> SessionRequester::upkeep_request(Upkeep which) {
  if (!connected()) return fail(Errno::kNxio, "the SPDM session is not connected");
  if (doing_ == Doing::kKept) {
    doing_ = Doing::kNothing;
    return std::nullopt;
  }
  if (doing_ != Doing::kNothing && doing_ != Doing::kUpkeep)
    return fail(Errno::kBusy, "another exchange of the SPDM session waits for its answer");
  if (doing_ == Doing::kNothing) {
    if (which == Upkeep::kHeartbeat)
      requester_.heartbeat(*session_);
    else
      requester_.update_keys(*session_, Requester::KeyUpdate::kAll);
    doing_ = Doing::kUpkeep;
  }
  auto object = next();
  if (object) return object;
  const auto failure = requester_.failure();
  requester_.cancel();
  doing_ = Doing::kNothing;
  return std::unexpected(failure.value_or(Error{Errno::kOpNotSupp, "the device does not do it"}));
}

Result<void> SessionRequester::upkeep_response(ByteView object) {
  if (!connected() || doing_ != Doing::kUpkeep)
    return fail(Errno::kInval, "neither HEARTBEAT nor KEY_UPDATE waits for an answer");
  TEEIO_ASSIGN(const bool last, take_last(object));
  if (last) doing_ = Doing::kKept;
  return {};
}

std::optional<Bytes> SessionRequester::disconnect_request() {
  if (!connected()) return std::nullopt;
  if (doing_ != Doing::kDisconnected) {
    requester_.cancel();
    requester_.end_session(*session_);
    doing_ = Doing::kDisconnected;
  }
  return next();
}

Result<void> SessionRequester::disconnect_response(ByteView object) {
  if (doing_ != Doing::kDisconnected)
    return fail(Errno::kInval, "no END_SESSION waits for an answer");
  const auto last = take_last(object);
  if (last && !*last) return {};
  reset();
  if (!last) return std::unexpected(last.error());
  return {};
}

/// See make_session_responder().
class SessionResponder final : public ResponderChannel {
 public:
  explicit SessionResponder(ResponderConfig config) : responder_(std::move(config)) {}

  [[nodiscard]] std::span<const std::uint8_t> object_types() const override {
    static constexpr std::array kTypes{std::to_underlying(wire::DoeType::kSpdm),
                                       std::to_underlying(wire::DoeType::kSecuredSpdm)};
    return kTypes;
  }
  std::variant<AppMessage, Bytes> open(ByteView object) override;
  Bytes seal(const AppMessage& answer) override {
    return wrapped(responder_.answer(with_protocol(answer.protocol, answer.bytes)));
  }
  Bytes seal_refusal() override { return refuse(wire::SpdmErrorCode::kInvalidRequest); }
  void reset() override { responder_.reset(); }

 private:
  static Bytes wrapped(const std::optional<Message>& message) {
    return message ? wrap(Transport::kPciDoe, view(*message)) : Bytes{};
  }
  Bytes refuse(wire::SpdmErrorCode code) {
    return wrapped(responder_.refuse(std::to_underlying(code)));
  }

  Responder responder_;
};

std::variant<AppMessage, Bytes> SessionResponder::open(ByteView object) {
  const auto message = unwrap(Transport::kPciDoe, object);
  if (!message) return Bytes{};
  auto step = responder_.receive(*message);
  if (std::holds_alternative<std::monostate>(step)) return Bytes{};
  if (const auto* answer = std::get_if<Message>(&step))
    return wrap(Transport::kPciDoe, view(*answer));
  const auto& request = std::get<AppRequest>(step);
  if (request.kind != AppRequest::Kind::kVendorDefined ||
      request.standard_id != wire::VendorDefined::kPciSigStandardId ||
      !std::ranges::equal(request.vendor_id, kPciSigVendor) || request.payload.empty())
    return refuse(wire::SpdmErrorCode::kUnsupportedRequest);
  if (request.session == kNoSession) return refuse(wire::SpdmErrorCode::kUnexpectedRequest);
  const auto protocol = std::to_integer<std::uint8_t>(request.payload.front());
  if (protocol > std::to_underlying(wire::Protocol::kTdisp))
    return refuse(wire::SpdmErrorCode::kUnsupportedRequest);
  return AppMessage{wire::Protocol{protocol},
                    Bytes(request.payload.begin() + 1, request.payload.end()), request.session};
}

}  // namespace

std::unique_ptr<RequesterChannel> make_requester(const ChannelSetup& setup, Observer* observer) {
  if (!setup.sessions) return make_plain_requester();
  RequesterConfig config;
  config.settings = setup.settings;
  config.settings.transport = Transport::kPciDoe;
  config.observer = observer;
  return make_session_requester(std::move(config), setup.patient);
}

std::unique_ptr<RequesterChannel> make_session_requester(RequesterConfig config, bool patient) {
  return std::make_unique<SessionRequester>(std::move(config), patient);
}

std::unique_ptr<ResponderChannel> make_session_responder(ResponderConfig config) {
  return std::make_unique<SessionResponder>(std::move(config));
}

}  // namespace teeio::spdm
