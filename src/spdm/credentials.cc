#include "spdm/credentials.h"

#include "wire/spdm_measurements.h"

namespace teeio::spdm {

Bytes extension_log_of(std::span<const Measurement> blocks) {
  wire::SpdmMelHeader header;
  Writer entries;
  for (const Measurement& block : blocks) {
    if (!block.logged) continue;
    wire::SpdmMelEntry{.mel_index = ++header.entries,
                       .measurement_index = block.index,
                       .type = static_cast<wire::SpdmMeasurementType>(block.type),
                       .raw = true,
                       .value = block.value}
        .append_to(entries);
  }
  const Bytes bytes = entries.take();
  header.entries_size = static_cast<std::uint32_t>(bytes.size());
  Bytes log = header.encode();
  log.insert(log.end(), bytes.begin(), bytes.end());
  return log;
}

const Credential* FixedCredentials::credential(std::uint8_t slot,
                                               crypto::SignatureAlgorithm algorithm,
                                               crypto::HashAlgorithm /*hash*/) {
  const Credential& held = slots_.at(slot);
  if (held.identity == nullptr) return nullptr;
  if (held.identity->key.type() != crypto::key_type(algorithm)) return nullptr;
  return &held;
}

}  // namespace teeio::spdm
