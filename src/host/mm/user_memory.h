#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "object/ref.h"

namespace teeio::mm {

enum class Access : std::uint8_t { kRead, kReadWrite };

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
};

}  // namespace teeio::mm
