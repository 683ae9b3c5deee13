#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "host/iommufd/io_pagetable.h"
#include "host/iommufd/ioas.h"
#include "host/iommufd/object.h"
#include "object/file.h"
#include "object/ref.h"

namespace teeio::iommufd {

class Context;

/// Who uses an Access, and must let go of pages when they are unmapped (Linux: struct
/// iommufd_access_ops).
class AccessUser {
 public:
  /// Unpins everything in the range. Called without locks of iommufd.
  virtual void unmapping(std::uint64_t first, std::uint64_t length) = 0;

 protected:
  ~AccessUser() = default;
};

/// The CPU's way to what an IOAS maps (Linux: struct iommufd_access).
/// Source: Linux drivers/iommu/iommufd/device.c; each method names its function.
///
/// Lifetime: from create() to end(), during which the pointer is its user's. An external one
/// holds the context's file.
/// Locking: ioas_lock (rank kIommufdGroup; never under igroup->lock) over which IOAS it is.
class Access final : public Object, private Accessor {
 public:
  static constexpr ObjectType kType = ObjectType::kAccess;
  enum class Pages : bool { kCopied, kPinned };

  /// iommufd_access_create(); `user` outlives it. Without a user it is iommufd's own
  /// (iommufd_access_create_internal()): what it pins is not given up.
  static Result<Access*> create(Context& context, AccessUser* user, Pages pages);
  /// iommufd_access_destroy(): detaches. Precondition: nothing is pinned.
  void end();

  /// iommufd_access_attach(). Errors: ENOENT no such IOAS; EADDRINUSE a mapping is not
  /// aligned as it needs. Precondition: not attached.
  Result<void> attach(ObjectId ioas_id) TEEIO_EXCLUDES(ioas_lock_);
  /// iommufd_access_attach_internal().
  Result<void> attach(Ioas& ioas) TEEIO_EXCLUDES(ioas_lock_);
  /// iommufd_access_replace(). Errors: ENOENT not attached, or no such IOAS; EBUSY another
  /// call changes it; EADDRINUSE.
  Result<void> replace(ObjectId ioas_id) TEEIO_EXCLUDES(ioas_lock_);

  /// iommufd_access_pin_pages(), _unpin_pages(). Errors: ENOENT not attached;
  /// IoPagetable::pin()'s.
  Result<std::vector<IoptPages::Place>> pin_pages(std::uint64_t iova, std::uint64_t length,
                                                  bool write) TEEIO_EXCLUDES(ioas_lock_);
  void unpin_pages(std::uint64_t iova, std::uint64_t length) TEEIO_EXCLUDES(ioas_lock_);
  /// iommufd_access_rw(). Errors: ENOENT not attached; IoPagetable::read()'s.
  Result<void> read(std::uint64_t iova, std::span<std::byte> out) TEEIO_EXCLUDES(ioas_lock_);
  Result<void> write(std::uint64_t iova, ByteView in) TEEIO_EXCLUDES(ioas_lock_);

 private:
  Access(Context& context, AccessUser* user, Pages pages);
  ~Access() override = default;
  /// iommufd_access_destroy_object().
  void destroy() override TEEIO_EXCLUDES(ioas_lock_);
  [[nodiscard]] std::uint64_t alignment() const override {
    return pages_ == Pages::kPinned ? kPageSize : 1;
  }
  [[nodiscard]] bool hold() override;
  void unmapping(std::uint64_t first, std::uint64_t length) override;
  void put() override;
  /// iommufd_access_change_ioas(); null detaches.
  Result<void> change(Ioas* ioas) TEEIO_REQUIRES(ioas_lock_);
  [[nodiscard]] IoPagetable::Pin pin_of(std::uint64_t iova, std::uint64_t length, bool write) const;

  Context& context_;
  AccessUser* const user_;
  const Pages pages_;
  object::Ref<object::File> context_file_;
  schedule::Mutex ioas_lock_{schedule::Rank::kIommufdGroup};
  Ioas* ioas_ TEEIO_GUARDED_BY(ioas_lock_) = nullptr;
  /// The same, but for the moment in which it changes: where unpin_pages() still works.
  Ioas* ioas_unpin_ TEEIO_GUARDED_BY(ioas_lock_) = nullptr;
};

}  // namespace teeio::iommufd
