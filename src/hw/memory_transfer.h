#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "hw/physical_memory.h"
#include "schedule/races.h"

namespace teeio::hw::detail {

// What a piece of an access does to each kind of target: a read's bytes come, a write's go.

// Memory gives no order: that a device writes what a CPU reads is their own affair.
inline void copy(std::span<std::byte> memory, std::span<std::byte> out) {
  const schedule::Unwatched unwatched;
  std::memcpy(out.data(), memory.data(), out.size());
}
inline void copy(std::span<std::byte> memory, ByteView in) {
  const schedule::Unwatched unwatched;
  std::memcpy(memory.data(), in.data(), in.size());
}
inline Result<void> transfer_window(WindowTarget& target, std::uint64_t offset,
                                    std::span<std::byte> out) {
  return target.read(offset, out);
}
inline Result<void> transfer_window(WindowTarget& target, std::uint64_t offset, ByteView in) {
  return target.write(offset, in);
}
// Without a target, as a master abort: ones are read, writes vanish.
inline void transfer_mmio(MmioTarget* target, std::uint64_t offset, std::span<std::byte> out) {
  if (target == nullptr) return std::ranges::fill(out, std::byte{0xff}), void();
  target->mmio_read(offset, out);
}
inline void transfer_mmio(MmioTarget* target, std::uint64_t offset, ByteView in) {
  if (target != nullptr) target->mmio_write(offset, in);
}
inline bool peer_transfer(MmioTarget& target, std::uint64_t offset, std::span<std::byte> out) {
  return target.peer_read(offset, out);
}
inline bool peer_transfer(MmioTarget& target, std::uint64_t offset, ByteView in) {
  return target.peer_write(offset, in);
}

}  // namespace teeio::hw::detail
