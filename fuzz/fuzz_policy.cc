// Links: evidence
#include "evidence/judge.h"
#include "fuzzer.h"

// Policies of anybody: a policy or a sentence. None of them makes trusted what is no
// evidence.
namespace teeio::fuzz {

void run(ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto policy = evidence::Policy::parse(text, "policy");
  if (!policy) {
    TEEIO_CHECK(policy.error().starts_with("policy:"), "a problem does not say where it is");
    return;
  }
  const auto clauses = evidence::judge(evidence::Statement::of({}), *policy, {});
  TEEIO_CHECK(!evidence::trusted(clauses), "nothing at all is trusted");
}

}  // namespace teeio::fuzz
