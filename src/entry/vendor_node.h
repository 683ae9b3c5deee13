#pragma once

#include <string_view>

namespace teeio::entry {

/// What stands behind a node of /dev that is a vendor's own. Its rows and handlers, in a file
/// of the vendor's in this room, know what it really is.
///
/// Lifetime: the machine's.
class VendorNode {
 public:
  virtual ~VendorNode() = default;
  /// Below /dev; literal.
  [[nodiscard]] virtual std::string_view name() const = 0;
};

}  // namespace teeio::entry
