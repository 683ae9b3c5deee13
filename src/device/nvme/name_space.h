#pragma once

#include <cstdint>
#include <span>
#include <string>

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
  /// Zeroed memory, taken as it is written. Errors: ENOMEM, EMFILE.
  static Result<NameSpace> in_memory(std::uint64_t bytes);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool is_file() const { return is_file_; }
  /// It cannot be written any more.
  [[nodiscard]] bool failed() const { return failed_; }

  /// Precondition of all: the range lies inside. Errors: the file's: EIO, ENOSPC …
  Result<void> read(std::uint64_t offset, std::span<std::byte> out);
  Result<void> write(std::uint64_t offset, ByteView in);
  /// The bytes read as zero; room that they took is given back where the file system can.
  Result<void> zero(std::uint64_t offset, std::uint64_t bytes);
  Result<void> flush();

 private:
  NameSpace(Fd file, std::uint64_t bytes, bool is_file)
      : file_(std::move(file)), bytes_(bytes), is_file_(is_file) {}

  Fd file_;  ///< a memfd for memory
  std::uint64_t bytes_;
  bool is_file_;
  bool failed_ = false;
};

}  // namespace teeio::nvme
