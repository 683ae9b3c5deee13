// Links: evidence
#include <nlohmann/json.hpp>

#include "evidence/corpus.h"
#include "evidence/extract.h"
#include "evidence/show.h"
#include "fuzzer.h"

// Evidence of anybody. Nobody but the devices of the corpus makes evidence that is trusted:
// what is trusted here has a transcript that one of them signed.
namespace teeio::fuzz {
namespace {

using namespace evidence;

struct Genuine {
  Policy policy;
  std::vector<Bytes> transcripts;

  Genuine() {
    for (const CorpusFile& file : make_corpus()) {
      if (file.name == "root.pem")
        policy.roots.push_back(*crypto::Certificate::from_pem(
            std::string_view(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size())));
      if (!file.name.ends_with(".evidence")) continue;
      if (const auto bundle = Bundle::decode(file.bytes))
        transcripts.push_back(decode_evidence(bundle->object)->transcript);
    }
    policy.nonce_required = false;
    policy.judge_validity = false;
  }
};

}  // namespace

void run(ByteView input) {
  static const Genuine genuine;
  auto bundle = Bundle::decode(input);
  if (!bundle) return;
  TEEIO_CHECK(Bundle::decode(bundle->encode())->object == bundle->object,
              "a bundle does not come back");
  const Statement statement = Statement::of(*std::move(bundle));
  (void)as_text(as_json(statement));
  (void)as_json(statement).dump();
  (void)extract(statement);
  const auto clauses = judge(statement, genuine.policy, {});
  (void)as_json(clauses).dump();
  (void)as_text(clauses);
  if (!trusted(clauses)) return;
  TEEIO_CHECK(std::ranges::find(genuine.transcripts, statement.evidence.transcript) !=
                  genuine.transcripts.end(),
              "forged evidence is trusted");
}

}  // namespace teeio::fuzz
