#include "evidence.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr std::size_t kNonceAt = 4, kNonceBytes = 32;  // DSP0274, GET_MEASUREMENTS
constexpr std::size_t kBaseAsymSelAt = 12, kAlgorithmsLengthAt = 4;
constexpr unsigned char kAlgorithms = 0x63;

// The last message of VCA is ALGORITHMS (DSP0274): it says how long it is.
std::size_t algorithms_at(const std::vector<unsigned char>& vca) {
  for (std::size_t at = vca.size(); at-- > 0;) {
    if (at + kBaseAsymSelAt + 4 > vca.size() || vca[at + 1] != kAlgorithms) continue;
    const std::size_t length =
        vca[at + kAlgorithmsLengthAt] | std::size_t{vca[at + kAlgorithmsLengthAt + 1]} << 8;
    if (at + length == vca.size()) return at;
  }
  return vca.size();
}

// Bytes of a signature by the algorithm that was chosen; 0: one that this VMM does not know.
std::size_t signature_bytes(const std::vector<unsigned char>& vca) {
  const std::size_t at = algorithms_at(vca);
  if (at == vca.size()) return 0;
  std::uint32_t chosen = 0;
  std::memcpy(&chosen, vca.data() + at + kBaseAsymSelAt, sizeof chosen);
  constexpr std::uint32_t kEcdsaP256 = 1U << 4, kEcdsaP384 = 1U << 7;
  return chosen == kEcdsaP256 ? 64 : chosen == kEcdsaP384 ? 96 : 0;
}

void append(std::vector<unsigned char>& out, const unsigned char* bytes, std::size_t size) {
  out.insert(out.end(), bytes, bytes + size);
}

void append_size(std::vector<unsigned char>& out, std::size_t size) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<unsigned char>(size >> shift));
}

}  // namespace

std::vector<unsigned char> join_evidence(const EvidenceParts& parts) {
  const auto& [vca, certificates, measurements] = parts;
  const std::size_t signature = signature_bytes(vca);
  if (signature == 0 || measurements.size() < kNonceAt + kNonceBytes + signature) return {};
  std::vector<unsigned char> whole;
  append_size(whole, certificates.size());
  append_size(whole, vca.size() + measurements.size() - signature);
  append_size(whole, signature);
  append_size(whole, 0);
  append(whole, measurements.data() + kNonceAt, kNonceBytes);
  append(whole, certificates.data(), certificates.size());
  append(whole, vca.data(), vca.size());
  append(whole, measurements.data(), measurements.size());
  return whole;
}
