#include "evidence/corpus.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "base/hex.h"
#include "crypto/dmtf_oids.h"
#include "crypto/hash.h"
#include "crypto/issue.h"
#include "crypto/random.h"
#include "evidence/corpus_device.h"
#include "evidence/corpus_guests.h"
#include "evidence/corpus_policies.h"
#include "wire/cca_token.h"

namespace teeio::evidence {
namespace {

constexpr std::uint64_t kSeed = 0xc09905;
constexpr std::string_view kWhen = "2026-11-29T00:00:00Z";
const Nonce kAsked = nonce_of(0xa5);  // NOLINT(bugprone-throwing-static-initialization)
const Nonce kOld = nonce_of(0x11);    // NOLINT(bugprone-throwing-static-initialization)

Bytes sha384(ByteView bytes) {
  const crypto::Digest digest = crypto::hash(crypto::HashAlgorithm::kSha384, bytes);
  return {digest.view().begin(), digest.view().end()};
}
crypto::PkiSpec spec(crypto::KeyType type, std::string name) {
  return {.type = type, .hash = crypto::fitting_hash(type), .name = std::move(name)};
}
/// Changes the evidence inside of a bundle; what firmware vouched for follows, since it
/// saw what the attacker gave it.
template <class Change>
Bundle changed(Bundle bundle, Change change) {
  spdm::Evidence inside = must(decode_evidence(bundle.object));
  change(inside);
  bundle.object = spdm::encode_evidence(inside);
  bundle.evidence_digest = sha384(bundle.object);
  return bundle;
}

/// Replaces `from` by `to`, of one size, in `bytes`.
void replace(Bytes& bytes, ByteView from, ByteView to) {
  const auto at = std::ranges::search(bytes, from);
  TEEIO_CHECK(!at.empty() && from.size() == to.size(), "the corpus finds nothing to change");
  std::ranges::copy(to, at.begin());
}

class Corpus {
 public:
  Corpus();
  std::vector<CorpusFile> take();

 private:
  struct Row {
    std::string options;
    std::string verdict = "trusted";
    std::vector<std::string> clauses;
    std::string what;
  };
  void add(const std::string& name, const std::string& policy, const Bytes& file, Row row);
  void add(const std::string& name, const std::string& policy, const Bundle& bundle, Row row) {
    add(name, policy, bundle.encode(), std::move(row));
  }
  /// One that must be refused, for these clauses and no others.
  void refuse(const std::string& name, const std::string& policy, const Bundle& bundle,
              std::vector<std::string> clauses, std::string what) {
    add(name, policy, bundle,
        {.options = {},
         .verdict = "refused",
         .clauses = std::move(clauses),
         .what = std::move(what)});
  }
  void nothing(const std::string& name, const Bytes& file, std::string what) {
    add(name, "policy.toml", file,
        {.options = {}, .verdict = "no-evidence", .clauses = {}, .what = std::move(what)});
  }
  /// The device's evidence, its report, and what firmware says of them.
  Bundle bundle(const crypto::Identity& identity, const DeviceState& state, Asking asking = {});
  void good();
  void freshness();
  void identities();
  void measurements();
  void agreements();
  void reports();
  void dice();
  void forms();
  void questions();
  void guests();
  void purposes();

  crypto::SeededRandom random_{kSeed};
  crypto::Pki pki_;
  crypto::Identity sibling_;
  Bundle good_;
  std::vector<CorpusFile> files_;
  std::string table_ = "# file\tpolicy\toptions\tverdict\tclauses that fail\twhat it is\n";
};

Corpus::Corpus()
    : pki_(must(crypto::make_pki(spec(crypto::KeyType::kP384, "corpus device"),
                                 device_named("teeio:corpus:1")))),
      sibling_(must(crypto::make_sibling(pki_, spec(crypto::KeyType::kP384, "corpus device"),
                                         device_named("teeio:corpus:2")))),
      good_(bundle(pki_.device, {})) {
  for (CorpusFile& file : corpus_policies(pki_.device)) files_.push_back(std::move(file));
  good();
  freshness();
  identities();
  measurements();
  agreements();
  reports();
  dice();
  forms();
  questions();
  guests();
  purposes();
}

Bundle Corpus::bundle(const crypto::Identity& identity, const DeviceState& state, Asking asking) {
  if (asking.nonce == Nonce{}) asking.nonce = kAsked;
  Bundle made = prove(identity, state, asking);
  made.report = interface_report();
  made.evidence_digest = sha384(made.object);
  made.report_digest = sha384(made.report);
  return made;
}

void Corpus::add(const std::string& name, const std::string& policy, const Bytes& file, Row row) {
  const std::string options =
      fmt::format("--time {} --nonce {}{}", kWhen, to_hex(kAsked), row.options);
  table_ += fmt::format("{}.evidence\t{}\t{}\t{}\t{}\t{}\n", name, policy, options, row.verdict,
                        row.clauses.empty() ? "-" : fmt::format("{}", fmt::join(row.clauses, ",")),
                        row.what);
  files_.push_back({name + ".evidence", file});
}

void Corpus::good() {
  add("good", "policy.toml", good_,
      {.options = {}, .clauses = {}, .what = "the right device, all of it"});
  add("good-object", "device.toml", good_.object,
      {.options = {}, .clauses = {}, .what = "the evidence object alone, as a guest reads it"});
  add("good-sibling", "fleet.toml", bundle(sibling_, {}),
      {.options = {},
       .clauses = {},
       .what = "another device of the maker, which a fleet's policy takes"});
  add("good-1.1", "old.toml", bundle(pki_.device, {}, {.version = 0x11}),
      {.options = {}, .clauses = {}, .what = "SPDM 1.1, where the policy takes it"});
  const crypto::Pki p256 = must(crypto::make_pki(spec(crypto::KeyType::kP256, "corpus P-256"),
                                                 device_named("teeio:corpus:p256")));
  files_.push_back({"root-p256.pem", bytes_of_text(p256.device.chain.first().pem())});
  const Bundle small = bundle(p256.device, {});
  add("good-p256", "p256.toml", small,
      {.options = {}, .clauses = {}, .what = "ECDSA P-256 and SHA-256"});
  refuse(
      "weak-hash", "policy.toml", small,
      {"chain.signatures", "identity.key", "identity.device", "spdm.hash", "measurements.block.2"},
      "SHA-256 and another root, where the policy wants SHA-384");
}

void Corpus::freshness() {
  const Bundle old = bundle(pki_.device, {}, {.nonce = kOld});
  refuse("stale", "policy.toml", old, {"freshness.nonce"}, "genuine, but for an earlier nonce");
  refuse("relabelled", "policy.toml", changed(old, [](spdm::Evidence& e) { e.nonce = kAsked; }),
         {"freshness.header", "freshness.nonce"},
         "the earlier evidence with the new nonce written beside it");
  refuse("wrong-nonce", "policy.toml",
         changed(old,
                 [](spdm::Evidence& e) {
                   e.nonce = kAsked;
                   replace(e.transcript, kOld, kAsked);
                 }),
         {"measurements.signature"}, "the earlier evidence with the new nonce written into it");
}

void Corpus::identities() {
  const Bundle other = bundle(sibling_, {});
  refuse("other-device", "policy.toml", other, {"identity.key", "identity.device"},
         "genuine evidence of another device of the maker");
  Bundle relayed = other;
  relayed.evidence_digest = good_.evidence_digest;
  refuse("relayed", "fleet.toml", relayed, {"binding.evidence"},
         "of a device elsewhere, while firmware vouched for the one on the stream");
  const spdm::Evidence theirs = must(decode_evidence(other.object));
  refuse("other-key", "policy.toml",
         changed(good_, [&](spdm::Evidence& e) { e.signature = theirs.signature; }),
         {"measurements.signature"}, "signed by another key than the leaf certificate's");
  refuse("other-chain", "policy.toml",
         changed(other,
                 [&](spdm::Evidence& e) { e.chain = must(decode_evidence(good_.object)).chain; }),
         {"measurements.signature"}, "another device's measurements below the right chain");
  const crypto::Pki forged = must(crypto::make_pki(spec(crypto::KeyType::kP384, "corpus device"),
                                                   device_named("teeio:corpus:1")));
  refuse("wrong-root", "policy.toml", bundle(forged.device, {}),
         {"chain.signatures", "identity.key"}, "the same names, below a root of somebody else");
  crypto::LeafExtras expired = device_named("teeio:corpus:3");
  expired.not_after = "20260101000000Z";
  refuse("expired", "fleet.toml",
         bundle(must(crypto::make_sibling(pki_, spec(crypto::KeyType::kP384, "expired"), expired)),
                {}),
         {"chain.validity"}, "the leaf certificate was valid until January");
  refuse("bent-certificate", "policy.toml",
         changed(good_,
                 [](spdm::Evidence& e) {
                   e.chain.back() ^= std::byte{1};  // the leaf's signature
                 }),
         {"chain.signatures"}, "one bit of the leaf certificate's signature is another");
  refuse("bent-root-hash", "policy.toml",
         changed(good_, [](spdm::Evidence& e) { e.chain.at(4) ^= std::byte{1}; }),
         {"chain.form", "measurements.signature"}, "the chain names another root than it has");
}

void Corpus::measurements() {
  refuse("missing-block", "policy.toml", bundle(pki_.device, {.has_firmware_block = false}),
         {"measurements.block.2"}, "the firmware is not among the measurements");
  refuse("other-firmware", "policy.toml", bundle(pki_.device, {.firmware = "corpus firmware 2.2"}),
         {"measurements.block.2"}, "firmware that the policy does not know");
  refuse("old-svn", "policy.toml", bundle(pki_.device, {.svn = 6}), {"measurements.block.7"},
         "a security version number below the least");
  refuse("debug", "policy.toml", bundle(pki_.device, {.debug = 2}), {"measurements.debug"},
         "invasive debugging is active");
  refuse("unknown-block", "exact.toml", good_, {"measurements.others"},
         "blocks beyond those of the policy");
  refuse("altered-measurement", "policy.toml",
         changed(good_,
                 [](spdm::Evidence& e) {
                   // Type (raw, SVN) and size stand before the value.
                   const auto block = [](std::uint64_t svn) {
                     return Writer().le(std::uint8_t{0x87}).le(std::uint16_t{8}).le(svn).take();
                   };
                   replace(e.transcript, block(7), block(9));
                 }),
         {"measurements.signature"}, "the security version number is another than was signed");
  refuse("unsigned", "policy.toml", bundle(pki_.device, {}, {.sign = false}),
         {"measurements.signature", "freshness.nonce"}, "nobody asked for a signature");
  refuse("stripped", "policy.toml", changed(good_, [](spdm::Evidence& e) { e.signature.clear(); }),
         {"measurements.signature"}, "the signature was taken away");
  refuse("doubled", "policy.toml",
         changed(good_,
                 [](spdm::Evidence& e) {
                   // Block 3's header with index 2: two of one index.
                   const Bytes third = Writer().le(std::uint32_t{0x00060103}).take();
                   const Bytes second = Writer().le(std::uint32_t{0x00060102}).take();
                   replace(e.transcript, third, second);
                 }),
         {"measurements.form", "measurements.signature", "measurements.block.7"},
         "one index twice: whoever reads the first and whoever reads the last differ");
}

void Corpus::agreements() {
  refuse("downgraded-1.1", "policy.toml", bundle(pki_.device, {}, {.version = 0x11}),
         {"spdm.version", "spdm.downgrade", "spdm.signed"},
         "SPDM 1.1, whose agreement nobody signs, with a device that speaks 1.4");
  const Bundle lower = bundle(pki_.device, {}, {.version = 0x12});
  refuse("downgraded-1.2", "policy.toml", lower, {"spdm.downgrade"},
         "SPDM 1.2 with a device that speaks 1.4");
  refuse("cut-versions", "policy.toml",
         changed(lower,
                 [](spdm::Evidence& e) {
                   // VERSION lists 1.2 in the place of all that is above.
                   const Bytes all =
                       Writer().le(std::uint16_t{0x1300}).le(std::uint16_t{0x1400}).take();
                   const Bytes none =
                       Writer().le(std::uint16_t{0x1200}).le(std::uint16_t{0x1200}).take();
                   replace(e.transcript, all, none);
                 }),
         {"measurements.signature"}, "the same, with the versions above cut from the list");
  refuse("wrong-hash", "policy.toml",
         changed(good_,
                 [](spdm::Evidence& e) {
                   // ALGORITHMS: ECDSA P-384 (80h), SHA-384 (2); now SHA3-384 (10h) of the same
                   // size.
                   const Bytes agreed =
                       Writer().le(std::uint32_t{0x80}).le(std::uint32_t{2}).zeros(11).take();
                   const Bytes other =
                       Writer().le(std::uint32_t{0x80}).le(std::uint32_t{16}).zeros(11).take();
                   const auto last = std::ranges::find_end(e.transcript, agreed);
                   TEEIO_CHECK(!last.empty(), "the corpus finds no ALGORITHMS");
                   std::ranges::copy(other, last.begin());
                 }),
         {"chain.form", "measurements.signature"}, "another hash is named than was used");
}

void Corpus::reports() {
  Bundle altered = good_;
  altered.report.at(20) ^= std::byte{4};  // a bit of the first range's address
  refuse("altered-report", "policy.toml", altered, {"binding.report"},
         "the interface report is not the one that firmware vouched for");
  Bundle open = good_;
  open.report = interface_report(/*open_to_host=*/true);
  open.report_digest = sha384(open.report);
  refuse("open-memory", "policy.toml", open, {"report.memory"},
         "a range that answers the host while the interface is locked");
  Bundle none = good_;
  none.report.clear();
  none.report_digest.clear();
  refuse("no-report", "policy.toml", none, {"report.form", "binding.report"},
         "the interface report is missing");
  Bundle cut = good_;
  cut.report.resize(cut.report.size() - 8);
  cut.report_digest = sha384(cut.report);
  refuse("cut-report", "policy.toml", cut, {"report.form"}, "the interface report ends early");
}

void Corpus::dice() {
  const auto device = [&](std::uint8_t svn, std::uint8_t flags) {
    return prove(must(crypto::make_sibling(pki_, spec(crypto::KeyType::kP384, "corpus DICE"),
                                           with_dice(svn, flags))),
                 {}, {.nonce = kAsked});
  };
  add("good-dice", "dice.toml", device(3, 0),
      {.options = {}, .clauses = {}, .what = "TcbInfo and UEID as wanted"});
  refuse("dice-debug", "dice.toml", device(3, 0x10), {"chain.dice"},
         "a layer that says of itself that it can be debugged");
  refuse("dice-old", "dice.toml", device(2, 0), {"chain.dice"},
         "a layer with an SVN below the least");
  refuse("dice-none", "dice.toml", good_, {"identity.ueid", "chain.dice"},
         "certificates without DICE's extensions");
}

void Corpus::forms() {
  const Bytes file = good_.encode();
  nothing("truncated", Bytes(file.begin(), file.begin() + 1500), "cut in the middle");
  Bytes longer = good_.object;
  longer.push_back(std::byte{0});
  nothing("longer", longer, "one byte behind the evidence");
  nothing("empty", {}, "no bytes");
  Bytes reserved = good_.object;
  reserved.at(12) = std::byte{1};
  nothing("reserved", reserved, "a reserved word is not zero");
  Bundle cut = good_;
  cut = changed(cut, [](spdm::Evidence& e) { e.transcript.resize(e.transcript.size() - 40); });
  refuse("cut-transcript", "policy.toml", cut,
         {"measurements.form", "measurements.signature", "measurements.block.2",
          "measurements.block.7"},
         "the transcript ends inside of MEASUREMENTS");
}

/// Whoever carries requests chooses what is asked.
void Corpus::questions() {
  add("counted", "policy.toml", bundle(pki_.device, {}, {.indices = {0, 1, 2, 3, 6, 7, 254}}),
      {.options = {}, .clauses = {}, .what = "how many blocks there are, then each"});
  refuse("mode-not-asked", "policy.toml", bundle(pki_.device, {.debug = 2}, {.indices = {2, 7}}),
         {"measurements.debug"}, "a device that is debugged, and is not asked for its mode");
  refuse("others-not-asked", "named.toml", bundle(pki_.device, {}, {.indices = {2, 7, 254}}),
         {"measurements.others"}, "blocks of the policy alone, of a device that has others");
  refuse("others-counted", "named.toml", bundle(pki_.device, {}, {.indices = {0, 2, 7, 254}}),
         {"measurements.others"}, "likewise, and the device says how many it has");
  refuse("debugged-part", "policy.toml", bundle(pki_.device, {.debug = 2, .has_sound_part = true}),
         {"measurements.debug"}, "of a device's two modes the second is debugged");
}

/// A device that changes while it is asked, and one whose certificate is for another purpose.
void Corpus::purposes() {
  refuse("updated", "policy.toml",
         bundle(pki_.device, {.next_firmware = "corpus firmware 2.2"}, {.indices = {2, 7, 254}}),
         {"measurements.change"}, "other firmware was loaded after the good one was measured");
  crypto::LeafExtras requester = device_named("teeio:corpus:2");
  requester.purposes = crypto::kOidRequesterAuth;
  const auto other = must(crypto::make_sibling(
      pki_, spec(crypto::KeyType::kP384, "corpus requester"), requester, sibling_.key));
  refuse("other-purpose", "fleet.toml",
         changed(bundle(sibling_, {}),
                 [&](spdm::Evidence& e) {
                   e.chain = encode_spdm_chain(other.chain, crypto::HashAlgorithm::kSha384);
                 }),
         {"chain.usage"}, "the leaf certificate is for requesters alone");
}

/// What guests prove of themselves; these files come as they are.
void Corpus::guests() {
  const std::string asked =
      fmt::format("--nonce {}", to_hex(Bytes(wire::kCcaChallengeSize, std::byte{0xa5})));
  const std::string judged_then = fmt::format("--time {} {}", kWhen, asked);
  for (const auto& [make, options] :
       {std::pair(&cca_examples, &asked), std::pair(&snp_examples, &judged_then)})
    for (GuestExample& one : make(files_)) {
      const std::string clauses =
          one.clauses.empty() ? "-" : fmt::format("{}", fmt::join(one.clauses, ","));
      table_ += fmt::format("{}.evidence\t{}\t{}\t{}\t{}\t{}\n", one.name, one.policy, *options,
                            one.clauses.empty() ? "trusted" : "refused", clauses, one.what);
      files_.push_back({one.name + ".evidence", std::move(one.file)});
    }
}

std::vector<CorpusFile> Corpus::take() {
  files_.push_back({"expected.tsv", bytes_of_text(table_)});
  return std::move(files_);
}

}  // namespace

std::vector<CorpusFile> make_corpus() { return Corpus().take(); }

}  // namespace teeio::evidence
