// GET_MEASUREMENTS, GET_MEASUREMENT_EXTENSION_LOG, and the summary hash.
#include <algorithm>
#include <span>

#include "crypto/random.h"
#include "spdm/opaque.h"
#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

// MEASUREMENTS ContentChanged (1.2): whether what earlier answers said holds no more.
constexpr std::uint8_t kContentChanged = 1;
constexpr std::uint8_t kContentUnchanged = 2;
/// Bytes of MEASUREMENT_EXTENSION_LOG before the portion.
constexpr std::uint32_t kLogHeader = 12;

bool measures(const State& state) {
  return state.config.measurements != nullptr &&
         (state.agreed.own_flags & (wire::kSpdmCapMeasNoSig | wire::kSpdmCapMeasSig)) != 0 &&
         state.agreed.algorithms.measurement_specification;
}

/// The block as it goes out. A digest takes the place of what was measured unless
/// the block is a raw bit stream, raw ones were asked for, or there is no hash.
void append_block(const State& state, const Measurement& measured, bool want_raw, Writer& record) {
  wire::SpdmMeasurementBlock block;
  block.index = measured.index;
  block.type = static_cast<wire::SpdmMeasurementType>(measured.type);
  block.raw = measured.raw || want_raw || !state.suite.measurement_hash;
  crypto::Digest digest;
  if (block.raw) {
    block.value = measured.value;
  } else {
    digest = crypto::hash(*state.suite.measurement_hash, measured.value);
    block.value = digest;
  }
  block.append_to(record);
}

/// L1/L2 of the place where the request came. It begins with message A since 1.2.
MeasurementLog& transcript(Call& call) {
  State& state = call.state;
  auto& running = call.session != nullptr ? call.session->measured : state.l1l2;
  if (!running) {
    const bool from_a = state.version() >= wire::kSpdmVersion12;
    running.emplace(from_a ? *state.base : crypto::RunningHash(*state.suite.hash));
  }
  return *running;
}

crypto::Digest digest_of(const Measurement& block) {
  Writer said;
  said.le(block.type).le(std::uint8_t{block.raw}).bytes(block.value);
  return crypto::hash(crypto::HashAlgorithm::kSha256, said.take());
}

void tell(MeasurementLog& log, const Measurement& block) {
  const crypto::Digest now = digest_of(block);
  if (const auto [at, first] = log.told.emplace(block.index, now); !first && at->second != now)
    log.changed = true;
}

/// Whether a block is another one than an answer of the log has said. Source: DSP0274 1.2,
/// MEASUREMENTS, Param2.
bool has_changed(const MeasurementLog& log, std::span<const Measurement> blocks) {
  if (log.changed) return true;
  return std::ranges::any_of(log.told, [&](const auto& told) {
    const auto now = std::ranges::find(blocks, told.first, &Measurement::index);
    return now == blocks.end() || digest_of(*now) != told.second;
  });
}

/// The slot whose key signs; Refused when it cannot.
std::expected<const LocalSlot*, Refusal> signer(State& state, std::uint8_t number) {
  const LocalSlot* slot = state.signer_of_four_bits(number);
  if (slot == nullptr) return refuse(SpdmErrorCode::kInvalidRequest);
  if (state.multi_key && (slot->credential->key_usage & wire::kSpdmKeyUseMeasurement) == 0)
    return refuse(SpdmErrorCode::kInvalidRequest);
  return slot;
}

}  // namespace

Reply get_measurements(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetMeasurements::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetMeasurements);
  if (!measures(state))
    return refuse(SpdmErrorCode::kUnsupportedRequest,
                  std::to_underlying(wire::SpdmCode::kGetMeasurements));
  const LocalSlot* slot = nullptr;
  if (request->sign) {
    if (!state.can(wire::kSpdmCapMeasSig, 0)) return refuse(SpdmErrorCode::kInvalidRequest);
    auto found = signer(state, request->slot);
    if (!found) return std::unexpected(std::move(found.error()));
    slot = *found;
  }
  const std::vector<Measurement> blocks = state.config.measurements->measurements();
  MeasurementLog* const log = state.suite.hash ? &transcript(call) : nullptr;
  wire::SpdmMeasurements answer;
  answer.version = state.version();
  Writer record;
  if (request->operation == wire::SpdmGetMeasurements::kCountOnly) {
    answer.total = static_cast<std::uint8_t>(blocks.size());
  } else {
    for (const Measurement& block : blocks) {
      if (request->operation != wire::SpdmGetMeasurements::kAll &&
          request->operation != block.index)
        continue;
      append_block(state, block, request->raw_bit_stream, record);
      if (log != nullptr) tell(*log, block);
      ++answer.blocks;
    }
    if (answer.blocks == 0) return refuse(SpdmErrorCode::kInvalidRequest);
  }
  const Bytes record_bytes = record.take();
  answer.record = record_bytes;
  answer.slot = request->sign ? request->slot : std::uint8_t{0};
  answer.context = request->context;
  const Bytes opaque = encode_measurement_opaque(state.agreed, state.config.measurement_opaque);
  answer.opaque = opaque;
  if (request->sign && state.version() >= wire::kSpdmVersion12)
    answer.content_changed =
        log != nullptr && has_changed(*log, blocks) ? kContentChanged : kContentUnchanged;
  crypto::fill_random(answer.nonce);
  Bytes bytes = answer.encode();
  if (log == nullptr) return bytes;
  log->hash.update(request->wire).update(bytes);
  if (!request->sign) return bytes;
  const auto signature = slot->credential->identity->key.sign_spdm(
      {state.version(), crypto::SigningPurpose::kResponderMeasurements, *state.suite.asym,
       *state.suite.hash},
      log->hash.digest());
  (call.session != nullptr ? call.session->measured : state.l1l2).reset();
  if (!signature) return refuse(SpdmErrorCode::kUnspecified);
  bytes.insert(bytes.end(), signature->begin(), signature->end());
  return bytes;
}

Reply get_extension_log(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetMeasurementExtensionLog::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetMeasurementExtensionLog);
  if (!measures(state))
    return refuse(SpdmErrorCode::kUnsupportedRequest,
                  std::to_underlying(wire::SpdmCode::kGetMeasurementExtensionLog));
  Bytes log = state.config.measurements->extension_log();
  if (log.empty()) log = wire::SpdmMelHeader{}.encode();
  const auto size = static_cast<std::uint32_t>(log.size());
  if (request->offset >= size) return refuse(SpdmErrorCode::kInvalidRequest);
  std::uint32_t limit = state.config.settings.data_transfer_size;
  if (state.agreed.peer_data_transfer_size != 0)
    limit = std::min(limit, state.agreed.peer_data_transfer_size);
  wire::SpdmMeasurementExtensionLog answer;
  answer.version = state.version();
  const std::uint32_t length =
      std::min({request->length, size - request->offset, limit - kLogHeader});
  answer.portion = ByteView(log).subspan(request->offset, length);
  answer.remainder = size - request->offset - length;
  return answer.encode();
}

std::expected<Bytes, Refusal> summary_hash(State& state, std::uint8_t summary) {
  const auto type = static_cast<wire::SpdmSummary>(summary);
  if (type == wire::SpdmSummary::kNone) return Bytes{};
  if ((type != wire::SpdmSummary::kTcb && type != wire::SpdmSummary::kAll) || !measures(state))
    return refuse(SpdmErrorCode::kInvalidRequest);
  Writer record;
  for (const Measurement& block : state.config.measurements->measurements())
    if (type == wire::SpdmSummary::kAll || block.in_tcb) append_block(state, block, false, record);
  const crypto::Digest digest = crypto::hash(*state.suite.hash, record.take());
  return Bytes(digest.view().begin(), digest.view().end());
}

}  // namespace teeio::spdm::responder
