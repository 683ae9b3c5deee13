#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/hash.h"
#include "spdm/deferred_hash.h"
#include "spdm/framing.h"
#include "spdm/key_schedule.h"
#include "spdm/peer_chain.h"
#include "spdm/responder.h"
#include "spdm/secured_session.h"
#include "spdm/suite.h"
#include "wire/spdm.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_error.h"
#include "wire/spdm_session.h"

/// Inside of the responder: its state, and what its message handlers share. For
/// the responder_*.cc files only.
namespace teeio::spdm::responder {

/// Why a request gets ERROR instead of an answer.
struct Refusal {
  wire::SpdmErrorCode code = wire::SpdmErrorCode::kInvalidRequest;
  std::uint8_t data = 0;
  Bytes extended{};
  bool ends_session = false;  ///< the session in which it came is gone
};
using Reply = std::expected<Bytes, Refusal>;
[[nodiscard]] inline std::unexpected<Refusal> refuse(wire::SpdmErrorCode code,
                                                     std::uint8_t data = 0) {
  return std::unexpected(Refusal{code, data});
}
/// What a decoder's error means to the peer.
[[nodiscard]] std::unexpected<Refusal> refuse(const Error& decode_error, wire::SpdmCode request);

enum class Phase : std::uint8_t { kNotStarted, kAfterVersion, kAfterCapabilities, kNegotiated };

/// One slot of ours, in the form in which it is sent and hashed.
struct LocalSlot {
  const Credential* credential = nullptr;  ///< nullptr: empty
  std::vector<crypto::Certificate> certificates;
  crypto::HashAlgorithm algorithm = crypto::HashAlgorithm::kSha384;
  Bytes chain;  ///< SPDM format; of a key that is known: its SubjectPublicKeyInfo
  crypto::Digest hash;
  bool asked = false;  ///< in this connection; before that it is what the last one had
};

/// An encapsulated flow: requests of ours inside the requester's answers.
struct EncapsulatedFlow {
  enum class Step : std::uint8_t {
    kIdle,
    kDigests,
    kCertificate,
    kChallenge,
    kKeyUpdate,
    kInfo,
    kEvents
  };
  enum class Purpose : std::uint8_t { kSession, kChallenge, kKeyUpdate, kInfo, kEvents };
  Step step = Step::kIdle;
  Purpose purpose = Purpose::kSession;
  std::uint32_t session = kNoSession;  ///< in which it runs
  std::uint8_t request_id = 0;
  std::uint8_t slot = 0;  ///< the requester's
  std::uint32_t steps = 0;
  Bytes pending;                      ///< the request that waits for its response
  Bytes digests;                      ///< of the requester's slots, as sent
  Bytes chain;                        ///< as far as it was read
  std::optional<VerifiedChain> peer;  ///< basic mutual authentication: whom it challenges
  /// M1/M2 of basic mutual authentication.
  std::optional<crypto::RunningHash> transcript;
};

/// What a session's requester wants to hear of, and has not heard yet (1.3).
struct Events {
  struct Event {
    std::uint32_t instance = 0;
    std::uint16_t type = 0;  ///< a wire::SpdmEventType
    Bytes detail;
  };
  std::uint16_t subscribed = 0;  ///< bit n: DMTF's type n
  std::vector<Event> waiting;
  std::size_t sent = 0;  ///< of those, from the first on: in the SEND_EVENT without an answer
  std::uint32_t next_instance = 0;
  std::uint32_t last_acked = 0;
  std::optional<std::uint32_t> last_lost;
  std::vector<Measurement> measured;  ///< as the requester knows them
};

/// L1/L2, and what its answers have said.
struct MeasurementLog {
  explicit MeasurementLog(crypto::RunningHash begun) : hash(std::move(begun)) {}

  crypto::RunningHash hash;
  std::map<std::uint8_t, crypto::Digest> told;  ///< of each block that was in an answer
  bool changed = false;                         ///< two answers have said two things of one block
};

struct Session {
  std::uint32_t id = 0;
  bool psk = false;
  bool established = false;
  bool in_the_clear = false;  ///< the handshake is
  std::uint8_t mut_auth = 0;  ///< MutAuthRequested
  std::uint8_t heartbeat_period_s = 0;
  std::uint32_t silent_s = 0;      ///< since the last message
  crypto::RunningHash transcript;  ///< TH
  std::optional<KeySchedule> keys;
  std::optional<SecuredSession> channel;
  KeyReporter log;
  std::optional<MeasurementLog> measured;  ///< L1/L2 in this session
  std::optional<VerifiedChain> peer;       ///< mutual authentication: the requester's
  std::uint8_t peer_slot = 0;
  Bytes peer_digests;              ///< DIGESTS of a requester with several keys: part of TH
  std::uint8_t key_operation = 0;  ///< KEY_UPDATE that waits for VerifyNewKey
  bool own_update_sent = false;    ///< the same of this end's own KEY_UPDATE
  Events events;

  explicit Session(crypto::RunningHash th) : transcript(std::move(th)) {}
};

/// A large message on its way, in either direction.
struct LargeMessage {
  Bytes bytes;
  std::uint32_t session = kNoSession;
  std::uint8_t handle = 0;
  std::uint32_t sequence = 0;  ///< of the next chunk
  std::uint32_t size = 0;      ///< CHUNK_SEND: of the whole message
  std::uint32_t offset = 0;    ///< CHUNK_GET: sent so far
};

/// A request that was answered with ResponseNotReady.
struct Deferred {
  Bytes request;
  std::uint32_t session = kNoSession;
  std::uint8_t token = 0;
};

struct State {
  explicit State(ResponderConfig given) : config(std::move(given)) {}

  ResponderConfig config;
  Phase phase = Phase::kNotStarted;
  Negotiated agreed;
  Suite suite;
  bool multi_key = false;                   ///< this end uses several keys (1.3)
  bool peer_multi_key = false;              ///< the requester does
  Bytes vca;                                ///< message A
  std::optional<crypto::RunningHash> base;  ///< of message A; once negotiated
  DeferredHash m1m2;
  std::optional<MeasurementLog> l1l2;  ///< outside of sessions
  /// Whom basic mutual authentication has proved, and by which slot.
  std::optional<VerifiedChain> challenged;
  std::uint8_t challenged_slot = 0;
  Bytes multi_key_digests;        ///< DIGESTS that enters TH (1.3)
  bool digests_may_enter = true;  ///< it came right behind ALGORITHMS
  std::array<LocalSlot, wire::kSpdmSlots> slots;
  LocalSlot known_key;  ///< with PUB_KEY_ID_CAP the key of slot 0, in the place of all slots

  std::vector<std::unique_ptr<Session>> sessions;
  std::uint16_t last_session_half = 0;
  EncapsulatedFlow encapsulated;
  std::optional<LargeMessage> outgoing;
  std::optional<LargeMessage> incoming;
  std::uint8_t last_handle = 0;
  std::optional<Deferred> deferred;
  std::uint8_t last_token = 0;
  bool resynch = false;
  bool clears_negotiated = false;  ///< END_SESSION asked for it: nothing survives a reset

  /// The AppRequest that waits for answer() or refuse().
  struct PendingApp {
    std::uint32_t session = kNoSession;
    AppRequest::Kind kind = AppRequest::Kind::kVendorDefined;
    std::uint16_t standard_id = 0;
    Bytes vendor_id;
    bool large = false;
    std::optional<std::pair<std::uint8_t, std::uint32_t>> chunked;  ///< handle and sequence
  };
  std::optional<PendingApp> app;

  /// What is done to a session once the answer to the request at hand is sealed.
  enum class Afterwards : std::uint8_t { kNothing, kEstablish, kEnd };
  Afterwards afterwards = Afterwards::kNothing;
  std::uint32_t afterwards_session = kNoSession;

  [[nodiscard]] std::uint8_t version() const { return agreed.version; }
  [[nodiscard]] bool can(std::uint32_t own, std::uint32_t peer) const {
    return (agreed.own_flags & own) == own && (agreed.peer_flags & peer) == peer;
  }
  [[nodiscard]] Session* find(std::uint32_t id);
  void end(std::uint32_t id, SessionEnd reason);
  void end_all(SessionEnd reason);
  /// Everything that was agreed on and proved is forgotten.
  void forget();
  /// Whether a reset leaves what was agreed on.
  [[nodiscard]] bool keeps_agreement() const {
    return phase == Phase::kNegotiated && can(wire::kSpdmCapCache, 0) && !clears_negotiated;
  }
  /// The same, but with CACHE_CAP for the negotiated state. Source: DSP0274 1.0, CACHE_CAP, and
  /// 1.1, END_SESSION's Negotiated State Preservation Indicator.
  void reset();

  /// Our slot, nullptr when it is empty. Precondition: hash and asym are chosen.
  [[nodiscard]] const LocalSlot* slot(std::uint8_t number);
  [[nodiscard]] std::uint8_t slot_mask();
  /// Whether requesters have this end's key, and get no certificates. CAPABILITIES says so from
  /// 1.1 on.
  [[nodiscard]] bool has_known_key() const {
    return (config.settings.flags & wire::kSpdmCapPubKeyId) != 0;
  }
  /// What signs for a SlotID: a slot, or kKnownKey. nullptr: there is no such key.
  [[nodiscard]] const LocalSlot* signer(std::uint8_t number);
  /// The same where the message has four bits for it, and none in 1.0.
  [[nodiscard]] const LocalSlot* signer_of_four_bits(std::uint8_t number);
  [[nodiscard]] wire::SpdmSizes sizes() const;
};

/// What a request gets that needs a session and came without.
[[nodiscard]] wire::SpdmErrorCode session_required(const State& state);

/// One request on its way through a handler.
struct Call {
  State& state;
  Session* session = nullptr;  ///< in which it came
  ByteView request;            ///< with what the transport padded
};

// The handlers. Each is called with its table row's demands met: version, phase,
// place and capabilities.
Reply get_version(Call& call);
Reply get_capabilities(Call& call);
Reply negotiate_algorithms(Call& call);
Reply get_digests(Call& call);
Reply get_certificate(Call& call);
Reply challenge(Call& call);
Reply get_measurements(Call& call);
Reply get_extension_log(Call& call);
Reply key_exchange(Call& call);
Reply finish(Call& call);
Reply psk_exchange(Call& call);
Reply psk_finish(Call& call);
Reply heartbeat(Call& call);
Reply key_update(Call& call);
Reply end_session(Call& call);
Reply get_encapsulated_request(Call& call);
Reply deliver_encapsulated_response(Call& call);
Reply get_csr(Call& call);
Reply set_certificate(Call& call);
Reply get_key_pair_info(Call& call);
Reply set_key_pair_info(Call& call);
Reply slot_management(Call& call);
Reply get_endpoint_info(Call& call);
Reply get_supported_event_types(Call& call);
Reply subscribe_event_types(Call& call);

/// Precondition: both algorithms are agreed on.
[[nodiscard]] Provisioning::Key key_of(const State& state, std::uint8_t pair);

/// Of AsymAlgoCapabilities and PqcAsymAlgoCapabilities of a key: one bit in one of them. The second
/// field has PqcAsymAlgo's bits, of which `pqc` is the key's. Source: libspdm
/// include/industry_standard/spdm.h, SPDM_KEY_PAIR_PQC_ASYM_ALGO_CAP_*.
struct KeyPairBits {
  std::uint32_t asym = 0;
  std::uint32_t pqc = 0;
};
[[nodiscard]] KeyPairBits key_pair_bits(crypto::KeyType type, std::uint32_t pqc);

/// Whether a request that puts a chain somewhere names a key pair and a certificate model where the
/// connection has several keys, and neither where it has one. Source: libspdm
/// libspdm_rsp_set_certificate_rsp.c.
[[nodiscard]] bool names_key_pair(const State& state, std::uint8_t key_pair,
                                  std::uint8_t cert_model);
/// The certificates of a chain that a requester wants in a slot. Refused: it makes no sense.
[[nodiscard]] std::expected<ByteView, Refusal> certificates_of(const State& state, ByteView chain);
/// A slot of the agreed algorithm has another chain now, or none.
void note_slot_set(State& state, std::uint8_t slot);
/// What an error of Provisioning means to the peer.
[[nodiscard]] wire::SpdmErrorCode why_not_provisioned(const Error& error);

/// The measurement summary hash of HashType `summary`; empty for none.
/// Refused: the type is unknown, or there are no measurements.
std::expected<Bytes, Refusal> summary_hash(State& state, std::uint8_t summary);

/// The session is authenticated: data keys, heartbeats, application messages.
void establish(State& state, Session& session);

/// SessionPolicy's EventAllPolicy (1.3). Refused: there are no events.
std::expected<bool, Refusal> wants_all_events(const State& state, std::uint8_t policy);
void subscribe_to_all_events(State& state, Session& session);
/// Certificates of these slots are other ones now.
void note_certificates_changed(State& state, std::uint8_t slots);
/// Looks for what changed since the last time. True: SEND_EVENT has something to tell.
[[nodiscard]] bool has_events(State& state, Session& session);
[[nodiscard]] Bytes send_event_request(const State& state, Session& session);
/// EVENT_ACK came: what SEND_EVENT told is known.
void events_acknowledged(Session& session);

/// Starts an encapsulated flow; its first request goes out with the next
/// ENCAPSULATED_REQUEST.
void start_encapsulated(State& state, EncapsulatedFlow::Purpose purpose, std::uint32_t session,
                        std::uint8_t slot);

}  // namespace teeio::spdm::responder
