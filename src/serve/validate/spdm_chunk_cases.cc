// Large messages in chunks.
#include <fmt/format.h>

#include <algorithm>

#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "serve/validate/spdm_cases.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_chunk.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmErrorCode;

constexpr std::uint32_t kSmallest = wire::kSpdmMinDataTransferSize;
constexpr std::size_t kMaxPadding = 3;  // of DOE, which has no length in bytes
constexpr std::uint8_t kHandle = 7;

/// VERSION and CAPABILITIES of a requester that takes kSmallest bytes at once.
std::expected<Link, Verdict> small_requester(Bench& bench) {
  auto link = bench.link();
  if (!link) return link;
  Reply reply = raw_version(*link);
  if (!reply.answered()) return std::unexpected(failed("GET_VERSION: " + reply.str() + " came"));
  reply = link->raw(wire::SpdmGetCapabilities{.version = bench.version(),
                                              .flags = wire::kSpdmCapChunk,
                                              .data_transfer_size = kSmallest,
                                              .max_spdm_message_size = 0x1200}
                        .encode());
  const auto caps = wire::SpdmCapabilities::decode(reply.bytes);
  if (!reply.answered() || !caps)
    return std::unexpected(failed("GET_CAPABILITIES: " + reply.str() + " came"));
  if ((caps->flags & wire::kSpdmCapChunk) == 0)
    return std::unexpected(skipped("CHUNK_CAP is not set"));
  return link;
}

/// What a responder with MULTI_KEY_CAP=01b insists on. Source: libspdm libspdm_rsp_algorithms.c,
/// libspdm_get_response_algorithms().
std::uint8_t other_params(const Link& link) {
  const Bytes* const heard = link.heard().last(wire::SpdmCode::kCapabilities);
  const auto caps = heard != nullptr ? wire::SpdmCapabilities::decode(*heard)
                                     : fail(Errno::kInval, "CAPABILITIES did not come");
  const bool multi_key = caps && caps->version >= wire::kSpdmVersion13 &&
                         (caps->flags & wire::kSpdmCapMultiKeyOnly) != 0;
  return static_cast<std::uint8_t>(wire::kSpdmOpaqueFormat1 |
                                   (multi_key ? wire::kSpdmMultiKeyConn : 0));
}

/// The response behind an ERROR LargeResponse, by CHUNK_GET; a sentence when it does not come.
std::expected<Bytes, std::string> fetch(Link& link, std::uint8_t version, std::uint8_t handle) {
  Bytes whole;
  for (std::uint32_t sequence = 0; sequence < 0x400; ++sequence) {
    wire::SpdmChunkGet get;
    get.version = version;
    get.handle = handle;
    get.sequence = sequence;
    const Reply reply = link.raw(get.encode());
    if (!reply.answered()) return std::unexpected("CHUNK_GET: " + reply.str() + " came");
    if (reply.bytes.size() > kSmallest + kMaxPadding)
      return std::unexpected(fmt::format("a chunk's message has {} bytes, {} are taken",
                                         reply.bytes.size(), kSmallest));
    const auto chunk = wire::SpdmChunkResponse::decode(reply.bytes);
    if (!chunk) return std::unexpected(std::string(chunk.error().why));
    whole.insert(whole.end(), chunk->chunk.begin(), chunk->chunk.end());
    if (chunk->last) return whole;
  }
  return std::unexpected("the chunks have no end");
}

Verdict algorithms_in_chunks(Bench& bench) {
  const spdm::Algorithms all =
      with_post_quantum(spdm::Algorithms::all().with_post_quantum(), bench.target().post_quantum);
  const bool pqc = bench.version() >= wire::kSpdmVersion14;
  if (all.base_asym == 0 && !pqc) return skipped("only post-quantum algorithms are offered");
  TEEIO_CASE_ASSIGN(Link link, small_requester(bench));
  // A structure that offers nothing is left out.
  const auto table = [](std::uint16_t bits, bool known = true) {
    return known && bits != 0 ? std::optional(bits) : std::nullopt;
  };
  const Bytes request =
      wire::SpdmNegotiateAlgorithms{
          .version = bench.version(),
          .offer = {.measurement_specification = wire::kSpdmMeasurementDmtf,
                    .other_params = other_params(link),
                    .base_asym = all.base_asym,
                    .base_hash = all.base_hash,
                    .pqc_asym = pqc ? all.pqc_asym : 0,
                    .tables = {.dhe = table(all.dhe),
                               .aead = all.aead,
                               .req_base_asym = table(all.req_base_asym),
                               .key_schedule = all.key_schedule,
                               .req_pqc_asym = table(all.req_pqc_asym, pqc),
                               .kem = table(all.kem, pqc)}}}
          .encode();
  // The smallest chunks that a responder must take: the first fills a transfer, and so does the
  // second where both families are offered.
  constexpr std::size_t kFirst = kSmallest - wire::SpdmChunkSend::kHeaderSize - 4;
  static_assert(kFirst + kSmallest - wire::SpdmChunkSend::kHeaderSize >= 32 + 6 * 4);
  Bytes response;
  for (std::uint16_t sequence = 0; sequence < 2; ++sequence) {
    wire::SpdmChunkSend send;
    send.version = bench.version();
    send.handle = kHandle;
    send.sequence = sequence;
    send.large_size = static_cast<std::uint32_t>(request.size());
    send.last = sequence == 1;
    send.chunk =
        sequence == 0 ? ByteView(request).first(kFirst) : ByteView(request).subspan(kFirst);
    const Reply reply = link.raw(send.encode());
    // DSP0274 1.2.1, CHUNK_SEND: an answer that does not fit into the acknowledgement's transfer
    // is announced in its place.
    if (send.last && reply.is_error(SpdmErrorCode::kLargeResponse)) {
      response = reply.bytes;
      break;
    }
    TEEIO_CASE(reply.answered(), "CHUNK_SEND {}: {} came", sequence, reply.str());
    const auto ack = wire::SpdmChunkSendAck::decode(reply.bytes);
    TEEIO_CASE(ack.has_value(), "CHUNK_SEND {}: {}", sequence, ack.error().why);
    TEEIO_CASE(ack->handle == kHandle && ack->sequence == sequence && !ack->early_error,
               "CHUNK_SEND_ACK {} is of another chunk or has an early error", sequence);
    response.assign(ack->response.begin(), ack->response.end());
  }
  if (const auto error = wire::SpdmError::decode(response)) {
    TEEIO_CASE(error->code == std::to_underlying(SpdmErrorCode::kLargeResponse) &&
                   !error->extended.empty(),
               "the acknowledgement has ERROR {}", wire::spdm_error_name(error->code));
    auto fetched =
        fetch(link, bench.version(), std::to_integer<std::uint8_t>(error->extended.front()));
    TEEIO_CASE(fetched.has_value(), "{}", fetched.error());
    response = std::move(*fetched);
  }
  const auto chosen = wire::SpdmAlgorithms::decode(response);
  TEEIO_CASE(chosen.has_value(), "ALGORITHMS: {}", chosen.error().why);
  return passed();
}

Verdict everything_in_chunks(Bench& bench) {
  // Without CHUNK_CAP, ALGORITHMS itself may be too large for such a requester.
  if (const auto able = small_requester(bench); !able) return able.error();
  auto made = bench.small_link();
  TEEIO_CASE_ASSIGN(Link link, bench.negotiated(std::move(made)));
  if (!has_flag(link, wire::kSpdmCapCert)) return skipped("CERT_CAP is not set");
  link.requester().get_certificates(0);
  if (has_flag(link, wire::kSpdmCapChal)) link.requester().challenge(0);
  const Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  return passed();
}

/// All of a chain is asked for at once, with the offsets of 32 bits that 1.4 has: where it is
/// longer than a transfer, it comes in chunks, or a part of it comes.
Verdict whole_chain(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_chain(bench.negotiated(bench.large_link())));
  for (const std::uint32_t flag : {wire::kSpdmCapChunk, wire::kSpdmCapLargeResp})
    if (!has_flag(link, flag)) return skipped("CHUNK_CAP and LARGE_RESP_CAP are not both set");
  const Bytes& chain = link.requester().peer_chain(0)->chain;
  wire::SpdmGetCertificate request;
  request.version = bench.version();
  request.large = true;
  request.length = static_cast<std::uint32_t>(chain.size());
  const Reply reply = link.raw(request.encode());
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto answer = wire::SpdmCertificate::decode(reply.bytes);
  TEEIO_CASE(answer.has_value(), "CERTIFICATE: {}", answer.error().why);
  TEEIO_CASE(answer->large && !answer->portion.empty() && answer->portion.size() <= chain.size() &&
                 std::ranges::equal(answer->portion, ByteView(chain).first(answer->portion.size())),
             "{} bytes came, which do not begin the chain", answer->portion.size());
  TEEIO_CASE(answer->portion.size() + answer->remainder == chain.size(),
             "{} bytes came and {} are left, of {}", answer->portion.size(), answer->remainder,
             chain.size());
  return passed();
}

constexpr Case kSpdmChunkCases[] = {
    {"chunk.algorithms", "NEGOTIATE_ALGORITHMS and its answer may travel in chunks",
     "DSP0274 1.2, CHUNK_SEND", algorithms_in_chunks, wire::kSpdmVersion12},
    {"chunk.answers", "Answers above the requester's DataTransferSize come in chunks of that size",
     "DSP0274 1.2, CHUNK_GET", everything_in_chunks, wire::kSpdmVersion12},
    {"chunk.certificate", "A chain that is asked for at once comes whole, or as much as there is",
     "DSP0274 1.4, GET_CERTIFICATE, CHUNK_GET", whole_chain, wire::kSpdmVersion14},
};

}  // namespace

std::span<const Case> spdm_chunk_cases() { return kSpdmChunkCases; }

}  // namespace teeio::serve::validate
