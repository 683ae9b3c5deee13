#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "host/mm/user_memory.h"

/// The part of a structure up to and with `field`: "minsz" of Linux's ioctls.
#define TEEIO_END_OF(type, field) (offsetof(type, field) + sizeof(type::field))

namespace teeio::entry {

/// get_user() and copy_from_user() of a fixed-size object. Errors: EFAULT.
template <class T>
Result<T> copy_in(mm::UserMemory& memory, std::uint64_t address) {
  T value{};
  TEEIO_TRY(memory.read(address, writable_bytes_of(value)));
  return value;
}
template <class T>
Result<void> copy_out(mm::UserMemory& memory, std::uint64_t address, const T& value) {
  return memory.write(address, bytes_of(value));
}

/// Checks that [address, address + size) holds only zeros, piece by piece, so
/// that a nonzero byte before an unreadable page is what is reported, as
/// check_zeroed_user() does. Errors: E2BIG, EFAULT.
inline Result<void> check_zeroed(mm::UserMemory& memory, std::uint64_t address,
                                 std::uint64_t size) {
  std::array<std::byte, 256> piece{};
  while (size != 0) {
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(size, piece.size() - address % piece.size()));
    const std::span<std::byte> part = std::span(piece).first(count);
    TEEIO_TRY(memory.read(address, part));
    if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; }))
      return fail(Errno::kTooBig, "the structure has fields that this ABI does not know");
    address += count;
    size -= count;
  }
  return {};
}

/// An extensible structure whose first u32 is its size: missing fields are zero,
/// unknown ones must be. Source: Linux include/linux/uaccess.h,
/// copy_struct_from_user(). Errors: EFAULT; EINVAL below `min_size`; E2BIG.
template <class T>
Result<T> copy_struct_in(mm::UserMemory& memory, std::uint64_t address, std::uint32_t min_size) {
  T value{};
  std::uint32_t size = 0;
  // At once, if all that could be known lies in one page, and nobody has to be waited for that
  // the program did not name: most programs' structure does.
  const std::span<std::byte> all = writable_bytes_of(value);
  const bool whole = address % kPageSize + sizeof(T) <= kPageSize && memory.read(address, all);
  if (whole) std::memcpy(&size, &value, sizeof size);
  if (!whole) {
    value = {};
    TEEIO_ASSIGN(size, copy_in<std::uint32_t>(memory, address));
  }
  if (size < min_size) return fail(Errno::kInval, "the structure is smaller than the ABI's first");
  if (size > sizeof(T)) TEEIO_TRY(check_zeroed(memory, address + sizeof(T), size - sizeof(T)));
  const std::size_t known = std::min<std::size_t>(size, sizeof(T));
  if (!whole) TEEIO_TRY(memory.read(address, all.first(known)));
  std::ranges::fill(all.subspan(known), std::byte{0});
  return value;
}

/// VFIO's structures start with argsz, which must cover the first `min_size` bytes;
/// only those are read. Errors: EFAULT, EINVAL.
template <class T>
Result<T> copy_argsz_in(mm::UserMemory& memory, std::uint64_t address, std::size_t min_size) {
  T value{};
  TEEIO_TRY(memory.read(address, writable_bytes_of(value).first(min_size)));
  if (value.argsz < min_size) return fail(Errno::kInval, "argsz is smaller than the structure");
  return value;
}

/// The answer, as much of it as the program's structure has. Errors: EFAULT.
template <class T>
Result<void> copy_struct_out(mm::UserMemory& memory, std::uint64_t address, const T& value,
                             std::uint32_t user_size) {
  return memory.write(address, bytes_of(value).first(std::min<std::size_t>(user_size, sizeof(T))));
}

}  // namespace teeio::entry
