#pragma once

#include <memory>
#include <span>

#include "entry/call.h"
#include "entry/vendor_node.h"

namespace teeio::kvm {
class PspHost;
}

namespace teeio::entry {

/// The ioctls of vendors' nodes of /dev. There is one such vendor so far.
[[nodiscard]] std::span<const Row> vendor_node_rows();

/// /dev/sev. `psp` outlives it.
[[nodiscard]] std::unique_ptr<VendorNode> make_sev_node(kvm::PspHost& psp);

}  // namespace teeio::entry
