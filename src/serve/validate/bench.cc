#include "serve/validate/bench.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "serve/validate/own_keys.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"

namespace teeio::serve::validate {
namespace {

constexpr int kRetryMs = 100;
constexpr std::size_t kMaxChain = std::size_t{16} << 20U;  // the judge's own limit
constexpr std::uint32_t kMostWaits = 10;  // for one answer: of Busy half a second in all
constexpr std::size_t kMaxSessions = 64;  // more than cases open: the peer's limit is looked for

spdm::RequesterConfig config_for(const Target& target, std::uint8_t version) {
  spdm::RequesterConfig config;
  config.settings.transport = spdm_transport(target.transport);
  config.settings.algorithms =
      with_post_quantum(spdm::Algorithms::all().with_post_quantum(), target.post_quantum);
  // A post-quantum signature is longer than the messages of other devices.
  constexpr std::uint32_t kMaxMessage = 0x28000;
  if (config.settings.algorithms.pqc_asym != 0) config.settings.max_message_size = kMaxMessage;
  config.settings.limits.sessions = kMaxSessions;
  config.settings.limits.certificate_chain_bytes = kMaxChain;
  config.settings.limits.not_ready = kMostWaits;
  if (version != 0) config.settings.versions = {version};
  config.peer_key = target.responder_key;
  return config;
}

/// A key that nobody else uses. What it protects does not exist.
wire::IdeKey sample_key(wire::IdeKeySelector selector) {
  wire::IdeKey key;
  key.key.fill(std::byte{0x5a});
  key.key.front() = std::byte{selector.raw};
  return key;
}

/// What a case starts from cannot be reached.
std::unexpected<Verdict> unmet(const char* what, const std::string& why) {
  Verdict verdict = failed(fmt::format("{}: {}", what, why));
  verdict.set_up = true;
  return std::unexpected(std::move(verdict));
}
std::unexpected<Verdict> unmet(const char* what, const Reply& reply) {
  return unmet(what, reply.str());
}

}  // namespace

std::expected<Client, std::string> Target::connect() const {
  if (bus != nullptr) return Client::over(*bus, transport, timeout_ms);
  return Client::connect(address, transport, timeout_ms);
}

// --- Session ------------------------------------------------------------------

Reply Session::app(wire::Protocol protocol, ByteView message) {
  static constexpr std::array kPciSig{std::byte{1}, std::byte{0}};
  Writer payload;
  payload.le(std::to_underlying(protocol)).bytes(message);
  link_.requester().send_app(id_, wire::VendorDefined::kPciSigStandardId, kPciSig, payload.take());
  Reply reply = link_.run();
  if (!reply.answered()) return reply;
  const ByteView answer = link_.requester().app_answer();
  if (answer.empty() || answer.front() != std::byte{std::to_underlying(protocol)}) {
    reply.kind = Reply::Kind::kRefused;
    reply.why = "the answer is of another protocol";
    return reply;
  }
  reply.bytes.assign(answer.begin() + 1, answer.end());
  return reply;
}

std::optional<wire::IdeKmMessage> Session::ide_km(const wire::IdeKmMessage& request) {
  last_ = app(wire::Protocol::kIdeKm, wire::encode_ide_km(request));
  if (!last_.answered()) return std::nullopt;
  auto message = wire::decode_ide_km(last_.bytes);
  if (message) return std::move(*message);
  last_.kind = Reply::Kind::kRefused;
  last_.why = message.error().why;
  return std::nullopt;
}

// --- Bench --------------------------------------------------------------------

bool Bench::may_offer(std::uint8_t version) const {
  if (version_ != 0 && version != version_) return false;
  return !target_.versions ||
         std::ranges::find(*target_.versions, version) != target_.versions->end();
}

std::expected<Link, Verdict> Bench::open(spdm::RequesterConfig config) {
  auto client = target_.connect();
  for (unsigned waited_ms = 0; !client && waited_ms < target_.timeout_ms;
       waited_ms += unsigned{kRetryMs}) {
    (void)::poll(nullptr, 0, kRetryMs);  // whoever restarts the responder may be at it
    client = target_.connect();
  }
  if (!client) owner_.lost = true;
  if (!client) return std::unexpected(failed(client.error()));
  linked_ = true;
  return Link(std::move(*client), std::move(config), owner_);
}

std::expected<Link, Verdict> Bench::link() { return open(config_for(target_, version_)); }

std::expected<Link, Verdict> Bench::small_link() {
  spdm::RequesterConfig config = config_for(target_, version_);
  config.settings.data_transfer_size = wire::kSpdmMinDataTransferSize;
  return open(std::move(config));
}

std::expected<Link, Verdict> Bench::large_link() {
  spdm::RequesterConfig config = config_for(target_, version_);
  config.settings.max_message_size = 1U << 20U;
  return open(std::move(config));
}

std::expected<Link, Verdict> Bench::tee_io_link() {
  spdm::RequesterConfig config = config_for(target_, version_);
  config.settings.algorithms = {
      .base_asym = std::to_underlying(wire::SpdmAsym::kRsaSsa3072) |
                   std::to_underlying(wire::SpdmAsym::kEcdsaP256) |
                   std::to_underlying(wire::SpdmAsym::kEcdsaP384),
      .base_hash =
          std::to_underlying(wire::SpdmHash::kSha256) | std::to_underlying(wire::SpdmHash::kSha384),
      .dhe = static_cast<std::uint16_t>(std::to_underlying(wire::SpdmDhe::kSecp256r1) |
                                        std::to_underlying(wire::SpdmDhe::kSecp384r1)),
      .aead = std::to_underlying(wire::SpdmAead::kAes256Gcm),
      .other_params = wire::kSpdmOpaqueFormat1};
  return open(std::move(config));
}

std::expected<Link, Verdict> Bench::negotiated() { return negotiated(link()); }

std::expected<Link, Verdict> Bench::negotiated_with_identity() {
  return negotiated_with_identity(version_);
}

std::expected<Link, Verdict> Bench::negotiated_with_identity(std::uint8_t version) {
  const auto with_keys = [&](std::uint16_t req_base_asym) {
    spdm::RequesterConfig config = config_for(target_, version);
    authenticate(config, req_base_asym);
    return negotiated(open(std::move(config)));
  };
  auto made = with_keys(kOwnEcdsa);
  if (made || !made.error().set_up) return made;
  // A responder may want other keys of requesters than ECDSA's, and refuse what it has nothing in
  // common with. Source: libspdm libspdm_rsp_algorithms.c, libspdm_get_response_algorithms().
  auto with_rsa = with_keys(kOwnRsa);
  if (with_rsa || !negotiated()) return with_rsa;
  return std::unexpected(
      skipped("the responder takes neither ECDSA nor RSA of requesters (ReqBaseAsymAlg)"));
}

std::expected<Link, Verdict> Bench::negotiated_with_key(GivenKey& key) {
  spdm::RequesterConfig config = config_for(target_, version_);
  authenticate(config, key);
  auto made = negotiated(open(std::move(config)));
  if (made || !made.error().set_up || !negotiated()) return made;
  return std::unexpected(
      skipped("the responder takes no requester with this key (ReqBaseAsymAlg, PUB_KEY_ID_CAP)"));
}

std::expected<Link, Verdict> Bench::negotiated(std::expected<Link, Verdict> made) {
  if (!made) return made;
  const bool before_pqc = version_ != 0 && version_ < wire::kSpdmVersion14;
  if (before_pqc && config_for(target_, version_).settings.algorithms.base_asym == 0)
    return std::unexpected(skipped(
        "only post-quantum algorithms are offered, and SPDM 1.4 is the first that has any"));
  made->requester().connect();
  const Reply reply = made->run();
  if (!reply.answered()) return unmet("negotiation", reply);
  return made;
}

std::expected<Link, Verdict> Bench::with_chain() { return with_chain(negotiated()); }

std::expected<Link, Verdict> Bench::with_chain(std::expected<Link, Verdict> made) {
  if (!made) return made;
  if (!has_flag(*made, wire::kSpdmCapCert))
    return std::unexpected(skipped("the responder has no certificates (CERT_CAP)"));
  made->requester().get_certificates(0);
  const Reply reply = made->run();
  if (reply.too_large)
    return std::unexpected(
        skipped(fmt::format("this judge cannot read the responder's chain: {}", reply.why)));
  const std::string& problem = made->requester().chain_problem();
  if (!reply.answered() && !problem.empty())
    return unmet("certificates of slot 0", fmt::format("{}: {}", reply.str(), problem));
  if (!reply.answered()) return unmet("certificates of slot 0", reply);
  return made;
}

std::expected<Link, Verdict> Bench::with_signer() { return with_signer(negotiated()); }

std::expected<Link, Verdict> Bench::with_signer(std::expected<Link, Verdict> made) {
  if (!made || !has_flag(*made, wire::kSpdmCapPubKeyId)) return with_chain(std::move(made));
  if (target_.responder_key) return made;
  return std::unexpected(
      skipped("the responder has no certificates (PUB_KEY_ID_CAP), and --responder-key is not "
              "given"));
}

std::expected<Session, Verdict> Bench::session() {
  if (target_.transport == PlatformTransport::kNone)
    return std::unexpected(skipped("transport none carries no sessions"));
  wants_identity_ = false;
  auto made = session(with_signer());
  if (made || !wants_identity_) return made;
  auto known = session(with_signer(negotiated_with_identity()));
  return known ? std::move(known) : std::move(made);
}

std::expected<Session, Verdict> Bench::session(std::expected<Link, Verdict> made) {
  if (!made) return std::unexpected(made.error());
  if (!has_flag(*made, wire::kSpdmCapKeyEx))
    return std::unexpected(skipped("the responder opens no sessions (KEY_EX_CAP)"));
  made->requester().open_session({.slot = signing_slot(*made)});
  const Reply reply = made->run();
  const auto id = made->requester().last_session();
  wants_identity_ = reply.kind == Reply::Kind::kError && has_flag(*made, wire::kSpdmCapMutAuth) &&
                    has_flag(*made, wire::kSpdmCapEncap);
  if (!reply.answered() || !id) return unmet("KEY_EXCHANGE and FINISH", reply);
  return Session(std::move(*made), *id);
}

std::expected<Session, Verdict> Bench::ide_session() {
  auto made = session();
  if (!made) return made;
  // Stopping what does not run is no error in most devices; in the others it leaves
  // what was there, and what was there was nothing.
  for (const unsigned set : {0U, 1U}) (void)stop_keys(*made, set);
  return made;
}

std::expected<TdiUnderTest, Verdict> Bench::tdi(Keys keys) {
  auto made = ide_session();
  if (!made) return std::unexpected(made.error());
  std::uint32_t function_id = target_.function_id.value_or(0);
  if (!target_.function_id) {
    const auto answer = made->ide_km(wire::IdeKmQuery{target_.port_index});
    const auto* query = answer ? std::get_if<wire::IdeKmQueryResp>(&*answer) : nullptr;
    if (query == nullptr) return unmet("QUERY, to learn the function", made->last());
    const Bdf bdf = Bdf::from_rid(static_cast<std::uint16_t>(query->bus << 8U | query->dev_func),
                                  query->segment);
    function_id = wire::TdispFunctionId::of(bdf).raw;
  }
  if (keys == Keys::kAll)
    if (const auto started = start_keys(*made, 0); !started)
      return unmet("keys of the stream", started.error());
  TdiUnderTest tdi(std::move(*made), function_id);
  tdi.stream_id = target_.stream_id;
  // Some devices refuse to stop what is unlocked already; a case asks that itself.
  (void)tdi.stop();
  const auto state = tdi.state();
  if (!state) return unmet("set-up", state.error());
  if (*state != wire::TdiState::kConfigUnlocked)
    return unmet("set-up", "the TDI stays in " + std::string(wire::tdi_state_name(*state)));
  return tdi;
}

std::expected<TdiUnderTest, Verdict> Bench::locked_tdi(wire::TdispNonce* nonce) {
  auto made = tdi();
  if (!made) return made;
  const auto locked = made->lock();
  if (!locked) return unmet("set-up", locked.error());
  if (nonce != nullptr) *nonce = *locked;
  return made;
}

std::expected<TdiUnderTest, Verdict> Bench::running_tdi(wire::TdispNonce* nonce) {
  wire::TdispNonce mine{};
  auto made = locked_tdi(&mine);
  if (!made) return made;
  if (const auto started = made->start(mine); !started) return unmet("set-up", started.error());
  if (nonce != nullptr) *nonce = mine;
  return made;
}

std::expected<void, std::string> Bench::program_keys(Session& session, unsigned key_set,
                                                     StreamId stream) {
  for (const wire::IdeKeySelector selector : selectors(key_set)) {
    const auto answer = session.ide_km(wire::IdeKmKeyProg{
        stream.value_or(target_.stream_id), selector, target_.port_index, sample_key(selector)});
    const auto* ack = answer ? std::get_if<wire::IdeKmKpAck>(&*answer) : nullptr;
    if (ack == nullptr)
      return std::unexpected(
          fmt::format("KEY_PROG {:#04x}: {}", selector.raw, session.last().str()));
    if (ack->status != 0)
      return std::unexpected(
          fmt::format("KEY_PROG {:#04x}: {}", selector.raw, wire::kp_ack_why(ack->status)));
  }
  return {};
}

namespace {

template <class Request>
std::expected<void, std::string> set_keys(Session& session, std::uint8_t port, std::uint8_t stream,
                                          unsigned key_set, const char* what) {
  for (const wire::IdeKeySelector selector : selectors(key_set)) {
    const auto answer = session.ide_km(Request{stream, selector, port});
    const auto* ack = answer ? std::get_if<wire::IdeKmKGoStopAck>(&*answer) : nullptr;
    if (ack == nullptr)
      return std::unexpected(
          fmt::format("{} {:#04x}: {}", what, selector.raw, session.last().str()));
    if (ack->stream_id != stream || ack->port_index != port || ack->selector != selector)
      return std::unexpected(
          fmt::format("{} {:#04x}: the answer names another key", what, selector.raw));
  }
  return {};
}

}  // namespace

std::expected<void, std::string> Bench::go_keys(Session& session, unsigned key_set,
                                                StreamId stream) {
  return set_keys<wire::IdeKmKSetGo>(session, target_.port_index,
                                     stream.value_or(target_.stream_id), key_set, "K_SET_GO");
}

std::expected<void, std::string> Bench::stop_keys(Session& session, unsigned key_set,
                                                  StreamId stream) {
  return set_keys<wire::IdeKmKSetStop>(session, target_.port_index,
                                       stream.value_or(target_.stream_id), key_set, "K_SET_STOP");
}

std::expected<void, std::string> Bench::start_keys(Session& session, unsigned key_set,
                                                   StreamId stream) {
  if (const auto programmed = program_keys(session, key_set, stream); !programmed)
    return programmed;
  return go_keys(session, key_set, stream);
}

std::vector<wire::IdeKeySelector> selectors(unsigned key_set) {
  std::vector<wire::IdeKeySelector> list;
  for (const auto direction : {wire::IdeDirection::kRx, wire::IdeDirection::kTx})
    for (const auto sub_stream : {wire::IdeSubStream::kPosted, wire::IdeSubStream::kNonPosted,
                                  wire::IdeSubStream::kCompletion})
      list.push_back(wire::IdeKeySelector::make(key_set, direction, sub_stream));
  return list;
}

bool has_flag(Link& link, std::uint32_t flag) {
  const auto negotiated = link.requester().negotiated();
  return negotiated && (negotiated->peer_flags & flag) != 0;
}

std::uint8_t signing_slot(Link& link) {
  return has_flag(link, wire::kSpdmCapPubKeyId) ? spdm::kKnownKey : std::uint8_t{0};
}

Bytes harmless_request(Link& link) {
  const auto agreed = link.requester().negotiated();
  const std::uint8_t version = agreed ? agreed->version : wire::kSpdmVersion12;
  if (has_flag(link, wire::kSpdmCapCert)) return raw_spdm(version, wire::SpdmCode::kGetDigests);
  if (has_flag(link, wire::kSpdmCapMeasNoSig | wire::kSpdmCapMeasSig)) {
    wire::SpdmGetMeasurements count;
    count.version = version;
    count.operation = wire::SpdmGetMeasurements::kCountOnly;
    return count.encode();
  }
  return raw_spdm(version, wire::SpdmCode::kHeartbeat);
}

}  // namespace teeio::serve::validate
