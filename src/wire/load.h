#pragma once

#include <bit>
#include <concepts>
#include <cstring>

#include "base/bytes.h"

namespace teeio::wire {

/// The little-endian field that `in` begins with, at once: for decoders of each of a capture's
/// packets. Others use Reader. Precondition: it is there.
template <std::unsigned_integral T>
[[nodiscard]] T load_le(ByteView in) {
  T value = 0;
  std::memcpy(&value, in.data(), sizeof(value));
  return std::endian::native == std::endian::big ? std::byteswap(value) : value;
}

}  // namespace teeio::wire
