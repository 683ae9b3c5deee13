#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/dmabuf/dmabuf.h"
#include "host/iommu/iommu.h"
#include "host/iommufd/area.h"
#include "host/iommufd/page_account.h"
#include "host/iommufd/pin_book.h"
#include "host/kvm/gmem.h"
#include "host/mm/user_memory.h"
#include "hw/physical_memory.h"
#include "object/ref.h"
#include "schedule/mutex.h"

namespace teeio::iommufd {

/// What the IOVAs of an area stand for (Linux: struct iopt_pages): a program's
/// memory, a memfd, or a BAR. Areas of several IOASes may share one.
///
/// Lifetime: counted by areas. While any domain maps them the bytes have an
/// address on the bus.
/// Locking: mutex() (Linux: pages->mutex), rank kIoptPages, or kIoptPagesDmabuf
/// for dma-bufs, whose importer runs below dma_resv.
class IoptPages : public object::Counted {
 public:
  /// The area as which whoever made the pages maps them, under the lock of its IOAS: a million
  /// mapped pages are a million pieces of memory instead of two.
  Area own_area;

  /// What they are pages of (Linux: enum iopt_address_type).
  enum class Source : std::uint8_t { kProgram, kFile, kDmabuf };
  [[nodiscard]] Source source() const { return source_; }
  [[nodiscard]] schedule::Mutex& mutex() TEEIO_RETURN_CAPABILITY(mutex_) { return mutex_; }
  /// Whether mappings of it may be writable.
  [[nodiscard]] bool writable() const { return writable_; }
  /// What IOVA allocation tries to keep the alignment of: the user address, or
  /// the offset in the file.
  [[nodiscard]] std::uint64_t address_hint() const { return address_hint_; }

  /// Enters `length` bytes from `start_byte` into a domain, and keeps the bytes
  /// on the bus until the unmap() that pairs with it. All values are aligned to the
  /// domain's smallest page. Nothing happens, with success, once revoked.
  /// Errors: EFAULT the memory could not be pinned; then Domain::map()'s.
  virtual Result<void> map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
                           std::uint64_t length, iommu::Prot prot) TEEIO_REQUIRES(mutex_) = 0;
  /// Undoes map(): first the domain, then the pin, never the other way round.
  /// Several calls may undo one map() piece by piece, or one call several of
  /// them: a split, or large pages switched on meanwhile.
  virtual void unmap(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
                     std::uint64_t length) TEEIO_REQUIRES(mutex_) = 0;

  /// What a domain that comes later asks first. Errors: EFAULT nothing holds the pages yet,
  /// and the process whose they were is gone.
  virtual Result<void> check_source() TEEIO_REQUIRES(mutex_) { return {}; }
  /// iopt_area_add_access(): keeps the pages on the bus for the CPU until the
  /// unpin_pages() that pairs with it. Errors: EINVAL pages that are no memory of a
  /// program; EFAULT they could not be pinned.
  virtual Result<void> pin_pages(std::uint64_t start_byte, std::uint64_t length)
      TEEIO_REQUIRES(mutex_);
  virtual void unpin_pages(std::uint64_t start_byte, std::uint64_t length) TEEIO_REQUIRES(mutex_);
  /// A page and where it is on the bus. Precondition: pinned or mapped.
  struct Place {
    mm::PageId page;
    Hpa address{0};
  };
  /// Errors: EINVAL as pin_pages().
  virtual Result<Place> place(std::uint64_t byte) TEEIO_REQUIRES(mutex_);
  /// iopt_pages_rw_access(). Errors: EPERM; EINVAL as pin_pages(); EFAULT.
  virtual Result<void> read(std::uint64_t byte, std::span<std::byte> out) TEEIO_REQUIRES(mutex_);
  virtual Result<void> write(std::uint64_t byte, ByteView in) TEEIO_REQUIRES(mutex_);
  /// Who pays for what is pinned; null: nobody does, as for a dma-buf's pages.
  [[nodiscard]] virtual PageAccount* account() TEEIO_REQUIRES(mutex_) { return nullptr; }

 protected:
  IoptPages(schedule::Rank rank, Source source, bool writable, std::uint64_t address_hint)
      : mutex_(rank), source_(source), writable_(writable), address_hint_(address_hint) {}
  ~IoptPages() override = default;

 private:
  schedule::Mutex mutex_;
  const Source source_;
  const bool writable_;
  const std::uint64_t address_hint_;
};

/// Pages of the program's memory or of a memfd.
class UserPages final : public IoptPages {
 public:
  /// `pages` as pinned at map time, or why that failed: Linux pins when the
  /// first domain needs the pages, and fails there. `book`: null, or where it is kept
  /// page by page what is pinned.
  /// The caller pays, in this mode.
  UserPages(hw::PhysicalMemory& memory, PinBook* book, Source source,
            Result<object::Ref<mm::Pages>> pages, bool writable, std::uint64_t address_hint,
            mm::Charges::Mode mode = mm::Charges::Mode::kUser);

  Result<void> map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte, std::uint64_t length,
                   iommu::Prot prot) override TEEIO_REQUIRES(mutex());
  void unmap(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
             std::uint64_t length) override TEEIO_REQUIRES(mutex());
  Result<void> check_source() override TEEIO_REQUIRES(mutex());
  Result<void> pin_pages(std::uint64_t start_byte, std::uint64_t length) override
      TEEIO_REQUIRES(mutex());
  void unpin_pages(std::uint64_t start_byte, std::uint64_t length) override TEEIO_REQUIRES(mutex());
  Result<Place> place(std::uint64_t byte) override TEEIO_REQUIRES(mutex());
  Result<void> read(std::uint64_t byte, std::span<std::byte> out) override TEEIO_REQUIRES(mutex());
  Result<void> write(std::uint64_t byte, ByteView in) override TEEIO_REQUIRES(mutex());
  [[nodiscard]] PageAccount* account() override TEEIO_REQUIRES(mutex()) { return &account_; }

 private:
  /// The pages as the bus sees them.
  class Window;
  struct Pinned;
  ~UserPages() override;
  Result<Hpa> pin(std::uint64_t start_byte, std::uint64_t length) TEEIO_REQUIRES(mutex());
  void unpin(std::uint64_t start_byte, std::uint64_t length) TEEIO_REQUIRES(mutex());
  Result<void> count_up(std::uint64_t start_byte, std::uint64_t length) TEEIO_REQUIRES(mutex());
  void count_down(std::uint64_t start_byte, std::uint64_t length) TEEIO_REQUIRES(mutex());

  hw::PhysicalMemory& memory_;
  PinBook* const book_;
  const Result<object::Ref<mm::Pages>> pages_;
  std::unique_ptr<Pinned> pinned_ TEEIO_GUARDED_BY(mutex());  ///< null: nothing is
  PageAccount account_ TEEIO_GUARDED_BY(mutex());
};

/// Pages of a guest_memfd: what a guest's own DMA addresses lead to where trusted requests go
/// through the host's tables. Frames stay as long as a domain maps them.
/// Source: "[RFC PATCH v2 12/22] iommufd: Allow mapping from guest_memfd", 2025-02-18.
class GmemPages final : public IoptPages {
 public:
  /// `start`: of the pages in the file.
  GmemPages(object::Ref<kvm::Gmem> gmem, std::uint64_t start, bool writable,
            std::uint64_t address_hint);

  /// Errors also: EAGAIN a page was punched out at that moment.
  Result<void> map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte, std::uint64_t length,
                   iommu::Prot prot) override TEEIO_REQUIRES(mutex());
  void unmap(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
             std::uint64_t length) override TEEIO_REQUIRES(mutex());

 private:
  ~GmemPages() override;
  const object::Ref<kvm::Gmem> gmem_;
  const std::uint64_t start_;
  /// The frames that are mapped, by domain and IOVA.
  std::map<std::pair<iommu::Domain*, Iova>, Hpa> mapped_ TEEIO_GUARDED_BY(mutex());
};

/// A range of a VFIO dma-buf. A revoke takes it out of every domain for good:
/// Linux iopt_revoke_notify().
class DmabufPages final : public IoptPages, private dmabuf::Importer {
 public:
  /// iopt_alloc_dmabuf_pages(), iopt_map_dmabuf(): the pages from `start`, which
  /// is page aligned; the caller has checked it against the buffer's size.
  /// Errors: DmaBuf::attach()'s and single_range()'s.
  static Result<object::Ref<DmabufPages>> create(object::Ref<dmabuf::DmaBuf> buffer,
                                                 std::uint64_t start, bool writable,
                                                 std::uint64_t address_hint);

  Result<void> map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte, std::uint64_t length,
                   iommu::Prot prot) override TEEIO_REQUIRES(mutex());
  void unmap(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
             std::uint64_t length) override TEEIO_REQUIRES(mutex());

 private:
  /// Where the range is mapped (Linux: struct iopt_pages_dmabuf_track).
  struct Mapped {
    iommu::Domain* domain;
    Iova iova;
    std::uint64_t length;
  };
  DmabufPages(object::Ref<dmabuf::DmaBuf> buffer, std::uint64_t start, bool writable,
              std::uint64_t address_hint)
      : IoptPages(schedule::Rank::kIoptPagesDmabuf, Source::kDmabuf, writable, address_hint),
        buffer_(std::move(buffer)),
        start_(start) {}
  ~DmabufPages() override;
  Result<void> attach();
  void set_range(const dmabuf::PhysRange& range) TEEIO_EXCLUDES(mutex());
  void invalidated(dmabuf::Attachment& attachment) override;

  const object::Ref<dmabuf::DmaBuf> buffer_;
  const std::uint64_t start_;
  dmabuf::Attachment* attachment_ = nullptr;  ///< constant after attach()
  bool pinned_ = false;                       ///< likewise
  /// Nothing once revoked (Linux: phys.len == 0).
  std::optional<dmabuf::PhysRange> range_ TEEIO_GUARDED_BY(mutex());
  std::vector<Mapped> mapped_ TEEIO_GUARDED_BY(mutex());
};

}  // namespace teeio::iommufd
