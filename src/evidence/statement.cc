#include "evidence/statement.h"

#include <algorithm>

#include "crypto/hash.h"
#include "spdm/suite.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::evidence {
namespace {

using crypto::HashAlgorithm;

constexpr std::string_view kNoVca =
    "the agreement on version and algorithms is not there: bring it as the bundle's VCA";

/// The next message of `rest`, which is shortened by it.
template <class Message, class... Sizes>
Result<Message> take(ByteView& rest, const Sizes&... sizes) {
  TEEIO_ASSIGN(Message message, Message::decode(rest, sizes...));
  rest = rest.subspan(message.wire.size());
  return message;
}

bool begins_with(ByteView bytes, wire::SpdmCode code) {
  const auto header = wire::SpdmHeader::decode(bytes);
  return header && header->code == std::to_underlying(code);
}

/// GET_VERSION … ALGORITHMS at the beginning of `rest`, which is shortened by them.
Result<Agreement> take_agreement(ByteView& rest) {
  Agreement out;
  TEEIO_TRY(take<wire::SpdmGetVersion>(rest));
  TEEIO_ASSIGN(const auto versions, take<wire::SpdmVersionResponse>(rest));
  out.versions = versions.versions;
  TEEIO_ASSIGN(const auto asked, take<wire::SpdmGetCapabilities>(rest));
  TEEIO_ASSIGN(const auto able, take<wire::SpdmCapabilities>(rest));
  TEEIO_ASSIGN(const auto offer, take<wire::SpdmNegotiateAlgorithms>(rest));
  TEEIO_ASSIGN(const auto chosen, take<wire::SpdmAlgorithms>(rest));
  if (asked.version != able.version || able.version != offer.version ||
      offer.version != chosen.version)
    return fail(Errno::kInval, "the messages of the agreement are of several versions");
  out.version = chosen.version;
  out.requester_flags = asked.flags;
  out.device_flags = able.flags;
  out.base_hash = chosen.base_hash;
  out.base_asym = chosen.base_asym;
  out.pqc_asym = chosen.pqc_asym;
  out.measurement_hash = chosen.measurement_hash;
  return out;
}

void read_agreement(Statement& s, ByteView& rest) {
  if (begins_with(rest, wire::SpdmCode::kGetVersion)) {
    const ByteView whole = rest;
    auto agreement = take_agreement(rest);
    if (!agreement) {
      s.agreement_problem = agreement.error().why;
      return;
    }
    const ByteView said = whole.first(whole.size() - rest.size());
    if (!s.bundle.vca.empty() && !std::ranges::equal(s.bundle.vca, said)) {
      s.agreement_problem = "the agreement beside the transcript is not the one in it";
      return;
    }
    s.agreement = *std::move(agreement);
    s.agreement->is_signed = true;
    return;
  }
  if (s.bundle.vca.empty()) {
    s.agreement_problem = kNoVca;
    return;
  }
  ByteView vca = s.bundle.vca;
  auto agreement = take_agreement(vca);
  if (!agreement) {
    s.agreement_problem = agreement.error().why;
  } else if (!vca.empty()) {
    s.agreement_problem = "bytes follow the agreement";
  } else {
    s.agreement = *std::move(agreement);
  }
}

std::string read_block(Statement& s, ByteView& record) {
  const auto block = wire::SpdmMeasurementBlock::take(record);
  if (!block) return std::string(block.error().why);
  if (s.block(block->index) != nullptr) return "a measurement index comes twice";
  s.blocks.push_back(
      {block->index, block->type, block->raw, Bytes(block->value.begin(), block->value.end())});
  return {};
}

/// Requests for measurements and their answers, to the end of the transcript.
std::string read_measurements(Statement& s, ByteView rest) {
  if (rest.empty()) return "the transcript has no measurements";
  std::optional<std::uint8_t> total;
  while (!rest.empty()) {
    const auto request = take<wire::SpdmGetMeasurements>(rest);
    if (!request) return std::string(request.error().why);
    if (s.agreement && request->version != s.agreement->version)
      return "GET_MEASUREMENTS is of another version than what was agreed on";
    s.asked = Asked{request->sign, request->slot, request->nonce};
    const auto answer = take<wire::SpdmMeasurements>(rest, wire::SpdmSizes{});
    if (!answer) return std::string(answer.error().why);
    if (answer->version != request->version)
      return "MEASUREMENTS is of another version than its request";
    if (s.answers == 0xff) return "the transcript has too many answers";
    ++s.answers;
    unsigned seen = 0;
    for (ByteView record = answer->record; !record.empty(); ++seen)
      if (auto problem = read_block(s, record); !problem.empty()) return problem;
    if (seen != answer->blocks) return "MEASUREMENTS has another number of blocks than it says";
    if (request->operation == wire::SpdmGetMeasurements::kCountOnly) total = answer->total;
    if (request->operation == wire::SpdmGetMeasurements::kAll) s.has_all_blocks = true;
    if (request->sign) s.content_changed = answer->content_changed;
    if (request->sign && !rest.empty()) return "messages follow the signed answer";
  }
  if (total == s.blocks.size()) s.has_all_blocks = true;
  return {};
}

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

void view_certificates(Statement& s) {
  for (const crypto::Certificate& one : s.chain->chain.certificates())
    s.certificates.push_back(
        {crypto::certificate_facts(one), crypto::dice_claims(one),
         copy_of(crypto::hash(HashAlgorithm::kSha256, one.public_key().der()))});
}

/// Without an agreement the size of the root hash is not known: the one is right behind
/// which certificates begin.
std::vector<HashAlgorithm> root_hashes(const Statement& s) {
  if (s.agreement) {
    const auto agreed = spdm::hash_of(s.agreement->base_hash);
    return agreed ? std::vector{*agreed} : std::vector<HashAlgorithm>();
  }
  return {HashAlgorithm::kSha384, HashAlgorithm::kSha256, HashAlgorithm::kSha512};
}

void read_chain(Statement& s) {
  s.chain_problem = "no hash algorithm is agreed on that is known here";
  for (const HashAlgorithm hash : root_hashes(s)) {
    auto chain = crypto::SpdmCertificateChain::parse(s.evidence.chain, hash);
    if (!chain) {
      s.chain_problem = chain.error().why;
      continue;
    }
    s.names_its_root = crypto::hash(hash, chain->chain.first().der()) == chain->root_hash;
    s.chain = *std::move(chain);
    s.chain_problem.clear();
    return view_certificates(s);
  }
}

void read_report(Statement& s) {
  if (s.bundle.report.empty()) return;
  auto report = wire::TdispReport::decode(s.bundle.report);
  if (report)
    s.report = *std::move(report);
  else
    s.report_problem = report.error().why;
}

}  // namespace

std::optional<crypto::SignatureAlgorithm> Agreement::signature() const {
  return base_asym != 0 ? spdm::signature_of(base_asym) : spdm::pqc_signature_of(pqc_asym);
}

const MeasurementBlock* Statement::block(std::uint8_t index) const {
  const auto found = std::ranges::find(blocks, index, &MeasurementBlock::index);
  return found == blocks.end() ? nullptr : &*found;
}

Statement Statement::of(Bundle bundle) {
  Statement s;
  s.bundle = std::move(bundle);
  if (auto evidence = decode_evidence(s.bundle.object)) s.evidence = *std::move(evidence);
  ByteView rest = s.evidence.transcript;
  read_agreement(s, rest);
  // Where the agreement cannot be read, nobody knows where measurements begin.
  s.measurements_problem = s.agreement || s.agreement_problem == kNoVca
                               ? read_measurements(s, rest)
                               : "the agreement before them cannot be read";
  read_chain(s);
  read_report(s);
  return s;
}

}  // namespace teeio::evidence
