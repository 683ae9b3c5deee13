#pragma once

#include <cstdint>
#include <map>

#include "host/mm/user_memory.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::mm {

/// Memory of an in-process caller, reached without a copy: `Pages` over a
/// buffer that lives as long as the last of them.
class PlainPages final : public Pages {
 public:
  /// `size_bytes` zeroed bytes.
  [[nodiscard]] static object::Ref<PlainPages> create(std::uint64_t size_bytes);
  /// A part of `whole`, which it keeps. Precondition: lies inside.
  [[nodiscard]] static object::Ref<PlainPages> part_of(PlainPages& whole, std::uint64_t offset,
                                                       std::uint64_t size_bytes);

  [[nodiscard]] std::uint64_t size_bytes() const override { return bytes_.size(); }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override;
  Result<void> write(std::uint64_t offset, ByteView in) override;
  [[nodiscard]] std::span<std::byte> direct() override { return bytes_; }
  /// The buffer is the file.
  [[nodiscard]] PageId page(std::uint64_t offset) override;

 private:
  struct Buffer;
  PlainPages(object::Ref<Buffer> buffer, std::span<std::byte> bytes);
  ~PlainPages() override;
  const object::Ref<Buffer> buffer_;
  const std::span<std::byte> bytes_;
};

/// The address space of an in-process caller: the explorer's programs, unit
/// tests and the embedding API. Addresses are chosen in ascending order from
/// kFirstAddress with a gap after each mapping, so that they are the same in
/// every run and an overrun is a fault.
///
/// Lifetime: pins outlive unmap(), as in Linux.
/// Locking: own lock, rank kMm, for what Linux does under mmap_lock: map, unmap
/// and pin. Copies take none that counts: a call that reads its argument is no
/// scheduling point.
class PlainMemory final : public UserMemory {
 public:
  static constexpr std::uint64_t kFirstAddress = 0x10'0000;

  /// mmap(MAP_ANONYMOUS): zeroed pages; gives their address.
  /// Precondition: `size_bytes` is a positive multiple of the page size.
  std::uint64_t map(std::uint64_t size_bytes, Access access = Access::kReadWrite)
      TEEIO_EXCLUDES(mutex_);
  /// munmap() of a whole mapping. Precondition: `address` came from map().
  void unmap(std::uint64_t address) TEEIO_EXCLUDES(mutex_);

  Result<void> read(std::uint64_t address, std::span<std::byte> out) override;
  Result<void> write(std::uint64_t address, ByteView in) override;
  Result<object::Ref<Pages>> pin(std::uint64_t address, std::uint64_t length,
                                 Access access) override TEEIO_EXCLUDES(mutex_);
  Result<std::vector<PageId>> pages(std::uint64_t address, std::uint64_t length) override;

 private:
  struct Mapping {
    object::Ref<PlainPages> pages;
    Access access;
  };
  struct Place {
    Mapping* mapping;
    std::uint64_t offset;
  };
  /// Errors: EFAULT unless one mapping covers all of it.
  /// Under book_, which keeps the map whole.
  Result<Place> find(std::uint64_t address, std::uint64_t length, Access access)
      TEEIO_REQUIRES(book_);

  schedule::Mutex mutex_{schedule::Rank::kMm};
  // no Turn: a program that unmaps what its own threads use is on its own
  schedule::RawLock book_;
  std::map<std::uint64_t, Mapping> mappings_ TEEIO_GUARDED_BY(book_);
  std::uint64_t next_address_ TEEIO_GUARDED_BY(mutex_) = kFirstAddress;
};

}  // namespace teeio::mm
