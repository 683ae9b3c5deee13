#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "serve/validate/link.h"
#include "wire/spdm.h"

namespace teeio::serve::validate {

/// An SPDM message from its header's four bytes and what follows.
[[nodiscard]] inline Bytes raw_spdm(std::uint8_t version, wire::SpdmCode code,
                                    std::uint8_t param1 = 0, std::uint8_t param2 = 0,
                                    ByteView rest = {}) {
  Writer writer;
  writer.le(version).le(static_cast<std::uint8_t>(code)).le(param1).le(param2).bytes(rest);
  return writer.take();
}

/// What was negotiated on the link; 1.2 where nothing was.
[[nodiscard]] inline std::uint8_t version_of(Link& link) {
  const auto agreed = link.requester().negotiated();
  return agreed ? agreed->version : wire::kSpdmVersion12;
}

/// VERSION and CAPABILITIES have been exchanged, ALGORITHMS has not. The requester on
/// the link knows nothing of it.
[[nodiscard]] Reply raw_version(Link& link);
[[nodiscard]] Reply raw_capabilities(Link& link, std::uint8_t version);

}  // namespace teeio::serve::validate
