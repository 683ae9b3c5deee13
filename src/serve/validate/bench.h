#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "machine/config.h"
#include "serve/knobs.h"
#include "serve/socket.h"
#include "serve/validate/case.h"
#include "serve/validate/link.h"
#include "wire/ide_km.h"
#include "wire/spdm_vendor_defined.h"
#include "wire/tdisp_messages.h"

namespace teeio::serve::validate {

class GivenKey;
class IdeLinkStream;
class IdeStream;

/// Whom to judge.
struct Target {
  Address address;
  Bus* bus = nullptr;                 ///< in the address's place; outlives the cases
  const IdeStream* stream = nullptr;  ///< what was set up on the bus, if registers can be written
  const IdeLinkStream* link_stream = nullptr;  ///< the same; nothing is set up
  PlatformTransport transport = PlatformTransport::kPciDoe;
  unsigned timeout_ms = 2000;  ///< of one exchange
  /// The TDI; nullopt: the function that IDE_KM's QUERY_RESP names.
  std::optional<std::uint32_t> function_id;
  std::uint8_t port_index = 0;  ///< IDE_KM
  std::uint8_t stream_id = 0;
  PostQuantum post_quantum = PostQuantum::kOffer;
  std::optional<spdm::Psk> psk;  ///< nullopt: cases of pre-shared keys are skipped
  // Keys that one end has of the other beforehand; without them such cases are skipped.
  std::optional<crypto::PublicKey> responder_key;
  std::optional<crypto::PrivateKey> requester_key;
  const machine::Config* machine = nullptr;  ///< what reports must say; outlives the cases
  Watch* watch = nullptr;                    ///< outlives the cases; nullptr: nobody looks
  /// What VERSION lists; nullopt: not asked yet.
  std::optional<std::vector<std::uint8_t>> versions;
  std::string
      refuses_ide_km{};  ///< why suites of PCIe's protocols are skipped; empty: they are not

  /// Errors: as Client::connect().
  [[nodiscard]] std::expected<Client, std::string> connect() const;
  [[nodiscard]] std::string name() const { return bus != nullptr ? bus->name() : address.str(); }
};

/// A secured session on a connection of its own, and what travels in it.
class Session {
 public:
  Session(Link link, std::uint32_t id) : link_(std::move(link)), id_(id) {}

  [[nodiscard]] Link& link() { return link_; }
  [[nodiscard]] std::uint32_t id() const { return id_; }
  /// What the peer says to a message of IDE_KM or TDISP: kAnswer has the message
  /// of the same protocol that came back.
  Reply app(wire::Protocol protocol, ByteView message);

  /// nullopt: no answer that is IDE_KM; last() says what instead.
  std::optional<wire::IdeKmMessage> ide_km(const wire::IdeKmMessage& request);
  [[nodiscard]] const Reply& last() const { return last_; }

 private:
  Link link_;
  std::uint32_t id_;
  Reply last_;
};

/// A TDI over a session of its own. What it was asked to lock is asked to stop at the end:
/// otherwise the session's end would leave a real TDI in ERROR.
class TdiUnderTest {
 public:
  TdiUnderTest(Session session, std::uint32_t function_id)
      : session_(std::move(session)), function_id_(function_id) {}
  TdiUnderTest(TdiUnderTest&& other) noexcept
      : stream_id(other.stream_id),
        session_(std::move(other.session_)),
        function_id_(other.function_id_),
        may_be_locked_(std::exchange(other.may_be_locked_, false)) {}
  TdiUnderTest& operator=(TdiUnderTest&&) = delete;
  ~TdiUnderTest();
  /// The same TDI over session `id` of the same connection; this one is of no use any more.
  [[nodiscard]] TdiUnderTest over(std::uint32_t id);

  [[nodiscard]] Session& session() { return session_; }
  [[nodiscard]] wire::TdispFunctionId function_id() const { return {function_id_}; }
  /// The answer's body, checked to be of this interface and of version 1.0; a
  /// sentence when there is none.
  std::expected<wire::TdispBody, std::string> ask(const wire::TdispBody& request);
  /// Bytes as they are; the same checks.
  std::expected<wire::TdispBody, std::string> ask_raw(ByteView request);
  /// The TDISP_ERROR code to a request; a sentence when it was answered otherwise.
  std::expected<std::uint32_t, std::string> error_to(const wire::TdispBody& request);

  std::expected<wire::TdiState, std::string> state();
  std::expected<wire::TdispNonce, std::string> lock(std::uint16_t flags = 0);
  std::expected<void, std::string> start(const wire::TdispNonce& nonce);
  std::expected<void, std::string> stop();
  /// Lock flags that its capabilities announce.
  std::expected<std::uint16_t, std::string> lock_flags();
  /// The whole report, read in portions of `portion` bytes.
  std::expected<Bytes, std::string> report(std::uint16_t portion = 0x400);

  std::uint8_t stream_id = 0;

 private:
  Session session_;
  std::uint32_t function_id_;
  bool may_be_locked_ = false;  ///< LOCK_INTERFACE was sent, and no STOP_INTERFACE answered since
};

/// What cases start from. Each call opens a connection of its own; what cannot be
/// set up is a Verdict: a failure of the peer, or, where it says that it lacks
/// what is needed, a skip.
class Bench {
 public:
  /// `version`: the SPDM version that requesters offer; 0: all.
  Bench(const Target& target, std::uint8_t version) : target_(target), version_(version) {
    owner_.watch = target.watch;
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  [[nodiscard]] const Target& target() const { return target_; }
  [[nodiscard]] std::uint8_t version() const { return version_; }
  /// The peer lists this version, or has not been asked, and the bench is not of another one.
  [[nodiscard]] bool may_offer(std::uint8_t version) const;

  std::expected<Link, Verdict> link();
  /// Of a requester that takes 42 bytes at once, the least that SPDM allows.
  std::expected<Link, Verdict> small_link();
  /// Of a requester that takes messages of 1 MiB, in chunks of the usual transfers.
  std::expected<Link, Verdict> large_link();
  /// Of a requester that offers what PCI-SIG requires of TEE-IO devices, and nothing else.
  std::expected<Link, Verdict> tee_io_link();
  /// After ALGORITHMS.
  std::expected<Link, Verdict> negotiated();
  std::expected<Link, Verdict> negotiated(std::expected<Link, Verdict> link);
  /// The same, of a requester with a certificate of its own, which answers encapsulated requests.
  std::expected<Link, Verdict> negotiated_with_identity();
  /// The same, of one that offers this version only.
  std::expected<Link, Verdict> negotiated_with_identity(std::uint8_t version);
  /// The same, of one without certificates whose key the responder was given; outlived by `key`.
  std::expected<Link, Verdict> negotiated_with_key(GivenKey& key);
  /// The same, and the chain of slot 0 is read and verified.
  std::expected<Link, Verdict> with_chain();
  std::expected<Link, Verdict> with_chain(std::expected<Link, Verdict> negotiated);
  /// The same, or the responder has none, and this judge its key (PUB_KEY_ID_CAP).
  std::expected<Link, Verdict> with_signer();
  std::expected<Link, Verdict> with_signer(std::expected<Link, Verdict> negotiated);
  /// Where the responder opens none for requesters that do not authenticate themselves, with a
  /// certificate of this judge's own.
  std::expected<Session, Verdict> session();
  std::expected<Session, Verdict> session(std::expected<Link, Verdict> with_signer);
  /// A session in which nothing has been programmed: keys of the target's stream
  /// are stopped.
  std::expected<Session, Verdict> ide_session();
  enum class Keys : std::uint8_t { kNone, kAll };
  /// The TDI, stopped, with the keys of its stream (set 0) running or not.
  std::expected<TdiUnderTest, Verdict> tdi(Keys keys = Keys::kAll);
  std::expected<TdiUnderTest, Verdict> locked_tdi(wire::TdispNonce* nonce = nullptr);
  std::expected<TdiUnderTest, Verdict> running_tdi(wire::TdispNonce* nonce = nullptr);

  /// Programs and starts the six keys of a set; a sentence when one is refused. `stream`:
  /// nullopt, the target's.
  using StreamId = std::optional<std::uint8_t>;
  std::expected<void, std::string> start_keys(Session& session, unsigned key_set,
                                              StreamId stream = {});
  std::expected<void, std::string> program_keys(Session& session, unsigned key_set,
                                                StreamId stream = {});
  std::expected<void, std::string> go_keys(Session& session, unsigned key_set,
                                           StreamId stream = {});
  std::expected<void, std::string> stop_keys(Session& session, unsigned key_set,
                                             StreamId stream = {});

  /// A connection broke or stayed silent: the peer may be gone.
  [[nodiscard]] bool lost() const { return owner_.lost; }
  /// The first connection was already refused: what came before has to do with it.
  [[nodiscard]] bool never_linked() const { return !linked_; }

 private:
  std::expected<Link, Verdict> open(spdm::RequesterConfig config);

  const Target target_;
  const std::uint8_t version_;
  LinkOwner owner_;
  bool linked_ = false;
  bool wants_identity_ = false;  ///< KEY_EXCHANGE was refused, and requesters may have an identity
};

/// The six keys of a set.
[[nodiscard]] std::vector<wire::IdeKeySelector> selectors(unsigned key_set);
/// The peer's flags say that it does this; precondition: negotiated.
[[nodiscard]] bool has_flag(Link& link, std::uint32_t flag);
/// What signs for the peer: slot 0, or the key that this judge was given.
[[nodiscard]] std::uint8_t signing_slot(Link& link);
/// A request that each session answers, and that changes nothing.
[[nodiscard]] Bytes harmless_request(Link& link);

}  // namespace teeio::serve::validate
