#pragma once

#include <vector>

#include "crypto/identity.h"
#include "evidence/corpus.h"

namespace teeio::evidence {

/// The policies of the corpus and the root that they trust, for this device.
[[nodiscard]] std::vector<CorpusFile> corpus_policies(const crypto::Identity& device);

}  // namespace teeio::evidence
