// Links: evidence
#include <nlohmann/json.hpp>

#include "evidence/cca.h"
#include "evidence/corpus.h"
#include "evidence/show.h"
#include "evidence/snp.h"
#include "fuzzer.h"

// What guests prove of themselves, of anybody. Nobody but the keys of the corpus makes what is
// trusted: what is trusted here says what one of them signed.
namespace teeio::fuzz {
namespace {

using namespace evidence;

std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Genuine {
  Policy policy;
  std::vector<Bytes> realms;   ///< claims
  std::vector<Bytes> reports;  ///< what is signed

  Genuine() {
    for (const CorpusFile& file : make_corpus()) {
      if (file.name == "cpak.pem")
        policy.cca.platform_keys.push_back(*crypto::PublicKey::from_pem(text_of(file.bytes)));
      if (file.name == "ark.pem")
        policy.roots.push_back(*crypto::Certificate::from_pem(text_of(file.bytes)));
      if (file.name == "vcek.pem") {
        const auto chain = *crypto::CertificateChain::from_pem(text_of(file.bytes));
        for (const crypto::Certificate& one : chain.certificates())
          policy.snp.certificates.push_back(one);
      }
      if (file.name.starts_with("cca-") && file.name.ends_with(".evidence"))
        if (const auto s = CcaStatement::of(file.bytes); s.realm.cose)
          realms.push_back(s.realm.cose->payload);
      if (file.name.starts_with("snp-") && file.name.ends_with(".evidence"))
        reports.emplace_back(file.bytes.begin(), file.bytes.begin() + wire::SnpReport::kSigned);
    }
    policy.judge_validity = false;
    policy.cca.challenge_required = false;
    policy.snp.report_data_required = false;
    policy.snp.most_vmpl = 3;
  }
};

template <class Statement>
void show(const Statement& statement) {
  (void)as_text(as_json(statement));
  (void)as_json(statement).dump();
  (void)extract(statement);
}

void run_cca(const Genuine& genuine, ByteView input) {
  const CcaStatement s = CcaStatement::of(Bytes(input.begin(), input.end()));
  show(s);
  if (s.realm.claims)
    TEEIO_CHECK(
        wire::CcaRealmClaims::decode(s.realm.claims->encode())->initial == s.realm.claims->initial,
        "a realm's claims do not come back");
  if (s.platform.claims)
    TEEIO_CHECK(wire::CcaPlatformClaims::decode(s.platform.claims->encode())->challenge ==
                    s.platform.claims->challenge,
                "a platform's claims do not come back");
  const auto clauses = judge(s, genuine.policy.cca, {});
  (void)as_text(clauses, Subject::kGuest);
  if (trusted(clauses))
    TEEIO_CHECK(std::ranges::find(genuine.realms, s.realm.cose->payload) != genuine.realms.end(),
                "a forged token is trusted");
}

void run_snp(const Genuine& genuine, ByteView input) {
  const SnpStatement s = SnpStatement::of(Bytes(input.begin(), input.end()));
  show(s);
  const auto clauses = judge(s, genuine.policy, {});
  (void)as_text(clauses, Subject::kGuest);
  if (!trusted(clauses)) return;
  const Bytes over(input.begin(), input.begin() + wire::SnpReport::kSigned);
  TEEIO_CHECK(std::ranges::find(genuine.reports, over) != genuine.reports.end(),
              "a forged report is trusted");
}

}  // namespace

void run(ByteView input) {
  static const Genuine genuine;
  run_cca(genuine, input);
  run_snp(genuine, input);
}

}  // namespace teeio::fuzz
