#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/violation.h"

namespace teeio::rules {

/// What the user knows already and does not want to hear: an entry of a
/// suppression file.
struct Suppression {
  std::string place;           ///< "known.supp:3"
  std::string name;            ///< the entry's first line
  std::optional<RuleId> rule;  ///< none: any rule
  std::string function = "*";  ///< pattern over "0000:01:00.0"
  std::string sentence = "*";  ///< pattern over Violation::what
  std::string note;            ///< why it is there
  std::uint64_t used = 0;      ///< violations that it covered
};

/// Suppression files, in the manner of valgrind's:
///
///   # FLR by our VMM's old teardown
///   {
///     vmm-resets-first
///     rule: R4
///     function: 0000:01:*
///     sentence: *reset by the host*
///     note: issue 77, gone with the next release
///   }
///
/// A violation is covered by the first entry all of whose lines match; `*` and
/// `?` are fnmatch(3)'s. No line comes twice, and one besides the note must be there.
/// Locking: none of its own.
class Suppressions {
 public:
  /// Adds the entries of a file. Errors: a sentence that starts with "file:line: ".
  [[nodiscard]] std::expected<void, std::string> add(std::string_view text, std::string_view file);

  /// Whether an entry covers it, and counts.
  [[nodiscard]] bool covers(const Violation& violation);
  [[nodiscard]] const std::vector<Suppression>& all() const { return all_; }
  [[nodiscard]] std::uint64_t used() const;  ///< violations that were covered

 private:
  std::vector<Suppression> all_;
};

/// A line for each entry that covered nothing; empty when each did.
[[nodiscard]] std::string unused_text(const Suppressions& suppressions);

}  // namespace teeio::rules
