#pragma once

#include <string>
#include <vector>

#include "evidence/corpus.h"

namespace teeio::evidence {

/// A guest's own evidence in the corpus: a file, its policy and verdict.
struct GuestExample {
  std::string name;
  std::string policy;
  Bytes file;
  std::vector<std::string> clauses;  ///< that fail; empty: it is trusted
  std::string what;
};

/// CCA tokens and SNP reports, good and bad; `files` gets policies, keys and certificates.
/// All of them are asked for with the byte A5h, 64 times.
[[nodiscard]] std::vector<GuestExample> cca_examples(std::vector<CorpusFile>& files);
[[nodiscard]] std::vector<GuestExample> snp_examples(std::vector<CorpusFile>& files);

}  // namespace teeio::evidence
