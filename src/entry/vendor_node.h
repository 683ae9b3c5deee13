#pragma once

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "object/file.h"

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

/// An open one: nothing to read, write or map.
///
/// Lifetime: an open file. Locking: none; nothing changes.
class VendorNodeFile final : public object::File {
 public:
  /// `flags` as open(2).
  VendorNodeFile(VendorNode& node, std::string path, std::uint32_t flags)
      : File(object::FileKind::kVendorNode),
        node_(node),
        path_(std::move(path)),
        writable_((flags & O_ACCMODE) != O_RDONLY) {}

  [[nodiscard]] VendorNode& node() const { return node_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Whether it was opened for writing (FMODE_WRITE).
  [[nodiscard]] bool writable() const { return writable_; }

 private:
  void release() override {}

  VendorNode& node_;
  const std::string path_;
  const bool writable_;
};

}  // namespace teeio::entry
