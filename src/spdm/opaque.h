#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "spdm/settings.h"

namespace teeio::spdm {

/// Versions of secured messages: which are offered, and which one is chosen, in
/// the opaque data of KEY_EXCHANGE and PSK_EXCHANGE. Source: DSP0277, 8.1.

/// The requester's opaque data.
[[nodiscard]] Bytes offer_secured_versions(const Negotiated& agreed);

struct SecuredVersionChoice {
  std::uint8_t version = 0;  ///< BCD major.minor
  Bytes opaque;              ///< the responder's opaque data
};
/// The responder's choice: the highest that both have. Without an offer it is 1.0
/// and the answer has no opaque data, as libspdm has it. Errors: EINVAL for
/// malformed opaque data; EOPNOTSUPP when no version is common.
/// `allowed`: of those that there are; empty: all.
Result<SecuredVersionChoice> choose_secured_version(const Negotiated& agreed, ByteView opaque,
                                                    ByteView allowed = {});
/// The requester reads the choice. Errors as above, and for one that was not offered.
Result<std::uint8_t> read_secured_version_choice(const Negotiated& agreed, ByteView opaque);

/// OpaqueData of MEASUREMENTS with one element, of PCI-SIG's vendor 1efe (not assigned); empty for
/// no data, and where the connection has agreed on no format.
[[nodiscard]] Bytes encode_measurement_opaque(const Negotiated& agreed, ByteView data);

}  // namespace teeio::spdm
