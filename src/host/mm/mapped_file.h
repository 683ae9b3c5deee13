#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::mm {

/// The bytes that a program reaches when it maps one of our descriptors (a BAR,
/// kvm_run, shared guest_memfd pages), and the power to take them away.
///
/// A file has windows at fixed offsets, such as VFIO's region offsets. While a
/// window is exposed, its bytes live in the file, shared with every mapping;
/// otherwise an access of a mapping is SIGBUS. Linux: vfio_pci_zap_bars() and
/// the fault handler that refuses to map them again.
///
/// Lifetime: owned by the open file's object in host/; made by a
/// MappedFileFactory, i.e. by run/ (a real file) or in-process (plain memory).
/// Locking: none of its own; callers serialise (VFIO: memory_lock).
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  /// Makes [offset, offset + size) reachable; the bytes are zero or, after a
  /// revoke, undefined. The span stays valid until the object dies, also while
  /// revoked. Errors: ENOMEM, EFBIG.
  virtual Result<std::span<std::byte>> expose(std::uint64_t offset, std::uint64_t size) = 0;
  /// Takes all windows away from every mapping in every process, at once. The
  /// caller saves contents first. Cannot fail.
  virtual void revoke() = 0;
  /// Takes [offset, offset + size), page aligned and in one exposed window, out of every mapping:
  /// what is there from now on is zeros (fallocate(2), FALLOC_FL_PUNCH_HOLE). Cannot fail.
  virtual void punch_hole(std::uint64_t offset, std::uint64_t size) = 0;
  /// Whether a program maps any of [offset, offset + size) now. May be slow.
  [[nodiscard]] virtual bool mapped(std::uint64_t offset, std::uint64_t size) = 0;
};

}  // namespace teeio::mm
