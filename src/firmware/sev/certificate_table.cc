#include "firmware/sev/attestation.h"

namespace teeio::sev {

Bytes certificate_table(const crypto::CertificateChain& endorsement) {
  using Guid = std::array<std::uint8_t, 16>;
  static constexpr Guid kArk = {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52,
                                0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae};
  static constexpr Guid kAsk = {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4,
                                0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82};
  static constexpr Guid kVcek = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
                                 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};
  static constexpr Guid kGuids[] = {kArk, kAsk, kVcek};
  constexpr std::size_t kEntry = 24;  // GUID, offset, length
  const auto certificates = endorsement.certificates();
  Writer table;
  std::size_t offset = kEntry * (std::size(kGuids) + 1);
  for (std::size_t n = 0; n < std::size(kGuids); ++n) {
    const std::size_t size = certificates[n].der().size();
    table.bytes(std::as_bytes(std::span(kGuids[n])));
    table.le(static_cast<std::uint32_t>(offset)).le(static_cast<std::uint32_t>(size));
    offset += size;
  }
  table.zeros(kEntry);
  for (std::size_t n = 0; n < std::size(kGuids); ++n) table.bytes(certificates[n].der());
  return table.take();
}

}  // namespace teeio::sev
