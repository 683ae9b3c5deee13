#pragma once

#include <cstdint>
#include <map>

#include "host/iommufd/access.h"
#include "host/mm/user_memory.h"
#include "object/file.h"
#include "schedule/mutex.h"

namespace teeio::mock {

/// The descriptor of CREATE_ACCESS (Linux: struct selftest_access).
///
/// Lifetime: an open file; holds its access.
/// Locking: its own, over what is pinned; iommufd's are taken under it.
class AccessFile final : public object::File, private iommufd::AccessUser {
 public:
  /// Errors: Access::create()'s and attach()'s.
  static Result<object::Ref<AccessFile>> create(iommufd::Context& context,
                                                iommufd::ObjectId ioas_id,
                                                iommufd::Access::Pages pages);

  /// ACCESS_PAGES: pins the range and compares it with the program's pages at `address`,
  /// unless that is 0. Gives the pin's number. Errors: ENOMEM above 16 MiB; EOPNOTSUPP an
  /// access that does not pin; Access::pin_pages()'s; EFAULT; EBADE other pages.
  Result<std::uint32_t> pin(mm::UserMemory& memory, std::uint64_t iova, std::uint64_t length,
                            std::uint64_t address, bool write) TEEIO_EXCLUDES(lock_);
  /// DESTROY_ACCESS_PAGES. Errors: ENOENT.
  Result<void> unpin(std::uint32_t number) TEEIO_EXCLUDES(lock_);
  /// ACCESS_RW. Errors: ENOMEM above 16 MiB; EFAULT; Access::read()'s.
  Result<void> read(mm::UserMemory& memory, std::uint64_t iova, std::uint64_t length,
                    std::uint64_t address);
  Result<void> write(mm::UserMemory& memory, std::uint64_t iova, std::uint64_t length,
                     std::uint64_t address);
  /// ACCESS_REPLACE_IOAS. Errors: Access::replace()'s.
  Result<void> replace(iommufd::ObjectId ioas_id) { return access_->replace(ioas_id); }

 private:
  struct Pinned {
    std::uint64_t iova;
    std::uint64_t length;
  };
  explicit AccessFile(iommufd::Access::Pages pages)
      : File(object::FileKind::kIommuTestAccess), pages_(pages) {}
  ~AccessFile() override = default;
  void release() override;
  /// iommufd_test_access_unmap().
  void unmapping(std::uint64_t first, std::uint64_t length) override TEEIO_EXCLUDES(lock_);

  const iommufd::Access::Pages pages_;
  iommufd::Access* access_ = nullptr;  ///< null: it was never made
  schedule::Mutex lock_{schedule::Rank::kVfioDevset};
  std::map<std::uint32_t, Pinned> pinned_ TEEIO_GUARDED_BY(lock_);
  std::uint32_t next_number_ TEEIO_GUARDED_BY(lock_) = 0;
};

}  // namespace teeio::mock
