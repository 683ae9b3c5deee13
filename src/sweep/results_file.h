#pragma once

#include <expected>
#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "sweep/outcome.h"
#include "sweep/variation.h"

namespace teeio::sweep {

/// What has been run, so that a sweep that was stopped goes on where it was: a line of JSON
/// that says which sweep it is, then one for each run.
class ResultsFile {
 public:
  /// Opens or makes `path` for the sweep of `command` with these variations, those of all its
  /// shards, of which `conditions` is all else that verdicts hang on. Errors, ready
  /// to print: it cannot be read or written; another sweep has it; it is none, or of another
  /// sweep. What was
  /// being written when it was cut off counts as not run.
  [[nodiscard]] static std::expected<ResultsFile, std::string> open(
      const std::string& path, const std::vector<std::string>& command, std::string_view conditions,
      const std::vector<Variation>& variations);

  /// What another shard of the same sweep keeps in `path`. Errors: as open(), and a sentence
  /// if it is not there.
  [[nodiscard]] static std::expected<std::map<std::size_t, Outcome>, std::string> read(
      const std::string& path, const std::vector<std::string>& command, std::string_view conditions,
      const std::vector<Variation>& variations);

  /// By number of the variation.
  [[nodiscard]] const std::map<std::size_t, Outcome>& before() const { return before_; }
  /// False when it cannot be written.
  [[nodiscard]] bool add(std::size_t number, const Outcome& outcome);

 private:
  ResultsFile(Fd file, std::map<std::size_t, Outcome> before)
      : file_(std::move(file)), before_(std::move(before)) {}
  Fd file_;
  std::map<std::size_t, Outcome> before_;
};

}  // namespace teeio::sweep
