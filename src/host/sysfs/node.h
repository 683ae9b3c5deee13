#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "host/mm/mapped_file.h"
#include "object/ref.h"

namespace teeio::sysfs {

/// What one attribute does. A text attribute has show and store, a binary one
/// read and write; what its mode forbids is empty. Callbacks run on the caller's
/// task without any lock of this room and may block.
///
/// Lifetime: counted by the tree and by the files that are open on it.
struct Attribute final : object::Counted {
  /// The whole text, with its newline. Source: struct device_attribute.
  using Show = std::function<Result<std::string>()>;
  /// The bytes that were written, as many as there were, up to a page.
  using Store = std::function<Result<void>(std::string_view)>;
  /// Within the attribute's size. Source: struct bin_attribute.
  using Read = std::function<Result<std::size_t>(std::uint64_t offset, std::span<std::byte> out)>;
  using Write = std::function<Result<std::size_t>(std::uint64_t offset, ByteView in)>;
  /// mmap(2) of that part: the bytes are in `file` from here on, until Unmap.
  using Map =
      std::function<Result<void>(mm::MappedFile& file, std::uint64_t offset, std::uint64_t length)>;
  /// The file ends, or has nothing mapped.
  using Unmap = std::function<void(mm::MappedFile& file)>;
  using IsThere = std::function<bool()>;

  Show show;
  Store store;
  Read read;
  Write write;
  Map map;  ///< empty: mmap(2) is ENODEV
  Unmap unmap;
  /// Of one that comes and goes with its function alone, or stays for good, and always means the
  /// same: whether it is there. Who has it open needs no look at the tree then, as a kernfs file
  /// has its node (kernfs_get_active()). Empty: what is at its path says so.
  IsThere is_there;
  bool binary = false;
};

/// One node of the tree.
struct Node {
  enum class Kind : std::uint8_t { kDirectory, kSymlink, kAttribute, kDevice };
  std::string path;  ///< absolute
  Kind kind = Kind::kDirectory;
  std::uint32_t mode = 0;   ///< S_IF… and permission bits
  std::uint64_t rdev = 0;   ///< makedev() of a device node
  std::uint64_t size = 0;   ///< 4096 for a text attribute, a binary one's real size
  std::string target = {};  ///< of a symlink, relative as Linux writes it
  object::Ref<Attribute> attribute = {};
};

}  // namespace teeio::sysfs
