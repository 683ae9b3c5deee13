#pragma once

#include "base/bytes.h"
#include "firmware/tdx/leaf.h"

namespace teeio::hw {
class RootPort;
}

namespace teeio::tdx {

// The keys of an IDE stream, one message with the device at a time.

/// The bit of a key among those of its direction and key set.
[[nodiscard]] KeyBits key_bit(const KmParameters& p);
[[nodiscard]] hw::RootPort& port_of(const IommuState& iommu, const IdeStream& stream);

/// A K_SET_GO of what the device transmits is counted before all of its operands are looked at.
/// A fourth, at which the real module stops itself, counts no more.
void count_go(IdeStream& stream, const KmParameters& parameters);

/// The message that asks for `object`, outstanding from here on. KEY_PROG: the root port has
/// the key. Check "seal".
Checked<Bytes> km_request(Leaf& leaf, hw::RootPort& port, IdeStream& stream, SpdmSession& spdm,
                          KmObject object, const KmParameters& parameters);
/// The device's answer to what is outstanding, opened. Checks "authentic", "answer".
Checked<Bytes> km_answer(Leaf& leaf, const IdeStream& stream, SpdmSession& spdm,
                         const Bytes& object);
/// What a good answer does: nothing is outstanding any more. Check "ready".
Checked<void> km_answered(Leaf& leaf, hw::RootPort& port, IdeStream& stream);

}  // namespace teeio::tdx
