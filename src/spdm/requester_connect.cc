// GET_VERSION, GET_CAPABILITIES, NEGOTIATE_ALGORITHMS.
#include <algorithm>
#include <bit>

#include "spdm/capability_rules.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::spdm::requester {
namespace {

void append(Bytes& to, ByteView what) { to.insert(to.end(), what.begin(), what.end()); }

std::uint32_t own_flags(const RequesterConfig& config, std::uint8_t version) {
  using namespace wire;
  std::uint32_t flags =
      config.settings.flags != 0 ? config.settings.flags : default_requester_flags();
  if (config.credentials == nullptr)
    flags &= ~(kSpdmCapCert | kSpdmCapChal | kSpdmCapMutAuth | kSpdmCapEndpointInfoSig |
               kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated);
  if (config.credentials != nullptr && config.peer_has_own_key) {
    flags = (flags & ~(kSpdmCapCert | kSpdmCapChal)) | kSpdmCapPubKeyId;
  } else {
    flags &= ~kSpdmCapPubKeyId;
  }
  // What nobody answers here.
  flags &= ~(kSpdmCapEndpointInfoNoSig | kSpdmCapEndpointInfoSig | kSpdmCapEvent |
             kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated);
  if (config.settings.transport == Transport::kNone) flags &= ~session_flags();
  return flags & spdm_requester_caps(version);
}

class GetVersion final : public Step {
 public:
  Result<Bytes> build(State& state) override {
    state.forget();
    return wire::SpdmGetVersion{}.encode();
  }
  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmVersionResponse::decode(response));
    std::uint8_t best = 0;
    for (const std::uint8_t version : answer.versions)
      if (std::ranges::find(state.config.settings.versions, version) !=
          state.config.settings.versions.end())
        best = std::max(best, version);
    if (best == 0) return fail(Errno::kOpNotSupp, "no SPDM version is common");
    state.agreed.version = best;
    append(state.vca, request);
    append(state.vca, answer.wire);
    return Progress::kDone;
  }
};

class GetCapabilities final : public Step {
 public:
  Result<Bytes> build(State& state) override {
    const Settings& settings = state.config.settings;
    wire::SpdmGetCapabilities request;
    request.version = state.version();
    request.ct_exponent = settings.ct_exponent;
    request.flags = own_flags(state.config, state.version());
    request.data_transfer_size = settings.data_transfer_size;
    request.max_spdm_message_size = offered_max_message_size(settings, request.flags);
    state.agreed.own_flags = request.flags;
    return request.encode();
  }
  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmCapabilities::decode(response));
    const std::uint32_t flags = answer.flags & wire::spdm_responder_caps(state.version());
    if (!responder_flags_agree(flags, state.version()))
      return fail(Errno::kInval, "CAPABILITIES flags contradict each other");
    if (state.version() >= wire::kSpdmVersion12 &&
        !sizes_agree(answer.data_transfer_size, answer.max_spdm_message_size, flags))
      return fail(Errno::kInval, "CAPABILITIES sizes contradict each other");
    state.agreed.peer_flags = flags;
    state.agreed.extended_flags = answer.extended_flags;
    state.agreed.peer_data_transfer_size = answer.data_transfer_size;
    state.agreed.peer_max_message_size = answer.max_spdm_message_size;
    append(state.vca, request);
    append(state.vca, answer.wire);
    return Progress::kDone;
  }
};

/// At most one bit, and of those that were offered.
bool is_choice(std::uint32_t chosen, std::uint32_t offered) {
  return chosen == 0 || (std::has_single_bit(chosen) && (chosen & offered) != 0);
}

class NegotiateAlgorithms final : public Step {
 public:
  Result<Bytes> build(State& state) override {
    const Algorithms& ours = state.config.settings.algorithms;
    wire::SpdmNegotiateAlgorithms request;
    request.version = state.version();
    const bool measures = state.peer_can(wire::kSpdmCapMeasNoSig | wire::kSpdmCapMeasSig);
    if (ours.measurement_specification && measures)
      request.offer.measurement_specification = wire::kSpdmMeasurementDmtf;
    const std::uint16_t of_version = signatures_of_version(state.version());
    request.offer.base_asym = ours.base_asym & of_version;
    request.offer.base_hash = ours.base_hash;
    const bool post_quantum = state.version() >= wire::kSpdmVersion14;
    if (post_quantum) request.offer.pqc_asym = ours.pqc_asym;
    // A structure that offers nothing is left out: responders may refuse it. Source: libspdm
    // libspdm_rsp_algorithms.c, libspdm_get_response_algorithms().
    const auto table = [](std::uint16_t bits, bool known = true) {
      return known && bits != 0 ? std::optional(bits) : std::nullopt;
    };
    if (state.version() >= wire::kSpdmVersion11)
      request.offer.tables = {.dhe = table(ours.dhe),
                              .aead = table(ours.aead),
                              .req_base_asym = table(ours.req_base_asym & of_version),
                              .key_schedule = table(ours.key_schedule),
                              .req_pqc_asym = table(ours.req_pqc_asym, post_quantum),
                              .kem = table(ours.kem, post_quantum)};
    if (state.version() >= wire::kSpdmVersion12)
      request.offer.other_params = ours.other_params & 0xfU;
    if (state.version() >= wire::kSpdmVersion13) {
      const bool wants = (ours.other_params & wire::kSpdmMultiKeyConn) != 0;
      if (state.peer_can(wire::kSpdmCapMultiKeyOnly) ||
          (wants && state.peer_can(wire::kSpdmCapMultiKeyNegotiated)))
        request.offer.other_params |= wire::kSpdmMultiKeyConn;
      if (state.peer_can(wire::kSpdmCapMel) && measures)
        request.offer.mel_specification = wire::kSpdmMelDmtf;
    }
    offer_ = request.offer;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView request, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmAlgorithms::decode(response));
    const auto& tables = answer.tables;
    const Algorithms chosen{.base_asym = answer.base_asym,
                            .base_hash = answer.base_hash,
                            .measurement_hash = answer.measurement_hash,
                            .dhe = tables.dhe.value_or(0),
                            .aead = tables.aead.value_or(0),
                            .req_base_asym = tables.req_base_asym.value_or(0),
                            .key_schedule = tables.key_schedule.value_or(0),
                            .other_params = answer.other_params,
                            .measurement_specification = answer.measurement_specification != 0,
                            .pqc_asym = answer.pqc_asym,
                            .req_pqc_asym = tables.req_pqc_asym.value_or(0),
                            .kem = tables.kem.value_or(0)};
    if (!was_offered(chosen) || !is_one_family(chosen))
      return fail(Errno::kInval, "ALGORITHMS chose what was not offered");
    if ((chosen.other_params & wire::kSpdmMultiKeyConn) != 0)
      return fail(Errno::kOpNotSupp, "the device wants several keys of the requester");
    const Suite suite = Suite::of(chosen);
    TEEIO_TRY(suffices(state, chosen, suite));
    state.agreed.algorithms = chosen;
    state.suite = suite;
    state.peer_multi_key = (offer_.other_params & wire::kSpdmMultiKeyConn) != 0;
    append(state.vca, request);
    append(state.vca, answer.wire);
    if (suite.hash) state.base.emplace(*suite.hash).update(state.vca);
    if (suite.hash && state.config.peer_key && state.peer_can(wire::kSpdmCapPubKeyId))
      state.peer_key_hash = crypto::hash(*suite.hash, state.config.peer_key->der());
    state.m1m2.clear();
    state.connected = true;
    return Progress::kDone;
  }

 private:
  [[nodiscard]] bool was_offered(const Algorithms& chosen) const {
    const auto& tables = offer_.tables;
    return is_choice(chosen.base_asym, offer_.base_asym) &&
           is_choice(chosen.base_hash, offer_.base_hash) &&
           is_choice(chosen.measurement_hash, ~0U) &&
           is_choice(chosen.dhe, tables.dhe.value_or(0)) &&
           is_choice(chosen.aead, tables.aead.value_or(0)) &&
           is_choice(chosen.req_base_asym, tables.req_base_asym.value_or(0)) &&
           is_choice(chosen.key_schedule, tables.key_schedule.value_or(0)) &&
           is_choice(chosen.other_params & 0xfU, offer_.other_params) &&
           is_choice(chosen.pqc_asym, offer_.pqc_asym) &&
           is_choice(chosen.req_pqc_asym, tables.req_pqc_asym.value_or(0)) &&
           is_choice(chosen.kem, tables.kem.value_or(0)) &&
           (!chosen.measurement_specification || offer_.measurement_specification != 0);
  }

  /// DSP0274 1.4, ALGORITHMS: of the classical and the post-quantum field of one purpose at
  /// most one is selected.
  static bool is_one_family(const Algorithms& chosen) {
    return (chosen.base_asym == 0 || chosen.pqc_asym == 0) &&
           (chosen.req_base_asym == 0 || chosen.req_pqc_asym == 0) &&
           (chosen.dhe == 0 || chosen.kem == 0);
  }

  /// What the capabilities of both need must have been chosen.
  static Result<void> suffices(const State& state, const Algorithms& chosen, const Suite& suite) {
    using namespace wire;
    const bool key_exchange = state.both(kSpdmCapKeyEx);
    const bool psk = (state.agreed.own_flags & kSpdmCapPsk) != 0 &&
                     state.peer_can(kSpdmCapPsk | kSpdmCapPskWithContext);
    const bool signs =
        state.peer_can(kSpdmCapCert | kSpdmCapPubKeyId | kSpdmCapChal | kSpdmCapMeasSig) ||
        key_exchange;
    if ((signs || psk) && !suite.hash) return fail(Errno::kOpNotSupp, "no hash is common");
    if (signs && !suite.asym) return fail(Errno::kOpNotSupp, "no signature algorithm is common");
    if (key_exchange && !suite.exchanges_keys())
      return fail(Errno::kOpNotSupp, "no Diffie-Hellman group or KEM is common");
    if ((key_exchange || psk) && state.both(kSpdmCapMac)) {
      if (!suite.aead) return fail(Errno::kOpNotSupp, "no AEAD cipher is common");
      if (chosen.key_schedule != kSpdmKeyScheduleHmac)
        return fail(Errno::kOpNotSupp, "no key schedule is common");
    }
    return {};
  }

  wire::SpdmAlgorithmOffer offer_;
};

}  // namespace

void push_connect(State& state) {
  state.push(std::make_unique<GetVersion>());
  state.push(std::make_unique<GetCapabilities>());
  state.push(std::make_unique<NegotiateAlgorithms>());
}

}  // namespace teeio::spdm::requester
