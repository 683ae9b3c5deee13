#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "crypto/signature.h"
#include "spdm/settings.h"

namespace teeio::device {

/// How a DSM speaks SPDM, and who it says it is.
struct DsmSpdm {
  bool sessions = false;  ///< false: the plain channel, without any identity
  spdm::Settings settings{};
  crypto::KeyType key_type = crypto::KeyType::kP384;
  std::uint64_t seed = 0;  ///< of its keys and certificates: equal seeds, equal identities
  Bytes hardware{};        ///< what the card is, measured as it stands
  std::string_view model = "dma-engine";  ///< in the texts that stand for its code; a literal
};

}  // namespace teeio::device
