#include "evidence/judge.h"

#include <algorithm>

#include "evidence/clauses.h"

namespace teeio::evidence {

std::vector<Clause> judge(const Statement& statement, const Policy& policy,
                          const Circumstances& now) {
  const Case c{statement, policy, now};
  Clauses out;
  judge_chain(c, out);
  judge_agreement(c, out);
  judge_measurements(c, out);
  judge_report(c, out);
  judge_binding(c, out);
  return out.take();
}

bool is_bound(std::span<const Clause> clauses) {
  return std::ranges::any_of(clauses, [](const Clause& one) {
    return one.id == "binding.evidence" && one.verdict == Verdict::kHolds;
  });
}

bool trusted(std::span<const Clause> clauses) {
  return std::ranges::none_of(clauses,
                              [](const Clause& one) { return one.verdict == Verdict::kFails; });
}

}  // namespace teeio::evidence
