// GET_VERSION, GET_CAPABILITIES, NEGOTIATE_ALGORITHMS.
#include <algorithm>

#include "spdm/capability_rules.h"
#include "spdm/responder_state.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

void append(Bytes& to, ByteView what) { to.insert(to.end(), what.begin(), what.end()); }

/// CTExponent's limit. libspdm refuses larger ones, and 2^31 µs is half an hour.
constexpr std::uint8_t kMaxCtExponent = 31;

/// The flags that this responder can keep.
std::uint32_t own_flags(const ResponderConfig& config, std::uint8_t version) {
  using namespace wire;
  std::uint32_t flags =
      config.settings.flags != 0 ? config.settings.flags : default_responder_flags();
  if (config.credentials == nullptr)
    flags &= ~(kSpdmCapCert | kSpdmCapPubKeyId | kSpdmCapChal | kSpdmCapKeyEx | kSpdmCapMutAuth |
               kSpdmCapSetCert | kSpdmCapCsr | kSpdmCapAliasCert | kSpdmCapCertInstallReset |
               kSpdmCapEndpointInfoSig | kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated |
               kSpdmCapGetKeyPairInfo | kSpdmCapSetKeyPairInfo);
  if (config.credentials == nullptr && (flags & kSpdmCapMeasSig) != 0)
    flags = (flags & ~kSpdmCapMeasSig) | kSpdmCapMeasNoSig;
  if (config.measurements == nullptr)
    flags &= ~(kSpdmCapMeasNoSig | kSpdmCapMeasSig | kSpdmCapMeasFresh | kSpdmCapMel);
  if (config.provisioning == nullptr)
    flags &= ~(kSpdmCapSetCert | kSpdmCapCsr | kSpdmCapCertInstallReset | kSpdmCapSetKeyPairInfo);
  if (config.endpoint_info.empty()) flags &= ~(kSpdmCapEndpointInfoNoSig | kSpdmCapEndpointInfoSig);
  // What nobody answers here.
  flags &= ~std::uint32_t{kSpdmCapSetKeyPairReset};
  if (config.psks.empty()) flags &= ~(kSpdmCapPsk | kSpdmCapPskWithContext);
  if (config.settings.transport == Transport::kNone) flags &= ~session_flags();
  if ((flags & (kSpdmCapKeyEx | kSpdmCapPsk | kSpdmCapPskWithContext)) == 0)
    flags &= ~session_flags();
  if (config.mutual_auth == MutualAuth::kNever) flags &= ~kSpdmCapMutAuth;
  return flags & spdm_responder_caps(version);
}

/// The same of ExtFlags.
std::uint16_t own_extended_flags(const ResponderConfig& config, std::uint8_t version) {
  unsigned flags = version >= wire::kSpdmVersion14 ? config.settings.extended_flags : 0U;
  if (config.credentials == nullptr) flags &= ~unsigned{wire::kSpdmExtendedCapSlotManagement};
  return static_cast<std::uint16_t>(flags);
}

wire::SpdmAlgorithmOffer everything(const Algorithms& ours) {
  wire::SpdmAlgorithmOffer offer;
  offer.measurement_specification = ours.measurement_specification ? wire::kSpdmMeasurementDmtf : 0;
  offer.other_params = ours.other_params;
  offer.base_asym = ours.base_asym;
  offer.base_hash = ours.base_hash;
  offer.pqc_asym = ours.pqc_asym;
  const auto table = [](std::uint16_t bits) {
    return bits != 0 ? std::optional(bits) : std::nullopt;
  };
  offer.mel_specification = ours.measurement_specification ? wire::kSpdmMelDmtf : 0;
  offer.tables = {.dhe = ours.dhe,
                  .aead = ours.aead,
                  .req_base_asym = ours.req_base_asym,
                  .key_schedule = ours.key_schedule,
                  .req_pqc_asym = table(ours.req_pqc_asym),
                  .kem = table(ours.kem)};
  return offer;
}

/// A table is answered when it was offered; what nothing uses, with nothing selected.
std::optional<std::uint16_t> choose(Choice what, bool used, std::optional<std::uint16_t> theirs,
                                    std::uint16_t ours) {
  if (!theirs) return std::nullopt;
  return static_cast<std::uint16_t>(used ? choose_bit(what, ours & unsigned{*theirs}) : 0U);
}

/// Whether the slots have a key for an algorithm: an end that offers P-521 but
/// holds only a P-384 key chooses P-384.
using AlgorithmOf = std::optional<crypto::SignatureAlgorithm> (*)(std::uint32_t);
std::uint32_t with_credentials(Credentials* credentials, std::uint32_t asym, std::uint32_t hash,
                               AlgorithmOf algorithm_of = signature_of) {
  const auto used_hash = hash_of(hash);
  if (credentials == nullptr || !used_hash) return asym;
  std::uint32_t kept = 0;
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1U) {
    const auto algorithm = (asym & bit) != 0 ? algorithm_of(bit) : std::nullopt;
    if (!algorithm) continue;
    for (std::uint8_t slot = 0; slot < wire::kSpdmSlots; ++slot)
      if (credentials->credential(slot, *algorithm, *used_hash) != nullptr) {
        kept |= bit;
        break;
      }
  }
  return kept;
}

/// DSP0274 1.4: of the two families' fields of one purpose one is selected.
template <class Classical, class PostQuantum>
void keep_one(bool post_quantum_first, Classical& classical, PostQuantum& post_quantum) {
  if (classical == 0 || post_quantum == 0) return;
  if (post_quantum_first)
    classical = 0;
  else
    post_quantum = 0;
}

/// What of SPDM 1.4's algorithms is common, in the place of the classical or not at all.
void choose_post_quantum(const State& state, const wire::SpdmAlgorithmOffer& theirs,
                         const AlgorithmUse& use, wire::SpdmAlgorithms& chosen) {
  const Algorithms& ours = state.config.settings.algorithms;
  auto& tables = chosen.tables;
  if (chosen.version < wire::kSpdmVersion14) return;
  if (use.base_asym)
    chosen.pqc_asym =
        choose_bit(Choice::kPqcAsym,
                   with_credentials(state.config.credentials, ours.pqc_asym & theirs.pqc_asym,
                                    chosen.base_hash, pqc_signature_of));
  keep_one(ours.post_quantum_first, chosen.base_asym, chosen.pqc_asym);
  if (tables.req_base_asym && tables.req_pqc_asym)
    keep_one(ours.post_quantum_first, *tables.req_base_asym, *tables.req_pqc_asym);
  if (tables.dhe && tables.kem) keep_one(ours.post_quantum_first, *tables.dhe, *tables.kem);
}

wire::SpdmAlgorithms choose_all(const State& state, const wire::SpdmNegotiateAlgorithms& request) {
  const Algorithms& ours = state.config.settings.algorithms;
  const auto& theirs = request.offer;
  wire::SpdmAlgorithms chosen;
  chosen.version = request.version;
  const bool measures =
      state.can(wire::kSpdmCapMeasSig, 0) || state.can(wire::kSpdmCapMeasNoSig, 0);
  if (measures && ours.measurement_specification &&
      (theirs.measurement_specification & wire::kSpdmMeasurementDmtf) != 0) {
    chosen.measurement_specification = wire::kSpdmMeasurementDmtf;
    chosen.measurement_hash = choose_bit(Choice::kMeasurementHash, ours.measurement_hash);
  }
  const std::uint16_t known = signatures_of_version(request.version);
  const AlgorithmUse use = algorithm_use(state.agreed.own_flags, state.agreed.peer_flags);
  if (use.base_hash)
    chosen.base_hash = choose_bit(Choice::kBaseHash, ours.base_hash & theirs.base_hash);
  if (use.base_asym)
    chosen.base_asym =
        choose_bit(Choice::kAsym,
                   with_credentials(state.config.credentials,
                                    ours.base_asym & theirs.base_asym & known, chosen.base_hash));
  const auto& tables = theirs.tables;
  chosen.tables = {.dhe = choose(Choice::kGroup, use.dhe, tables.dhe, ours.dhe),
                   .aead = choose(Choice::kAead, use.aead, tables.aead, ours.aead),
                   .req_base_asym = choose(Choice::kAsym, use.req_base_asym, tables.req_base_asym,
                                           ours.req_base_asym & known),
                   .key_schedule = choose(Choice::kOther, use.key_schedule, tables.key_schedule,
                                          ours.key_schedule),
                   .req_pqc_asym = choose(Choice::kPqcAsym, use.req_base_asym, tables.req_pqc_asym,
                                          ours.req_pqc_asym),
                   .kem = choose(Choice::kOther, use.dhe, tables.kem, ours.kem)};
  choose_post_quantum(state, theirs, use, chosen);
  if (request.version >= wire::kSpdmVersion12) {
    const unsigned formats = ours.other_params & 0xfU;
    chosen.other_params =
        static_cast<std::uint8_t>(choose_bit(Choice::kOther, formats & theirs.other_params));
  }
  if (request.version >= wire::kSpdmVersion13) {
    // Each end says whether the *other* is to use several keys. A requester that
    // always does leaves no choice; others are left alone.
    if ((state.agreed.peer_flags & wire::kSpdmCapMultiKeyOnly) != 0)
      chosen.other_params |= wire::kSpdmMultiKeyConn;
    if (measures && (theirs.mel_specification & wire::kSpdmMelDmtf) != 0 &&
        state.can(wire::kSpdmCapMel, 0))
      chosen.mel_specification = wire::kSpdmMelDmtf;
  }
  return chosen;
}

/// Whether what was chosen suffices for the capabilities of both ends.
bool suffices(const State& state, const Algorithms& chosen, const Suite& suite, bool multi_key) {
  using namespace wire;
  const bool signs = state.can(kSpdmCapCert, 0) || state.can(kSpdmCapChal, 0) ||
                     state.can(kSpdmCapMeasSig, 0) || state.can(kSpdmCapKeyEx, kSpdmCapKeyEx);
  const bool psk = (state.agreed.own_flags & (kSpdmCapPsk | kSpdmCapPskWithContext)) != 0 &&
                   (state.agreed.peer_flags & kSpdmCapPsk) != 0;
  if ((signs || psk) && !suite.hash) return false;
  if (signs && !suite.asym) return false;
  if (state.version() < kSpdmVersion11) return true;
  if (state.can(kSpdmCapKeyEx, kSpdmCapKeyEx) && !suite.exchanges_keys()) return false;
  if (state.can(kSpdmCapMac, kSpdmCapMac) && !suite.aead) return false;
  if (state.can(kSpdmCapMutAuth, kSpdmCapMutAuth) && !suite.req_asym) return false;
  const bool sessions = psk || state.can(kSpdmCapKeyEx, kSpdmCapKeyEx);
  if (sessions && chosen.key_schedule != kSpdmKeyScheduleHmac) return false;
  if (state.version() < kSpdmVersion13) return true;
  if (multi_key)
    return (state.agreed.own_flags & (kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated)) != 0;
  return (state.agreed.own_flags & kSpdmCapMultiKeyOnly) == 0;
}

}  // namespace

Reply get_version(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetVersion::decode(call.request);
  if (!request) return refuse(SpdmErrorCode::kInvalidRequest);
  state.forget();
  Bytes answer = wire::SpdmVersionResponse{state.config.settings.versions, {}}.encode();
  append(state.vca, request->wire);
  append(state.vca, answer);
  state.phase = Phase::kAfterVersion;
  return answer;
}

Reply get_capabilities(Call& call) {
  State& state = call.state;
  const Settings& settings = state.config.settings;
  // The version decides how the rest reads.
  const auto header = wire::SpdmHeader::decode(call.request);
  if (!header) return refuse(SpdmErrorCode::kInvalidRequest);
  const std::uint8_t version = header->version;
  if (std::ranges::find(settings.versions, version) == settings.versions.end())
    return refuse(SpdmErrorCode::kVersionMismatch);
  const auto request = wire::SpdmGetCapabilities::decode(call.request);
  if (!request) return refuse(SpdmErrorCode::kInvalidRequest);
  const std::uint32_t theirs = request->flags & wire::spdm_requester_caps(version);
  if (!requester_flags_agree(theirs, version) || request->ct_exponent > kMaxCtExponent)
    return refuse(SpdmErrorCode::kInvalidRequest);
  const bool has_sizes = version >= wire::kSpdmVersion12;
  if (has_sizes &&
      !sizes_agree(request->data_transfer_size, request->max_spdm_message_size, theirs))
    return refuse(SpdmErrorCode::kInvalidRequest);
  // DSP0274 1.3: whoever wants the block of algorithms must be able to take chunks.
  if (request->want_algorithms && (theirs & wire::kSpdmCapChunk) == 0)
    return refuse(SpdmErrorCode::kInvalidRequest);

  wire::SpdmCapabilities answer;
  answer.version = version;
  answer.ct_exponent = settings.ct_exponent;
  answer.flags = own_flags(state.config, version);
  answer.extended_flags = own_extended_flags(state.config, version);
  if (has_sizes) {
    answer.data_transfer_size = settings.data_transfer_size;
    answer.max_spdm_message_size = offered_max_message_size(settings, answer.flags);
  }
  if (request->want_algorithms && (answer.flags & wire::kSpdmCapChunk) != 0)
    answer.algorithms = everything(settings.algorithms);
  Bytes bytes = answer.encode();

  state.agreed.version = version;
  state.agreed.own_flags = answer.flags;
  state.agreed.extended_flags = answer.extended_flags;
  state.agreed.peer_flags = theirs;
  state.agreed.peer_data_transfer_size = request->data_transfer_size;
  state.agreed.peer_max_message_size = request->max_spdm_message_size;
  append(state.vca, request->wire);
  append(state.vca, bytes);
  state.phase = Phase::kAfterCapabilities;
  return bytes;
}

Reply negotiate_algorithms(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmNegotiateAlgorithms::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kNegotiateAlgorithms);
  const wire::SpdmAlgorithms chosen = choose_all(state, *request);
  const Algorithms agreed{.base_asym = chosen.base_asym,
                          .base_hash = chosen.base_hash,
                          .measurement_hash = chosen.measurement_hash,
                          .dhe = chosen.tables.dhe.value_or(0),
                          .aead = chosen.tables.aead.value_or(0),
                          .req_base_asym = chosen.tables.req_base_asym.value_or(0),
                          .key_schedule = chosen.tables.key_schedule.value_or(0),
                          .other_params = chosen.other_params,
                          .measurement_specification = chosen.measurement_specification != 0,
                          .pqc_asym = chosen.pqc_asym,
                          .req_pqc_asym = chosen.tables.req_pqc_asym.value_or(0),
                          .kem = chosen.tables.kem.value_or(0)};
  const Suite suite = Suite::of(agreed);
  const bool multi_key = request->version >= wire::kSpdmVersion13 &&
                         (request->offer.other_params & wire::kSpdmMultiKeyConn) != 0;
  if (!suffices(state, agreed, suite, multi_key)) return refuse(SpdmErrorCode::kInvalidRequest);
  Bytes bytes = chosen.encode();

  state.agreed.algorithms = agreed;
  state.suite = suite;
  state.multi_key = multi_key;
  state.peer_multi_key = (agreed.other_params & wire::kSpdmMultiKeyConn) != 0;
  append(state.vca, request->wire);
  append(state.vca, bytes);
  if (suite.hash) state.base.emplace(*suite.hash).update(state.vca);
  state.m1m2.clear();
  state.phase = Phase::kNegotiated;
  return bytes;
}

}  // namespace teeio::spdm::responder
