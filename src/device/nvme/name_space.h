#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace teeio::nvme {

/// The bytes of a namespace: a file's, or memory that is gone with the machine.
///
/// What was written is in the file at once (in the kernel's page cache, which outlives this
/// process), and on its disk after flush(). After a flush that failed nobody knows what is
/// on the disk: writes and flushes fail from then on.
///
/// Lifetime: the card's. Locking: the card's lock.
class NameSpace {
 public:
  /// Opens `path` for reading and writing, and keeps everybody else out by a lock (flock())
  /// as long as it lives. Its bytes are the file's, or its first `bytes` if not 0.
  /// Errors: open()'s; EINVAL: no regular file, or less than a block; EBUSY: another process
  /// (or another namespace) has it; ENOSPC: it has fewer than `bytes`.
  static Result<NameSpace> open(const std::string& path, std::uint64_t bytes);
  /// Zeroed memory, taken as it is written. A fork of this process has a copy of its own, as
  /// of the machine's RAM: what one run of a sweep writes no other reads. Errors: ENOMEM.
  static Result<NameSpace> in_memory(std::uint64_t bytes);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool is_file() const { return file_.ok(); }
  /// It cannot be written any more.
  [[nodiscard]] bool failed() const { return failed_; }

  /// Precondition of all: the range lies inside. Errors: the file's: EIO, ENOSPC …
  Result<void> read(std::uint64_t offset, std::span<std::byte> out);
  /// The bytes themselves, until the next call; empty: they are in a file.
  [[nodiscard]] ByteView look(std::uint64_t offset, std::uint64_t bytes) {
    return is_file() ? ByteView() : ByteView(at(offset, bytes));
  }
  Result<void> write(std::uint64_t offset, ByteView in);
  /// The bytes read as zero; room that they took is given back where the file system can.
  Result<void> zero(std::uint64_t offset, std::uint64_t bytes);
  Result<void> flush();

 private:
  struct Unmap {
    std::uint64_t bytes = 0;
    void operator()(std::byte* memory) const;
  };
  using Memory = std::unique_ptr<std::byte, Unmap>;

  NameSpace(Fd file, Memory memory, std::uint64_t bytes)
      : file_(std::move(file)), memory_(std::move(memory)), bytes_(bytes) {}
  /// That of memory.
  [[nodiscard]] std::span<std::byte> at(std::uint64_t offset, std::uint64_t bytes) {
    return std::span(memory_.get(), bytes_).subspan(offset, bytes);
  }
  Result<void> zero_file(std::uint64_t offset, std::uint64_t bytes);

  Fd file_;        ///< not ok() for memory
  Memory memory_;  ///< null for a file
  std::uint64_t bytes_;
  bool failed_ = false;
};

}  // namespace teeio::nvme
