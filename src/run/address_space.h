#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "run/fd.h"

namespace teeio::run {

/// A thread's memory as /proc shows it. Both files stay with the address space that the thread
/// has now: an exec or a reused thread id cannot redirect them. They are opened once for all
/// that is pinned there, which may be a million pages.
///
/// Lifetime: keeps no memory of the program (fs/proc/base.c, proc_mem_open(): mmgrab()).
/// Locking: none, it is constant.
class AddressSpace {
 public:
  explicit AddressSpace(pid_t tid);

  /// /proc/<tid>/maps, for ask_maps(). Not open where we may not look.
  [[nodiscard]] const Fd& maps() const { return maps_; }
  enum class Memory : std::uint8_t { kNone, kReadable, kWritable };
  /// What may be done with it, whatever its mappings allow.
  [[nodiscard]] Memory memory() const { return memory_; }
  /// Give whether all of it was there.
  [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> out) const;
  [[nodiscard]] bool write(std::uint64_t address, ByteView in) const;

 private:
  const Fd maps_;
  Fd mem_;
  Memory memory_ = Memory::kNone;
};

}  // namespace teeio::run
