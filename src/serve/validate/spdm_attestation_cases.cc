#include <optional>
#include <set>

#include "crypto/chain_problem.h"
#include "serve/capture.h"
#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "serve/validate/spdm_cases.h"
#include "spdm/suite.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"

namespace teeio::serve::validate {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

constexpr std::size_t kRandomBytes = 32;

Verdict chain_verifies(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_chain());
  const spdm::PeerChain* const chain = link.requester().peer_chain(0);
  TEEIO_CASE(chain != nullptr && chain->verified, "the chain does not hold");
  return passed();
}

/// DSP0274 leaves it to requesters, who may have no clock: a remark, no failure.
Verdict chain_valid_now(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_chain());
  const spdm::PeerChain* const shown = link.requester().peer_chain(0);
  TEEIO_CASE(shown != nullptr, "there is no chain");
  const auto agreed = link.requester().negotiated();
  const auto hash = agreed ? spdm::hash_of(agreed->algorithms.base_hash) : std::nullopt;
  TEEIO_CASE(hash.has_value(), "no hash is agreed on");
  const auto chain = crypto::SpdmCertificateChain::parse(shown->chain, *hash);
  TEEIO_CASE(chain.has_value(), "the chain cannot be read");
  const auto problem = crypto::validity_problem(
      chain->chain, static_cast<std::int64_t>(world_time_ns() / 1'000'000'000U));
  return problem ? remarked(*problem) : passed();
}

Verdict digest_of_chain(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_chain());
  TEEIO_CASE((link.requester().slot_mask() & 1U) != 0, "slot 0 is not in the mask");
  return passed();
}

Bytes get_certificate(std::uint8_t version, std::uint8_t slot, std::uint16_t offset,
                      std::uint16_t length) {
  Writer rest;
  rest.le(offset).le(length);
  return raw_spdm(version, SpdmCode::kGetCertificate, slot, 0, rest.take());
}

/// A chain above 64 KiB: GET_CERTIFICATE with 16-bit fields is answered by DataTooLarge.
/// Source: DSP0274 1.4, GET_CERTIFICATE, LargeCertChain.
bool is_large(Link& link) {
  const spdm::PeerChain* const chain = link.requester().peer_chain(0);
  return chain != nullptr && chain->chain.size() > 0xffff;
}

/// GET_CERTIFICATE is answered by ERROR InvalidRequest.
Verdict no_certificate(Bench& bench, std::uint8_t slot, std::uint16_t offset) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_chain());
  const Reply reply = link.raw(get_certificate(bench.version(), slot, offset, 0x40));
  const bool large = is_large(link) && reply.is_error(SpdmErrorCode::kDataTooLarge);
  TEEIO_CASE(large || reply.is_error(SpdmErrorCode::kInvalidRequest), "{} came", reply.str());
  return passed();
}
Verdict certificate_slot(Bench& bench) { return no_certificate(bench, 9, 0); }
Verdict certificate_offset(Bench& bench) { return no_certificate(bench, 0, 0xffff); }

Verdict certificate_portions(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_chain());
  const Reply reply = link.raw(get_certificate(bench.version(), 0, 0, 0x10));
  if (is_large(link) && reply.is_error(SpdmErrorCode::kDataTooLarge)) return passed();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  TEEIO_CASE(reply.bytes.size() >= 8 + 0x10, "{} came", reply.str());
  const auto portion = std::to_integer<unsigned>(reply.bytes[4]);
  TEEIO_CASE(portion > 0 && portion <= 0x10, "a portion of {} bytes came for 16 wanted", portion);
  return passed();
}

Verdict challenge_signed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_signer());
  if (!has_flag(link, wire::kSpdmCapChal)) return skipped("CHAL_CAP is not set");
  link.requester().challenge(signing_slot(link));
  const Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  return passed();
}

Verdict challenge_slot(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, bench.with_signer());
  if (!has_flag(link, wire::kSpdmCapChal)) return skipped("CHAL_CAP is not set");
  const std::size_t context = bench.version() >= wire::kSpdmVersion13 ? 8 : 0;
  const Reply reply = link.raw(
      raw_spdm(bench.version(), SpdmCode::kChallenge, 9, 0, Bytes(kRandomBytes + context)));
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kInvalidRequest), "{} came", reply.str());
  return passed();
}

std::expected<Link, Verdict> measuring(Bench& bench) {
  auto link = bench.with_signer();
  if (link && !has_flag(*link, wire::kSpdmCapMeasSig))
    return std::unexpected(skipped("MEAS_CAP does not sign"));
  return link;
}

Verdict measurements_signed(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, measuring(bench));
  link.requester().measure({.slot = signing_slot(link)});
  const Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const auto& record = link.requester().measurement_record();
  TEEIO_CASE(record.count > 0 && !record.record.empty(), "no measurements came");
  TEEIO_CASE(!record.signature.empty(), "no signature came");
  return passed();
}

Verdict measurements_fresh(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, measuring(bench));
  link.requester().measure({.slot = signing_slot(link)});
  Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const Bytes first = link.requester().measurement_record().signature;
  link.requester().measure({.slot = signing_slot(link)});
  reply = link.run();
  TEEIO_CASE(reply.answered(), "the second time {} came", reply.str());
  TEEIO_CASE(link.requester().measurement_record().signature != first,
             "two requests got one signature");
  return passed();
}

Verdict measurements_count(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, measuring(bench));
  spdm::MeasurementsWanted wanted;
  wanted.sign = false;
  wanted.index = 0;
  link.requester().measure(wanted);
  Reply reply = link.run();
  TEEIO_CASE(reply.answered(), "{} came", reply.str());
  const unsigned total = link.requester().measurement_record().count;
  wanted.index = 0xff;
  link.requester().measure(wanted);
  reply = link.run();
  TEEIO_CASE(reply.answered(), "all at once: {} came", reply.str());
  TEEIO_CASE(link.requester().measurement_record().count == total, "{} are announced and {} came",
             total, link.requester().measurement_record().count);
  return passed();
}

/// The highest index below `from` of which the device tells no block; nullopt: there is none.
std::optional<std::uint8_t> unused_index(Link& link, std::uint8_t from) {
  spdm::MeasurementsWanted wanted;
  wanted.sign = false;
  link.requester().measure(wanted);
  std::set<std::uint8_t> used;
  // Where it does not tell them all at once, the range that DSP0274 leaves to nobody has to do.
  if (link.run().answered())
    for (ByteView record = link.requester().measurement_record().record; !record.empty();) {
      const auto block = wire::SpdmMeasurementBlock::take(record);
      if (!block) break;
      used.insert(block->index);
    }
  for (std::uint8_t index = from; index != 0; --index)
    if (!used.contains(index)) return index;
  return std::nullopt;
}

Verdict measurements_index(Bench& bench) {
  TEEIO_CASE_ASSIGN(Link link, measuring(bench));
  const auto unused = unused_index(link, 0xee);
  if (!unused) return skipped("the device has a block of each index");
  const std::size_t context = bench.version() >= wire::kSpdmVersion13 ? 8 : 0;
  const Reply reply =
      link.raw(raw_spdm(bench.version(), SpdmCode::kGetMeasurements, 0, *unused, Bytes(context)));
  TEEIO_CASE(reply.is_error(SpdmErrorCode::kInvalidRequest), "{} came", reply.str());
  return passed();
}

constexpr Case kSpdmAttestationCases[] = {
    {"certificate.chain", "The chain of slot 0 is well formed and every signature in it holds",
     "DSP0274, CERTIFICATE", chain_verifies},
    {"certificate.validity",
     "The certificates' dates can be read; those not valid now are remarked",
     "DSP0274, Leaf certificate, Validity", chain_valid_now},
    {"certificate.digest", "DIGESTS has slot 0", "DSP0274, DIGESTS", digest_of_chain},
    {"certificate.portion", "No more of a chain comes than was wanted", "DSP0274, CERTIFICATE",
     certificate_portions},
    {"certificate.slot", "A slot above 7 gets InvalidRequest", "DSP0274, GET_CERTIFICATE",
     certificate_slot},
    {"certificate.offset", "An offset behind the chain gets InvalidRequest",
     "DSP0274, GET_CERTIFICATE", certificate_offset},
    {"challenge.signed", "CHALLENGE_AUTH's signature covers the transcript",
     "DSP0274, CHALLENGE_AUTH", challenge_signed},
    {"challenge.slot", "A slot that does not exist gets InvalidRequest", "DSP0274, CHALLENGE",
     challenge_slot},
    {"measurements.signed", "MEASUREMENTS' signature covers the transcript",
     "DSP0274, MEASUREMENTS", measurements_signed},
    {"measurements.fresh", "Two signed MEASUREMENTS have two signatures", "DSP0274, MEASUREMENTS",
     measurements_fresh},
    {"measurements.count", "As many blocks come as operation 0 announces", "DSP0274, MEASUREMENTS",
     measurements_count},
    {"measurements.index", "An index that does not exist gets InvalidRequest",
     "DSP0274, GET_MEASUREMENTS", measurements_index},
};

}  // namespace

std::span<const Case> spdm_attestation_cases() { return kSpdmAttestationCases; }

}  // namespace teeio::serve::validate
