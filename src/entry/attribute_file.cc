#include "entry/attribute_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "base/types.h"

namespace teeio::entry {
namespace {

constexpr std::uint32_t kAnyRead = 0444, kAnyWrite = 0222;

Result<void> may_open(const sysfs::Node& node, std::uint32_t flags) {
  using Kind = sysfs::Node::Kind;
  switch (node.kind) {
    case Kind::kDirectory:
      return fail(Errno::kIsDir, "the path is a directory");
    case Kind::kSymlink:
      return fail(Errno::kLoop, "the path is a symbolic link");
    case Kind::kDevice:
      return fail(Errno::kNxio, "the path is a device node, not an attribute");
    case Kind::kAttribute:
      break;
  }
  if ((flags & O_DIRECTORY) != 0) return fail(Errno::kNotDir, "the path is an attribute");
  const std::uint32_t access = flags & O_ACCMODE;
  if (access != O_WRONLY && (node.mode & kAnyRead) == 0)
    return fail(Errno::kAcces, "the attribute can only be written");
  if (access != O_RDONLY && (node.mode & kAnyWrite) == 0)
    return fail(Errno::kAcces, "the attribute can only be read");
  return {};
}

std::size_t copy_text(std::string_view text, std::uint64_t offset, std::span<std::byte> out) {
  if (offset >= text.size()) return 0;
  const std::size_t length = std::min<std::size_t>(text.size() - offset, out.size());
  std::memcpy(out.data(), text.data() + offset, length);
  return length;
}

}  // namespace

Result<object::Ref<object::File>> AttributeFile::open(sysfs::Tree& tree, std::string_view path,
                                                      std::uint32_t flags) {
  const auto node = tree.find(path);
  if (!node) return fail(Errno::kNoEnt, "there is no such path");
  TEEIO_TRY(may_open(*node, flags));
  return object::Ref<object::File>(
      object::Ref<AttributeFile>::adopt(new AttributeFile(tree, *node)));
}

object::Ref<object::File> AttributeFile::of(sysfs::Tree& tree, std::string path, std::uint32_t mode,
                                            object::Ref<sysfs::Attribute> attribute) {
  return object::Ref<AttributeFile>::adopt(
      new AttributeFile(&tree, std::move(path), mode, 0, std::move(attribute)));
}

object::Ref<object::File> AttributeFile::of_bytes(std::string name,
                                                  object::Ref<sysfs::Attribute> attribute,
                                                  std::uint64_t size) {
  constexpr std::uint32_t kAnonymous = 0600;  // no file type
  return object::Ref<AttributeFile>::adopt(
      new AttributeFile(nullptr, std::move(name), kAnonymous, size, std::move(attribute)));
}

/// Looked up anew by each operation, unless the attribute says by itself whether it is there:
/// its meaning may have changed with the tree, as a function that lost its driver shows another
/// uevent.
Result<object::Ref<sysfs::Attribute>> AttributeFile::attribute() const {
  constexpr std::string_view kGone = "the attribute is gone";
  if (own_) return own_;
  if (opened_->is_there) {
    if (!opened_->is_there()) return fail(Errno::kNoDev, kGone);
    return opened_;
  }
  const auto node = tree_->find(path_);
  if (!node || !node->attribute) return fail(Errno::kNoDev, kGone);
  return node->attribute;
}

Result<std::size_t> AttributeFile::read(std::uint64_t offset, std::span<std::byte> out) {
  TEEIO_ASSIGN(const object::Ref<sysfs::Attribute> attribute, this->attribute());
  if (out.empty()) return 0;
  if (attribute->binary) {
    if (offset >= size_) return 0;
    // A page a call, as kernfs_file_read_iter().
    const std::uint64_t length = std::min<std::uint64_t>({out.size(), size_ - offset, kPageSize});
    if (!attribute->read) return fail(Errno::kIo, "the attribute cannot be read");
    return attribute->read(offset, out.first(static_cast<std::size_t>(length)));
  }
  if (!attribute->show) return fail(Errno::kIo, "the attribute cannot be read");
  {
    const schedule::Lock lock(mutex_);
    if (shown_ && offset != 0) return copy_text(text_, offset, out);
  }
  TEEIO_ASSIGN(std::string text, attribute->show());
  const schedule::Lock lock(mutex_);
  shown_ = true;
  text_ = std::move(text);
  return copy_text(text_, offset, out);
}

Result<std::size_t> AttributeFile::write(std::uint64_t offset, ByteView in) {
  TEEIO_ASSIGN(const object::Ref<sysfs::Attribute> attribute, this->attribute());
  std::size_t length = std::min<std::size_t>(in.size(), kPageSize);
  if (attribute->binary) {
    if (offset >= size_) return fail(Errno::kFBig, "the write begins behind the attribute's end");
    length = static_cast<std::size_t>(std::min<std::uint64_t>(length, size_ - offset));
    if (length == 0) return 0;
    if (!attribute->write) return fail(Errno::kIo, "the attribute cannot be written");
    return attribute->write(offset, in.first(length));
  }
  if (length == 0) return 0;
  if (!attribute->store) return fail(Errno::kIo, "the attribute cannot be written");
  std::string text(length, '\0');
  std::memcpy(text.data(), in.data(), length);
  TEEIO_TRY(attribute->store(text));
  return length;
}

void AttributeFile::set_mapped_file(std::unique_ptr<mm::MappedFile> mapped) {
  mapped_ = std::move(mapped);
}

Result<void> AttributeFile::mmap(std::uint64_t offset, std::uint64_t length) {
  TEEIO_ASSIGN(const object::Ref<sysfs::Attribute> attribute, this->attribute());
  if (!attribute->map || mapped_ == nullptr)
    return fail(Errno::kNoDev, "the attribute cannot be mapped");
  TEEIO_TRY(attribute->map(*mapped_, offset, length));
  const schedule::Lock lock(mutex_);
  mapping_ = attribute;
  return {};
}

void AttributeFile::release() {
  object::Ref<sysfs::Attribute> mapping;
  {
    const schedule::Lock lock(mutex_);
    mapping = std::move(mapping_);
  }
  if (mapping) mapping->unmap(*mapped_);
}

}  // namespace teeio::entry
