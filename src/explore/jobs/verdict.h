#pragma once

#include <string>

#include "explore/run.h"

namespace teeio::explore {

/// What is asked of results beyond that they end as their scenarios say.
struct Demands {
  bool strict = false;     ///< no warnings
  bool exhausted = false;  ///< a scenario in which nothing was found has no order left
};

/// Whether a result will do.
struct Judgement {
  enum class Kind : std::uint8_t {
    kGood,
    kFailed,        ///< it ended otherwise than its scenario says, or has warnings
    kNotExhausted,  ///< nothing is wrong but that orders are left
  };
  Kind kind = Kind::kGood;
  std::string why;  ///< "R4", "expected R4", "2 warnings", "not exhausted"; empty if good
};

[[nodiscard]] Judgement judge(const ScenarioResult& result, const Demands& demands);

}  // namespace teeio::explore
