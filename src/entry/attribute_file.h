#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "host/sysfs/tree.h"
#include "object/file.h"
#include "schedule/mutex.h"

namespace teeio::entry {

/// An open attribute of sysfs, or what is opened like one. A text attribute is shown anew by each
/// read at offset 0; reads further on go on in what that one saw. Binary ones are read and written
/// in place. Source: Linux fs/sysfs/file.c, fs/kernfs/file.c.
///
/// Lifetime: an open file; the tree outlives it. When the attribute is gone every
/// operation is refused with ENODEV (kernfs_get_active()).
/// Locking: a leaf over the text that was shown; never held in a callback.
class AttributeFile final : public object::File {
 public:
  /// open(2) of the attribute at `path`, which has no symlinks. `flags` as
  /// open(2). Errors: ENOENT; EISDIR a directory; ENXIO a device node, ELOOP a
  /// symlink; ENOTDIR with O_DIRECTORY; EACCES for what the mode gives to nobody,
  /// root included (kernfs_fop_open()).
  static Result<object::Ref<object::File>> open(sysfs::Tree& tree, std::string_view path,
                                                std::uint32_t flags);
  /// A file of /proc that a machine has by itself: `attribute` at `path`.
  static object::Ref<object::File> of(sysfs::Tree& tree, std::string path, std::uint32_t mode,
                                      object::Ref<sysfs::Attribute> attribute);

  /// An anonymous file that reads as `attribute`, a binary one of `size` bytes.
  static object::Ref<object::File> of_bytes(std::string name,
                                            object::Ref<sysfs::Attribute> attribute,
                                            std::uint64_t size);

  /// Errors: show's; EIO nothing to read with.
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) TEEIO_EXCLUDES(mutex_);
  /// Takes at most a page of a text; the offset of a text does not matter. Errors:
  /// store's; EFBIG at or behind the end of a binary attribute.
  Result<std::size_t> write(std::uint64_t offset, ByteView in);
  /// Behind this file's mappings.
  void set_mapped_file(std::unique_ptr<mm::MappedFile> mapped);
  /// Errors: ENODEV for what cannot be mapped; the attribute's.
  Result<void> mmap(std::uint64_t offset, std::uint64_t length) TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint32_t mode() const { return mode_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  AttributeFile(sysfs::Tree& tree, const sysfs::Node& node)
      : File(object::FileKind::kAttribute),
        tree_(&tree),
        path_(node.path),
        mode_(node.mode),
        size_(node.size),
        opened_(node.attribute) {}
  AttributeFile(sysfs::Tree* tree, std::string path, std::uint32_t mode, std::uint64_t size,
                object::Ref<sysfs::Attribute> own)
      : File(object::FileKind::kAttribute),
        tree_(tree),
        path_(std::move(path)),
        mode_(mode),
        size_(size),
        own_(std::move(own)) {}
  void release() override;
  /// Errors: ENODEV it is gone.
  [[nodiscard]] Result<object::Ref<sysfs::Attribute>> attribute() const;

  sysfs::Tree* const tree_;  ///< null: with own_ only
  const std::string path_;
  const std::uint32_t mode_;
  const std::uint64_t size_;
  const object::Ref<sysfs::Attribute> own_;     ///< null: the tree's
  const object::Ref<sysfs::Attribute> opened_;  ///< what the tree had when it was opened
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  bool shown_ TEEIO_GUARDED_BY(mutex_) = false;
  std::string text_ TEEIO_GUARDED_BY(mutex_);
  std::unique_ptr<mm::MappedFile> mapped_;  ///< set before a program has the file
  object::Ref<sysfs::Attribute> mapping_ TEEIO_GUARDED_BY(mutex_);  ///< that is in mapped_
};

}  // namespace teeio::entry
