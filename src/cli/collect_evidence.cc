#include "cli/collect_evidence.h"

#include "serve/validate/bench.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"

namespace teeio::cli {
namespace {

namespace validate = serve::validate;
using Nonce = std::array<std::byte, 32>;

std::expected<validate::Target, std::string> target_of(const CollectFrom& from) {
  validate::Target target;
  auto address = serve::Address::parse(from.address);
  if (!address) return std::unexpected(address.error());
  target.address = *address;
  target.transport = *serve::parse_transport(from.transport);
  target.timeout_ms = from.timeout_ms;
  if (from.interface.empty()) return target;
  const auto bdf = Bdf::parse(from.interface);
  if (!bdf) return std::unexpected(from.interface + ": must be a PCI address");
  target.function_id = wire::TdispFunctionId::of(*bdf).raw;
  return target;
}

/// The last request of this code, as it went over this connection.
void add_request(Writer& out, const validate::Heard& heard, wire::SpdmCode code) {
  if (const Bytes* const message = heard.last(code)) out.bytes(*message);
}
/// The last such answer, without what its transport padded it with: DOE has whole DWORDs.
template <class Answer, class... Sizes>
void add_answer(Writer& out, const validate::Heard& heard, const Sizes&... sizes) {
  const Bytes* const message = heard.last(Answer::kCode);
  if (message == nullptr) return;
  const auto decoded = Answer::decode(*message, sizes...);
  out.bytes(decoded ? decoded->wire : ByteView(*message));
}

Bytes agreement(const validate::Heard& heard) {
  Writer out;
  add_request(out, heard, wire::SpdmCode::kGetVersion);
  add_answer<wire::SpdmVersionResponse>(out, heard);
  add_request(out, heard, wire::SpdmCode::kGetCapabilities);
  add_answer<wire::SpdmCapabilities>(out, heard);
  add_request(out, heard, wire::SpdmCode::kNegotiateAlgorithms);
  add_answer<wire::SpdmAlgorithms>(out, heard);
  return out.take();
}
/// What a device without signatures said: nobody can verify it, but it can be shown.
Bytes unsigned_transcript(const validate::Heard& heard, std::uint8_t version) {
  Writer out;
  if (version >= wire::kSpdmVersion12) out.bytes(agreement(heard));
  add_request(out, heard, wire::SpdmCode::kGetMeasurements);
  add_answer<wire::SpdmMeasurements>(out, heard, wire::SpdmSizes{});
  return out.take();
}

/// The chain of the slot and measurements, over a connection that is negotiated.
std::expected<evidence::Bundle, std::string> measure(validate::Link& link, std::uint32_t session,
                                                     std::uint8_t slot, const Nonce& nonce) {
  spdm::Requester& requester = link.requester();
  if (requester.peer_chain(slot) == nullptr) {
    requester.get_certificates(slot, session);
    if (const auto reply = link.run(); !reply.answered())
      return std::unexpected("the certificates of the slot: " + reply.str());
  }
  requester.measure({.session = session,
                     .index = 0xff,
                     .sign = validate::has_flag(link, wire::kSpdmCapMeasSig),
                     .raw = false,
                     .slot = slot,
                     .nonce = nonce});
  if (const auto reply = link.run(); !reply.answered())
    return std::unexpected("measurements: " + reply.str());
  const spdm::MeasurementRecord& record = requester.measurement_record();
  const spdm::PeerChain* chain = requester.peer_chain(slot);
  const std::uint8_t version = requester.negotiated()->version;
  evidence::Bundle bundle;
  bundle.object = spdm::encode_evidence(
      {.chain = chain == nullptr ? Bytes() : chain->chain,
       .nonce = nonce,
       .transcript = record.transcript.empty() ? unsigned_transcript(link.heard(), version)
                                               : record.transcript,
       .signature = record.signature,
       .record = record.record});
  if (version < wire::kSpdmVersion12) bundle.vca = agreement(link.heard());
  return bundle;
}

std::expected<evidence::Bundle, std::string> with_report(validate::Bench& bench,
                                                         const CollectFrom& from,
                                                         const Nonce& nonce) {
  auto tdi = bench.locked_tdi();
  if (!tdi) return std::unexpected(tdi.error().why);
  auto report = tdi->report();
  auto bundle = report ? measure(tdi->session().link(), tdi->session().id(), from.slot, nonce)
                       : std::unexpected(report.error());
  if (const auto stopped = tdi->stop(); !stopped && bundle) return std::unexpected(stopped.error());
  if (bundle) bundle->report = std::move(*report);
  return bundle;
}

}  // namespace

std::string why_not_asked(const CollectFrom& from) {
  if (from.address.empty()) return {};
  const auto target = target_of(from);
  return target ? std::string() : target.error();
}

std::expected<evidence::Bundle, std::string> collect_evidence(const CollectFrom& from,
                                                              const Nonce& nonce) {
  const auto target = target_of(from);
  if (!target) return std::unexpected(target.error());
  validate::Bench bench(*target, 0);
  if (!from.interface.empty()) return with_report(bench, from, nonce);
  auto link = bench.negotiated();
  if (!link) return std::unexpected(link.error().why);
  return measure(*link, spdm::kNoSession, from.slot, nonce);
}

}  // namespace teeio::cli
