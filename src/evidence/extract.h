#pragma once

#include <string>
#include <vector>

#include "evidence/statement.h"

namespace teeio::evidence {

struct Part {
  std::string name;
  Bytes bytes;
};

/// The parts as files that OpenSSL's command line reads: root.pem and root.der, below.pem
/// (everything between root and leaf), leaf.pem, leaf.pub.pem, signed.bin (what the measurements'
/// signature is over), signature.bin (as `openssl dgst` wants it: DER for ECDSA), and
/// transcript.bin, evidence.bin, report.bin as they came. What cannot be read is left out.
[[nodiscard]] std::vector<Part> extract(const Statement& statement);

}  // namespace teeio::evidence
