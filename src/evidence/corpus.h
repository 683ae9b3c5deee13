#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"

namespace teeio::evidence {

/// A file of the corpus: evidence, policy, root or the table.
struct CorpusFile {
  std::string name;
  Bytes bytes;
};

/// Examples of evidence, good and bad, with policies, and `expected.tsv`: file, policy,
/// options of `teeio evidence verify`, verdict, clauses that fail, what it is. Made of the
/// same devices and mistakes each time; the same bytes with the same release of OpenSSL,
/// which decides how an ECDSA nonce follows from random bytes.
[[nodiscard]] std::vector<CorpusFile> make_corpus();

}  // namespace teeio::evidence
