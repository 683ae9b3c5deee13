#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "object/ref.h"

namespace teeio::mm {

/// The first byte of its page.
[[nodiscard]] constexpr std::uint64_t page_base(std::uint64_t value) {
  return value & ~(kPageSize - 1);
}

enum class Access : std::uint8_t { kRead, kReadWrite };

/// Which page of memory it is (Linux: struct page *), whoever maps it: one of a file, or,
/// with `device` 0, of an address space. Not for events: it differs from run to run.
struct PageId {
  std::uint64_t device = 0;
  std::uint64_t file = 0;
  std::uint64_t offset = 0;  ///< page aligned
  auto operator<=>(const PageId&) const = default;
};

/// A run of a program's memory that the host holds on to for DMA or as a
/// memslot (Linux: pinned pages, or the pages of a file).
///
/// Lifetime: counted; holds its memory until the last reference is gone.
class Pages : public object::Counted {
 public:
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  /// Copies from or to `offset` bytes after the start. Errors: EFAULT when the
  /// memory is no longer there (docs/divergences.md: Linux's pins outlive munmap).
  /// Precondition: the range lies inside size_bytes().
  virtual Result<void> read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual Result<void> write(std::uint64_t offset, ByteView in) = 0;
  /// All of it mapped into this process, if it is (shared, file-backed memory);
  /// empty if it can only be copied. Stable while the object lives.
  [[nodiscard]] virtual std::span<std::byte> direct() = 0;
  /// The page that `offset` lies in.
  [[nodiscard]] virtual PageId page(std::uint64_t offset) = 0;
  /// Whether the address space that they came from is there still (mmget_not_zero()); of
  /// a file's pages always.
  [[nodiscard]] virtual bool present() { return true; }
};

/// A program's address space as one system call sees it (Linux: copy_from_user
/// and friends). Read once and write once a call: the program may change it.
class UserMemory {
 public:
  virtual ~UserMemory() = default;
  /// Errors: EFAULT unless the whole range is readable / writable.
  virtual Result<void> read(std::uint64_t address, std::span<std::byte> out) = 0;
  virtual Result<void> write(std::uint64_t address, ByteView in) = 0;
  /// Takes hold of [address, address + length), both page aligned.
  /// Errors: EFAULT when a page is missing or `access` is not allowed; ENOMEM.
  virtual Result<object::Ref<Pages>> pin(std::uint64_t address, std::uint64_t length,
                                         Access access) = 0;
  /// get_user_pages() of the pages that the range touches, without a hold on them. Errors:
  /// EFAULT.
  virtual Result<std::vector<PageId>> pages(std::uint64_t address, std::uint64_t length) = 0;
};

}  // namespace teeio::mm
