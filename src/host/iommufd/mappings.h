#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "host/iommufd/object.h"
#include "host/mm/mapped_file.h"

namespace teeio::iommufd {

/// What programs may map of an open /dev/iommu: pages that drivers share (Linux:
/// ictx->mt_mmap, iommufd_fops_mmap()).
///
/// Lifetime: a part of the context.
/// Locking: its own.
class Mappings {
 public:
  /// iommufd_viommu_alloc_mmap(): room for `length` bytes that start with `contents`. Gives
  /// the offset, which is never 0. Errors: ENOMEM, and without a file behind.
  Result<std::uint64_t> add(Object& owner, std::uint64_t length, ByteView contents)
      TEEIO_EXCLUDES(lock_);
  /// iommufd_viommu_destroy_mmap().
  void remove_all_of(const Object& owner) TEEIO_EXCLUDES(lock_);
  /// iommufd_fops_mmap(). Errors: EINVAL no range at all; ENXIO no such pages, or not all of
  /// them; EPERM private, or executable.
  Result<void> map(std::uint64_t offset, std::uint64_t length, bool shared, bool executable)
      TEEIO_EXCLUDES(lock_);
  /// Whether a program maps pages of `owner` (Linux: its mappings are users of it).
  [[nodiscard]] bool in_use(const Object& owner) TEEIO_EXCLUDES(lock_);
  /// The file behind; once.
  void set_file(std::unique_ptr<mm::MappedFile> file) TEEIO_EXCLUDES(lock_);

 private:
  struct Range {
    std::uint64_t length;
    Object* owner;
    bool mapped = false;  ///< it was, at least once
  };
  schedule::Mutex lock_{schedule::Rank::kIommufdXarray};
  std::unique_ptr<mm::MappedFile> file_ TEEIO_GUARDED_BY(lock_);
  std::map<std::uint64_t, Range> ranges_ TEEIO_GUARDED_BY(lock_);  ///< by offset
};

}  // namespace teeio::iommufd
