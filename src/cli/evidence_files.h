#pragma once

#include <expected>
#include <string>
#include <vector>

#include "cli/output_files.h"
#include "evidence/extract.h"
#include "evidence/policy.h"

// Files that `teeio evidence` reads and writes. Errors: sentences that are ready to print.
namespace teeio::cli {

using EvidenceProblem = std::string;

[[nodiscard]] std::expected<Bytes, EvidenceProblem> read_evidence_file(const std::string& path);
[[nodiscard]] std::expected<void, EvidenceProblem> write_evidence_file(const std::string& path,
                                                                       ByteView bytes);
/// A folder that is there or is made; those above it are the user's.
[[nodiscard]] std::expected<void, EvidenceProblem> make_evidence_folder(const std::string& folder);
/// None is written if one would be over a file of `kept`.
[[nodiscard]] std::expected<void, EvidenceProblem> write_parts(
    const std::vector<evidence::Part>& parts, const std::string& folder,
    const std::vector<FileOption>& kept);

/// A policy, and what the command line adds to it.
struct PolicyFiles {
  std::string policy;
  std::vector<std::string> roots;
  std::vector<std::string> platform_keys;
  std::vector<std::string> certificates;
};
/// Those, by option. Lifetime: of `files`.
[[nodiscard]] std::vector<FileOption> policy_inputs(const PolicyFiles& files);
[[nodiscard]] std::expected<evidence::Policy, EvidenceProblem> read_policy(
    const PolicyFiles& files);

}  // namespace teeio::cli
