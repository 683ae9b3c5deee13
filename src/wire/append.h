#pragma once

#include <array>
#include <concepts>

#include "base/bytes.h"

namespace teeio::wire {

/// Appends one little-endian field. For encoders on the path of every IDE_KM and
/// TDISP message, which reserve what they need once; others use Writer.
template <std::unsigned_integral T>
void append_le(Bytes& out, T value) {
  std::array<std::byte, sizeof(T)> raw{};
  for (std::size_t i = 0; i < sizeof(T); ++i)
    raw[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
  out.insert(out.end(), raw.begin(), raw.end());
}
inline void append(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace teeio::wire
