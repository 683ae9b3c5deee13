#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "evidence/judge.h"

namespace teeio::evidence {

/// Of whom clauses speak: evidence of a device is bound to one, or not.
enum class Subject : std::uint8_t { kDevice, kGuest };

/// Everything that the statement says, decoded: what `evidence show --json` prints.
[[nodiscard]] nlohmann::ordered_json as_json(const Statement& statement);
/// {"verdict": "trusted" or "refused", of a device "bound", "clauses": [{"id", "verdict", "why"}]}.
[[nodiscard]] nlohmann::ordered_json as_json(std::span<const Clause> clauses,
                                             Subject subject = Subject::kDevice);

/// A document as lines: "key: value", what is inside of something indented below it.
[[nodiscard]] std::string as_text(const nlohmann::ordered_json& document);
/// A line a clause, and the verdict.
[[nodiscard]] std::string as_text(std::span<const Clause> clauses,
                                  Subject subject = Subject::kDevice);

}  // namespace teeio::evidence
