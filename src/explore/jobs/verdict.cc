#include "explore/jobs/verdict.h"

namespace teeio::explore {

Judgement judge(const ScenarioResult& result, const Demands& demands) {
  if (!result.as_expected) {
    std::string why = result.failure ? result.failure->rule : "";
    if (result.expected.breaks())
      why += (why.empty() ? "expected " : ": expected ") + result.expected.str();
    return {.kind = Judgement::Kind::kFailed, .why = std::move(why)};
  }
  if (demands.strict && !result.warnings.empty()) {
    const std::size_t count = result.warnings.size();
    return {.kind = Judgement::Kind::kFailed,
            .why = std::to_string(count) + (count == 1 ? " warning" : " warnings")};
  }
  if (demands.exhausted && result.verdict == ScenarioResult::Verdict::kBounded)
    return {.kind = Judgement::Kind::kNotExhausted, .why = "not exhausted"};
  return {};
}

}  // namespace teeio::explore
