#include "serve/validate/spdm_cases.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <vector>

#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::serve::validate {

Reply raw_version(Link& link) { return link.raw(wire::encode_spdm_get_version()); }

Reply raw_capabilities(Link& link, std::uint8_t version) {
  Reply reply = raw_version(link);
  if (!reply.answered()) return reply;
  const std::uint32_t flags =
      version == wire::kSpdmVersion10
          ? 0
          : wire::kSpdmCapCert | wire::kSpdmCapEncrypt | wire::kSpdmCapMac | wire::kSpdmCapKeyEx;
  return link.raw(wire::SpdmGetCapabilities{.version = version,
                                            .flags = flags,
                                            .data_transfer_size = 0x1200,
                                            .max_spdm_message_size = 0x1200}
                      .encode());
}

namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

// --- VERSION --------------------------------------------------------------------

Verdict version_listed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const Reply reply = raw_version(link);
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto versions = wire::SpdmVersionResponse::decode(reply.bytes);
  TEEIO_CASE(versions.has_value(), "VERSION: {}", versions.error().why);
  TEEIO_CASE(std::ranges::find(versions->versions, bench.version()) != versions->versions.end(),
             "{:#04x} is not among the {} versions", bench.version(), versions->versions.size());
  return passed();
}

Verdict version_header(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const Reply reply = raw_version(link);
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto header = wire::SpdmHeader::decode(reply.bytes);
  TEEIO_CASE(header && header->version == wire::kSpdmVersion10, "VERSION's header is not 1.0");
  return passed();
}

Verdict version_wrong_header(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  const Reply reply = link.raw(raw_spdm(0x1f, SpdmCode::kGetVersion));
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kVersionMismatch), "{} came", reply.str());
  return passed();
}

Verdict version_begins_anew(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  Reply reply = raw_version(link);
  TEEIO_CASE(reply.answered(), "GET_VERSION: {} came", reply.str());
  reply = link.raw(raw_spdm(bench.version(), SpdmCode::kGetDigests));
  // No version is negotiated either, and it may be a request that is never answered.
  const bool never =
      !has_flag(link, wire::kSpdmCapCert) && reply.is_error(SpdmErrorCode::kUnsupportedRequest);
  TEEIO_CASE(never || reply.is_error(SpdmErrorCode::kUnexpectedRequest) ||
                 reply.is_error(SpdmErrorCode::kVersionMismatch),
             "GET_DIGESTS: {} came", reply.str());
  return passed();
}

// --- CAPABILITIES -----------------------------------------------------------------

std::expected<wire::SpdmCapabilities, Verdict> capabilities(Bench& bench, Reply& kept) {
  auto link = bench.link();
  if (!link) return std::unexpected(link.error());
  kept = raw_capabilities(*link, bench.version());
  if (!kept.answered()) return std::unexpected(failed(kept.str() + " came"));
  const auto decoded = wire::SpdmCapabilities::decode(kept.bytes);
  if (!decoded) return std::unexpected(failed(std::string(decoded.error().why)));
  return *decoded;
}

Verdict capabilities_answered(Bench& bench) {
  Reply kept;
  TEEIO_CASE_ASSIGN(const wire::SpdmCapabilities caps, capabilities(bench, kept));
  TEEIO_CASE(caps.version == bench.version(), "the header's version is {:#04x}", caps.version);
  return passed();
}

Verdict capabilities_consistent(Bench& bench) {
  Reply kept;
  TEEIO_CASE_ASSIGN(const wire::SpdmCapabilities caps, capabilities(bench, kept));
  const auto has = [&](std::uint32_t flags) { return (caps.flags & flags) != 0; };
  const bool signs = has(wire::kSpdmCapMeasSig);
  TEEIO_CASE(!(signs && has(wire::kSpdmCapMeasNoSig)), "both bits of MEAS_CAP are set");
  // A key that requesters have already is said by PUB_KEY_ID_CAP, from 1.1 on.
  const bool may_know = bench.version() == wire::kSpdmVersion10;
  TEEIO_CASE(!signs || may_know || has(wire::kSpdmCapCert | wire::kSpdmCapPubKeyId),
             "MEAS_CAP signs, and there is no key to check with");
  TEEIO_CASE(
      !has(wire::kSpdmCapChal) || may_know || has(wire::kSpdmCapCert | wire::kSpdmCapPubKeyId),
      "CHAL_CAP without CERT_CAP and PUB_KEY_ID_CAP");
  if (bench.version() == wire::kSpdmVersion10) return passed();
  const bool keys = has(wire::kSpdmCapKeyEx | wire::kSpdmCapPsk | wire::kSpdmCapPskWithContext);
  const bool protects = has(wire::kSpdmCapEncrypt | wire::kSpdmCapMac);
  TEEIO_CASE(keys == protects, "sessions and their protection do not go together");
  TEEIO_CASE(!has(wire::kSpdmCapEncrypt) || has(wire::kSpdmCapMac), "ENCRYPT_CAP without MAC_CAP");
  TEEIO_CASE(keys || !has(wire::kSpdmCapHeartbeat | wire::kSpdmCapKeyUpdate),
             "HBEAT_CAP or KEY_UPD_CAP without sessions");
  TEEIO_CASE(!(has(wire::kSpdmCapCert) && has(wire::kSpdmCapPubKeyId)),
             "CERT_CAP and PUB_KEY_ID_CAP are both set");
  return passed();
}

Verdict capabilities_sizes(Bench& bench) {
  Reply kept;
  TEEIO_CASE_ASSIGN(const wire::SpdmCapabilities caps, capabilities(bench, kept));
  TEEIO_CASE(caps.data_transfer_size >= wire::kSpdmMinDataTransferSize, "DataTransferSize is {}",
             caps.data_transfer_size);
  TEEIO_CASE(caps.max_spdm_message_size >= caps.data_transfer_size,
             "MaxSPDMmsgSize is {}, DataTransferSize {}", caps.max_spdm_message_size,
             caps.data_transfer_size);
  TEEIO_CASE((caps.flags & wire::kSpdmCapChunk) != 0 || bench.version() >= wire::kSpdmVersion14 ||
                 caps.max_spdm_message_size == caps.data_transfer_size,
             "without CHUNK_CAP both sizes must be equal");
  return passed();
}

/// The ERROR to `request` after VERSION.
Verdict after_version(Bench& bench, Bytes request, SpdmErrorCode expected) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  Reply reply = raw_version(link);
  TEEIO_CASE(reply.answered(), "GET_VERSION: {} came", reply.str());
  reply = link.raw(std::move(request));
  TEEIO_CASE(reply.is_error(expected), "{} came", reply.str());
  return passed();
}

Verdict capabilities_version(Bench& bench) {
  return after_version(bench, raw_spdm(0x1f, SpdmCode::kGetCapabilities, 0, 0, Bytes(16)),
                       SpdmErrorCode::kVersionMismatch);
}

Verdict capabilities_short(Bench& bench) {
  return after_version(bench, raw_spdm(bench.version(), SpdmCode::kGetCapabilities, 0, 0, Bytes(4)),
                       SpdmErrorCode::kInvalidRequest);
}

Verdict capabilities_tiny(Bench& bench) {
  return after_version(
      bench,
      wire::SpdmGetCapabilities{
          .version = bench.version(), .data_transfer_size = 41, .max_spdm_message_size = 0x1200}
          .encode(),
      SpdmErrorCode::kInvalidRequest);
}

Verdict capabilities_sizes_reversed(Bench& bench) {
  return after_version(
      bench,
      wire::SpdmGetCapabilities{
          .version = bench.version(), .data_transfer_size = 0x1200, .max_spdm_message_size = 0x1000}
          .encode(),
      SpdmErrorCode::kInvalidRequest);
}

// --- ALGORITHMS -------------------------------------------------------------------

Verdict algorithms_chosen(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  const auto agreed = link.requester().negotiated();
  TEEIO_CASE(agreed.has_value(), "the requester knows of no agreement");
  TEEIO_CASE(agreed->version == bench.version(), "version {:#04x} was agreed", agreed->version);
  const spdm::Algorithms& a = agreed->algorithms;
  for (const std::uint32_t mask :
       {a.base_asym, a.base_hash, a.measurement_hash, std::uint32_t{a.dhe}, std::uint32_t{a.aead}})
    TEEIO_CASE(std::popcount(mask) <= 1, "more than one algorithm was chosen: {:#x}", mask);
  const bool hashes =
      has_flag(link, wire::kSpdmCapCert | wire::kSpdmCapChal | wire::kSpdmCapMeasSig |
                         wire::kSpdmCapKeyEx | wire::kSpdmCapPsk | wire::kSpdmCapPskWithContext);
  TEEIO_CASE(a.base_hash != 0 || !hashes, "no hash was chosen");
  return passed();
}

Verdict algorithms_too_early(Bench& bench) {
  Bytes offer = wire::SpdmNegotiateAlgorithms{.version = bench.version(),
                                              .offer = {.base_asym = 0x80, .base_hash = 2}}
                    .encode();
  return after_version(bench, std::move(offer), SpdmErrorCode::kUnexpectedRequest);
}

Verdict algorithms_length(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  Reply reply = raw_capabilities(link, bench.version());
  TEEIO_CASE(reply.answered(), "GET_CAPABILITIES: {} came", reply.str());
  Bytes offer = wire::SpdmNegotiateAlgorithms{.version = bench.version(),
                                              .offer = {.base_asym = 0x80, .base_hash = 2}}
                    .encode();
  offer[5] = std::byte{0x7f};  // Length
  reply = link.raw(std::move(offer));
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kInvalidRequest), "{} came", reply.str());
  return passed();
}

// --- order, unknown requests ------------------------------------------------------

/// GET_DIGESTS after VERSION and CAPABILITIES, before ALGORITHMS. A responder that never
/// answers it says so whenever it is asked.
Verdict digests_too_early(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.link());
  Reply reply = raw_capabilities(link, bench.version());
  TEEIO_CASE(reply.answered(), "GET_CAPABILITIES: {} came", reply.str());
  const auto caps = wire::SpdmCapabilities::decode(reply.bytes);
  TEEIO_CASE(caps.has_value(), "CAPABILITIES: {}", caps.error().why);
  const bool answers = (caps->flags & wire::kSpdmCapCert) != 0;
  reply = link.raw(raw_spdm(bench.version(), SpdmCode::kGetDigests));
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kUnexpectedRequest) ||
                 (!answers && reply.is_error(SpdmErrorCode::kUnsupportedRequest)),
             "{} came, and CERT_CAP is {}", reply.str(), answers ? "set" : "not set");
  return passed();
}

/// The ERROR to a request of the negotiated version after ALGORITHMS.
Verdict after_algorithms(Bench& bench, Bytes request, std::initializer_list<SpdmErrorCode> any) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  const Reply reply = link.raw(std::move(request));
  const bool fits =
      std::ranges::any_of(any, [&](SpdmErrorCode code) { return reply.is_error(code); });
  TEEIO_CASE(fits, "{} came", reply.str());
  return passed();
}

Verdict other_version(Bench& bench) {
  const std::uint8_t other =
      bench.version() == wire::kSpdmVersion10 ? wire::kSpdmVersion11 : wire::kSpdmVersion10;
  return after_algorithms(bench, raw_spdm(other, SpdmCode::kGetDigests),
                          {SpdmErrorCode::kVersionMismatch});
}

Verdict unknown_request(Bench& bench) {
  constexpr std::uint8_t kUnused = 0xc3;
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  const Reply reply = link.raw(raw_spdm(bench.version(), SpdmCode{kUnused}));
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kUnsupportedRequest), "{} came", reply.str());
  TEEIO_CASE(reply.data == kUnused, "the ERROR names request {:#04x}", reply.data);
  const auto under = std::to_integer<unsigned>(reply.bytes.front());
  TEEIO_CASE(under == bench.version(), "the ERROR travels under SPDM version {:#04x}", under);
  return passed();
}

Verdict response_as_request(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated());
  const Reply reply = link.raw(raw_spdm(bench.version(), SpdmCode::kDigests));
  TEEIO_CASE(reply.refused(), "{} came", reply.str());
  return passed();
}

/// SessionRequired came with SPDM 1.2; before, Unspecified may say the same.
Verdict finish_alone(Bench& bench) {
  return after_algorithms(bench, raw_spdm(bench.version(), SpdmCode::kFinish, 0, 0, Bytes(48)),
                          {SpdmErrorCode::kUnexpectedRequest, SpdmErrorCode::kUnsupportedRequest,
                           SpdmErrorCode::kSessionRequired, SpdmErrorCode::kInvalidRequest,
                           SpdmErrorCode::kUnspecified});
}

Verdict heartbeat_in_clear(Bench& bench) {
  return after_algorithms(bench, raw_spdm(bench.version(), SpdmCode::kHeartbeat),
                          {SpdmErrorCode::kUnexpectedRequest, SpdmErrorCode::kUnsupportedRequest,
                           SpdmErrorCode::kSessionRequired, SpdmErrorCode::kUnspecified});
}

Verdict respond_if_ready_alone(Bench& bench) {
  return after_algorithms(bench,
                          raw_spdm(bench.version(), SpdmCode::kRespondIfReady,
                                   static_cast<std::uint8_t>(SpdmCode::kGetDigests), 0x77),
                          {SpdmErrorCode::kUnexpectedRequest, SpdmErrorCode::kInvalidRequest,
                           SpdmErrorCode::kUnsupportedRequest});
}

Verdict chunk_get_alone(Bench& bench) {
  return after_algorithms(bench, raw_spdm(bench.version(), SpdmCode::kChunkGet, 0, 1, Bytes(2)),
                          {SpdmErrorCode::kUnexpectedRequest, SpdmErrorCode::kInvalidRequest,
                           SpdmErrorCode::kUnsupportedRequest});
}

Verdict key_exchange_in_10(Bench& bench) {
  if (bench.version() != wire::kSpdmVersion10) return skipped("of SPDM 1.0 only");
  return after_algorithms(bench,
                          raw_spdm(bench.version(), SpdmCode::kKeyExchange, 0, 0, Bytes(128)),
                          {SpdmErrorCode::kUnsupportedRequest});
}

constexpr auto k11 = wire::kSpdmVersion11;
constexpr auto k12 = wire::kSpdmVersion12;

constexpr Case kSpdmCases[] = {
    {"version.listed", "VERSION lists the version", "DSP0274, VERSION", version_listed},
    {"version.header", "VERSION travels under SPDM version 1.0", "DSP0274, VERSION",
     version_header},
    {"version.mismatch", "GET_VERSION under another major or minor version gets VersionMismatch",
     "DSP0274, GET_VERSION", version_wrong_header},
    {"version.anew", "GET_VERSION ends what was negotiated before", "DSP0274, GET_VERSION",
     version_begins_anew},
    {"capabilities.answer", "GET_CAPABILITIES is answered in its version", "DSP0274, CAPABILITIES",
     capabilities_answered},
    {"capabilities.flags", "Flags that need each other come together", "DSP0274, CAPABILITIES",
     capabilities_consistent},
    {"capabilities.sizes", "DataTransferSize and MaxSPDMmsgSize keep their bounds",
     "DSP0274 1.2, CAPABILITIES", capabilities_sizes, k12},
    {"capabilities.mismatch", "GET_CAPABILITIES under a version not offered gets VersionMismatch",
     "DSP0274, GET_CAPABILITIES", capabilities_version},
    {"capabilities.short", "A short GET_CAPABILITIES gets InvalidRequest",
     "DSP0274, GET_CAPABILITIES", capabilities_short, k11},
    {"capabilities.tiny", "DataTransferSize below 42 gets InvalidRequest",
     "DSP0274 1.2, GET_CAPABILITIES", capabilities_tiny, k12},
    {"capabilities.reversed", "MaxSPDMmsgSize below DataTransferSize gets InvalidRequest",
     "DSP0274 1.2, GET_CAPABILITIES", capabilities_sizes_reversed, k12},
    {"algorithms.one", "ALGORITHMS has at most one algorithm of each kind", "DSP0274, ALGORITHMS",
     algorithms_chosen},
    {"algorithms.early", "NEGOTIATE_ALGORITHMS before GET_CAPABILITIES gets UnexpectedRequest",
     "DSP0274, NEGOTIATE_ALGORITHMS", algorithms_too_early},
    {"algorithms.length", "A Length other than the message's gets InvalidRequest",
     "DSP0274, NEGOTIATE_ALGORITHMS", algorithms_length},
    {"order.digests", "GET_DIGESTS before ALGORITHMS gets UnexpectedRequest",
     "DSP0274, message sequence", digests_too_early},
    {"order.version", "A request under another version than the negotiated gets VersionMismatch",
     "DSP0274, version negotiation", other_version},
    {"order.unknown",
     "An unknown request gets UnsupportedRequest, with its code as data and the negotiated version",
     "DSP0274, ERROR", unknown_request},
    {"order.response", "A response code is no request", "DSP0274, request codes",
     response_as_request},
    {"order.finish", "FINISH without KEY_EXCHANGE is refused", "DSP0274, FINISH", finish_alone,
     k11},
    {"order.heartbeat", "HEARTBEAT outside of a session is refused", "DSP0274, HEARTBEAT",
     heartbeat_in_clear, k11},
    {"order.ready", "RESPOND_IF_READY with a token that nobody gave is refused",
     "DSP0274, RESPOND_IF_READY", respond_if_ready_alone},
    {"order.chunk", "CHUNK_GET without a large response is refused", "DSP0274 1.2, CHUNK_GET",
     chunk_get_alone, k12},
    {"order.no_sessions", "SPDM 1.0 has no KEY_EXCHANGE", "DSP0274 1.0, request codes",
     key_exchange_in_10},
};

std::vector<Case> joined() {
  std::vector<Case> all(std::begin(kSpdmCases), std::end(kSpdmCases));
  for (const auto more : {spdm_attestation_cases(), spdm_log_cases(), spdm_chunk_cases()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

std::span<const Case> spdm_cases() {
  static const std::vector<Case> all = joined();
  return all;
}

}  // namespace teeio::serve::validate
