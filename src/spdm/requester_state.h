#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/hash.h"
#include "spdm/deferred_hash.h"
#include "spdm/framing.h"
#include "spdm/key_schedule.h"
#include "spdm/peer_chain.h"
#include "spdm/requester.h"
#include "spdm/secured_session.h"
#include "spdm/suite.h"
#include "wire/spdm.h"
#include "wire/spdm_certificates.h"

/// Inside of the requester: its state, and the steps that operations are made of.
/// For the requester_*.cc files only.
namespace teeio::spdm::requester {

struct State;

/// One kind of request with its response; an operation is one or more of them.
class Step {
 public:
  enum class Progress : std::uint8_t {
    kDone,
    kAgain,  ///< build() has another request
  };
  virtual ~Step() = default;
  /// The request, a whole SPDM message. Errors: what is missing here, or at the peer.
  virtual Result<Bytes> build(State& state) = 0;
  /// The response, a whole SPDM message of the agreed version and no ERROR.
  virtual Result<Progress> take(State& state, ByteView request, ByteView response) = 0;
  /// The session in which it goes; asked when it is built.
  [[nodiscard]] virtual std::uint32_t session(const State& /*state*/) const { return kNoSession; }
  /// The request was sealed.
  virtual void sealed(State& /*state*/) {}
  /// ERROR is an answer like any other.
  [[nodiscard]] virtual bool takes_errors() const { return false; }
};

struct Session {
  std::uint32_t id = 0;
  bool psk = false;
  bool established = false;
  bool in_the_clear = false;
  std::uint8_t slot = 0;
  std::uint8_t mut_auth = 0;
  std::uint8_t own_slot = 0;  ///< whose key signs FINISH
  std::uint8_t heartbeat_period_s = 0;
  crypto::RunningHash transcript;  ///< TH
  std::optional<KeySchedule> keys;
  std::optional<SecuredSession> channel;
  KeyReporter log;
  Bytes l1l2;                     ///< measurements since the last signature, in this session
  bool peer_update_sent = false;  ///< the responder's own KEY_UPDATE waits for its VerifyNewKey

  explicit Session(crypto::RunningHash th) : transcript(std::move(th)) {}
};

/// A slot of the peer.
struct PeerSlot {
  Bytes digest;  ///< of DIGESTS; empty: not asked
  std::optional<VerifiedChain> verified;
  PeerChain shown;
};

/// What stands for the peer at one of its SlotIDs. Refers to the state.
struct PeerSigner {
  const crypto::PublicKey* key = nullptr;
  const crypto::Digest* hash = nullptr;  ///< of the chain, or of the key that is known
};

/// How the request at hand travels.
struct Transfer {
  enum class Mode : std::uint8_t {
    kWhole,     ///< the request itself
    kSending,   ///< in chunks
    kFetching,  ///< its answer in chunks
    kWaiting,   ///< RESPOND_IF_READY or the request again, after a while
  };
  Mode mode = Mode::kWhole;
  std::uint32_t session = kNoSession;
  Bytes request;           ///< the whole SPDM message
  Bytes answer;            ///< as far as it was fetched
  std::uint32_t size = 0;  ///< of the whole answer
  std::uint8_t handle = 0;
  std::uint32_t sequence = 0;
  std::size_t sent = 0;
  std::uint32_t not_ready = 0;
  std::optional<Bytes> instead;  ///< RESPOND_IF_READY
  std::uint64_t wait_us = 0;
  std::optional<Message> out;  ///< what to carry now
};

struct State {
  explicit State(RequesterConfig given);

  RequesterConfig config;
  std::optional<crypto::TrustAnchors> anchors;
  std::deque<std::unique_ptr<Step>> queue;
  std::optional<Transfer> transfer;
  std::optional<Error> failure;
  std::optional<Requester::PeerError> peer_error;

  // The connection.
  bool connected = false;  ///< ALGORITHMS was accepted
  Negotiated agreed;
  Suite suite;
  std::uint32_t offered_flags = 0;
  bool peer_multi_key = false;
  Bytes vca;
  std::optional<crypto::RunningHash> base;  ///< of message A
  DeferredHash m1m2;
  Bytes l1l2;  ///< since the last signature, outside of sessions
  Bytes multi_key_digests;
  bool digests_may_enter = true;
  std::uint8_t slot_mask = 0;
  std::array<PeerSlot, wire::kSpdmSlots> slots;
  std::optional<crypto::Digest>
      peer_key_hash;  ///< of RequesterConfig::peer_key, if the peer has it
  std::vector<std::unique_ptr<Session>> sessions;
  std::uint32_t opening = kNoSession;  ///< the session whose handshake runs
  std::optional<std::uint32_t> last_opened;
  std::uint16_t last_session_half = 0;
  std::uint8_t chunk_handle = 0;

  // Results.
  MeasurementRecord measured;
  Bytes summary;
  Bytes log;
  Bytes app_answer;
  Bytes raw_answer;
  Bytes events;
  std::string chain_problem;

  [[nodiscard]] std::uint8_t version() const { return agreed.version; }
  [[nodiscard]] bool both(std::uint32_t flags) const {
    return (agreed.own_flags & agreed.peer_flags & flags) == flags;
  }
  [[nodiscard]] bool peer_can(std::uint32_t any_of) const {
    return (agreed.peer_flags & any_of) != 0;
  }
  /// nullopt: the slot's chain was not read; kKnownKey: this end or the peer has no such key.
  [[nodiscard]] std::optional<PeerSigner> signer(std::uint8_t slot) const;
  [[nodiscard]] Session* find(std::uint32_t id);
  [[nodiscard]] const Session* find(std::uint32_t id) const;
  void end(std::uint32_t id, SessionEnd reason);
  /// Forgets what was agreed on, proved and opened; not what is queued.
  void forget();
  void push(std::unique_ptr<Step> step) {
    if (queue.empty()) failure.reset();
    queue.push_back(std::move(step));
  }
  /// Before everything else that is queued, but behind the step at work.
  void push_next(std::unique_ptr<Step> step) { queue.insert(queue.begin() + 1, std::move(step)); }
  [[nodiscard]] wire::SpdmSizes sizes() const;
  /// Bytes of the summary hash that HashType `summary` brings.
  [[nodiscard]] std::size_t summary_size(MeasurementSummary wanted) const;
  /// What the sending of a request does to transcripts.
  void note_request(std::uint8_t code, std::uint32_t session);
  /// ENXIO unless connected.
  [[nodiscard]] Result<void> need_connection() const;
};

// Steps of more than one file.
std::unique_ptr<Step> make_encapsulated(std::uint32_t session, std::uint8_t mut_auth,
                                        std::optional<crypto::RunningHash> challenge_transcript);
std::unique_ptr<Step> make_finish();

/// What a signature of the peer's slot must be over.
Result<void> verify_peer(const State& state, std::uint8_t slot, crypto::SigningPurpose purpose,
                         const crypto::Digest& transcript, ByteView signature);

/// Handshake keys and records of a session whose transcript holds TH1.
void start_handshake(State& state, Session& session, ByteView secret);
/// Data keys: the transcript holds TH2.
void establish(State& state, Session& session);
/// This end's half of a new session's ID; nullopt: as many as the limits allow are open.
std::optional<std::uint16_t> free_session_half(State& state);

/// The answer to an encapsulated request.
Result<Bytes> answer_encapsulated(State& state, Session* session, ByteView request,
                                  std::optional<crypto::RunningHash>& challenge_transcript);

}  // namespace teeio::spdm::requester
