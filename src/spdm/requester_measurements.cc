// GET_MEASUREMENTS, GET_MEASUREMENT_EXTENSION_LOG.
#include <algorithm>

#include "crypto/random.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm::requester {
namespace {

/// L1/L2 is kept as bytes, for whoever checks the signature again. The limit of
/// one record (24 bits) bounds what one message adds; unsigned ones must not add
/// up without end.
constexpr std::size_t kMaxTranscript = 1U << 25U;
constexpr std::size_t kMaxExtensionLog = 1U << 20U;

void extend(Bytes& to, ByteView what) { to.insert(to.end(), what.begin(), what.end()); }

class GetMeasurements final : public SessionStep {
 public:
  explicit GetMeasurements(MeasurementsWanted wanted)
      : SessionStep(wanted.session), wanted_(wanted) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (!state.peer_can(wire::kSpdmCapMeasNoSig | wire::kSpdmCapMeasSig))
      return fail(Errno::kOpNotSupp, "the device has no measurements");
    if (wanted_.sign && !state.peer_can(wire::kSpdmCapMeasSig))
      return fail(Errno::kOpNotSupp, "the device does not sign measurements");
    if (wanted_.sign && !state.signer(wanted_.slot))
      return fail(Errno::kNxio, "the slot's certificates were not read");
    wire::SpdmGetMeasurements request;
    request.version = state.version();
    request.sign = wanted_.sign;
    request.raw_bit_stream = wanted_.raw && state.version() >= wire::kSpdmVersion12;
    request.operation = wanted_.index;
    request.slot = wanted_.slot;
    if (wanted_.nonce) {
      request.nonce = *wanted_.nonce;
    } else {
      crypto::fill_random(request.nonce);
    }
    nonce_ = request.nonce;
    crypto::fill_random(request.context);
    context_ = request.context;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    wire::SpdmSizes sizes = state.sizes();
    if (!wanted_.sign) sizes.signature = 0;
    TEEIO_ASSIGN(const auto answer, wire::SpdmMeasurements::decode(response, sizes));
    TEEIO_TRY(check(state, answer));
    Session* in = state.find(session_);
    Bytes& transcript = in != nullptr ? in->l1l2 : state.l1l2;
    if (transcript.empty() && state.version() >= wire::kSpdmVersion12) transcript = state.vca;
    if (transcript.size() + request.size() + answer.wire.size() > kMaxTranscript)
      return fail(Errno::kTooBig, "too many measurements without a signature");
    extend(transcript, request);
    extend(transcript, answer.wire.first(answer.wire.size() - answer.signature.size()));

    MeasurementRecord record;
    record.version = state.version();
    record.count =
        wanted_.index == wire::SpdmGetMeasurements::kCountOnly ? answer.total : answer.blocks;
    record.record.assign(answer.record.begin(), answer.record.end());
    record.nonce = nonce_;
    record.response.assign(answer.wire.begin(), answer.wire.end());
    if (wanted_.sign) {
      record.transcript = std::exchange(transcript, {});
      TEEIO_TRY(verify_peer(state, wanted_.slot, crypto::SigningPurpose::kResponderMeasurements,
                            crypto::hash(*state.suite.hash, record.transcript), answer.signature));
      record.signature.assign(answer.signature.begin(), answer.signature.end());
    }
    state.measured = std::move(record);
    return Progress::kDone;
  }

 private:
  Result<void> check(const State& state, const wire::SpdmMeasurements& answer) const {
    if (wanted_.sign && state.version() >= wire::kSpdmVersion11 &&
        answer.slot != (wanted_.slot & kKnownKeyInFourBits))
      return fail(Errno::kInval, "MEASUREMENTS is signed by another slot");
    if (state.version() >= wire::kSpdmVersion13 && answer.context != context_)
      return fail(Errno::kPerm, "MEASUREMENTS answers another request");
    if (wanted_.index == wire::SpdmGetMeasurements::kCountOnly) {
      if (answer.blocks != 0 || !answer.record.empty())
        return fail(Errno::kInval, "MEASUREMENTS has blocks that nobody asked for");
      return {};
    }
    unsigned seen = 0;
    for (ByteView rest = answer.record; !rest.empty(); ++seen) {
      TEEIO_ASSIGN(const auto block, wire::SpdmMeasurementBlock::take(rest));
      if (wanted_.index != wire::SpdmGetMeasurements::kAll && block.index != wanted_.index)
        return fail(Errno::kInval, "MEASUREMENTS has another block than the one asked for");
    }
    if (seen != answer.blocks || seen == 0)
      return fail(Errno::kInval, "MEASUREMENTS has another number of blocks than it says");
    if (wanted_.index != wire::SpdmGetMeasurements::kAll && seen != 1)
      return fail(Errno::kInval, "MEASUREMENTS has more than the block asked for");
    return {};
  }

  const MeasurementsWanted wanted_;
  wire::SpdmNonce nonce_{};
  wire::SpdmContext context_{};
};

class GetExtensionLog final : public SessionStep {
 public:
  using SessionStep::SessionStep;
  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (!state.peer_can(wire::kSpdmCapMel))
      return fail(Errno::kOpNotSupp, "the device has no measurement extension log");
    wire::SpdmGetMeasurementExtensionLog request;
    request.version = state.version();
    request.offset = static_cast<std::uint32_t>(log_.size());
    request.length = state.config.settings.data_transfer_size - kHeader;
    asked_ = request.length;
    return request.encode();
  }
  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmMeasurementExtensionLog::decode(response));
    if (answer.portion.empty() || answer.portion.size() > asked_)
      return fail(Errno::kInval, "the log's portion has another length than what was asked for");
    if (log_.size() + answer.portion.size() + answer.remainder > kMaxExtensionLog)
      return fail(Errno::kTooBig, "the measurement extension log is longer than the limit");
    extend(log_, answer.portion);
    if (answer.remainder != 0) return Progress::kAgain;
    state.log = std::move(log_);
    return Progress::kDone;
  }

 private:
  static constexpr std::uint32_t kHeader = 12;
  Bytes log_;
  std::uint32_t asked_ = 0;
};

}  // namespace

void push_measure(State& state, MeasurementsWanted wanted) {
  state.push(std::make_unique<GetMeasurements>(wanted));
}

void push_extension_log(State& state, std::uint32_t session) {
  state.push(std::make_unique<GetExtensionLog>(session));
}

}  // namespace teeio::spdm::requester
