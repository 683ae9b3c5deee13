#pragma once

#include <vector>

// What proves a device, as v7 gives it: three objects.
struct EvidenceParts {
  std::vector<unsigned char> vca;           // GET_VERSION to ALGORITHMS
  std::vector<unsigned char> certificates;  // the chain, as GET_CERTIFICATE gives it
  std::vector<unsigned char> measurements;  // GET_MEASUREMENTS to MEASUREMENTS, and the signature
};

// The one object that the parts are of on TDX, whose digest the module has for the guest:
// the sizes of chain, transcript and signature and four zeros (4 bytes each), the nonce, and
// the three. Empty if the parts are no such thing.
std::vector<unsigned char> join_evidence(const EvidenceParts& parts);
