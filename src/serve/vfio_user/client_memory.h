#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "serve/vfio_user/protocol.h"

namespace teeio::vfio_user {

/// Carries DMA to a client that has given no descriptor for a range.
class DmaWire {
 public:
  virtual ~DmaWire() = default;
  /// Sends a command and gives the answer's payload. Errors: the client's errno; EIO: it is
  /// gone, or did not answer in time.
  virtual Result<Bytes> exchange(Command command, ByteView payload) = 0;
};

/// The memory that a client has mapped for its device's DMA.
///
/// Bytes behind a descriptor are reached through a mapping of ours, by copies that the
/// kernel makes (process_vm_readv): a file that the client cut short is an error, no signal.
///
/// Lifetime: one session. Locking: none: the session's task alone, which is also the one
/// whose register writes make the device move data.
class ClientMemory {
 public:
  /// `max_dma_maps`: what clients assume who are not told. Linux: dma_entry_limit.
  static constexpr std::size_t kMaxMappings = 65535;
  /// Ranges with a descriptor, of all clients together: a process has 65530 mappings
  /// (vm.max_map_count), and needs some of them itself.
  static constexpr std::uint64_t kMaxFileRanges = 32768;
  /// Of all descriptors' ranges of one client: our address space is everybody's.
  static constexpr std::uint64_t kMaxMappedBytes = std::uint64_t{1} << 40U;

  explicit ClientMemory(DmaWire& wire) : wire_(wire) {}
  ~ClientMemory() { unmap_all(); }
  ClientMemory(const ClientMemory&) = delete;
  ClientMemory& operator=(const ClientMemory&) = delete;

  /// What the client takes in one message.
  void set_max_transfer(std::uint64_t bytes);

  /// `file`: -1 for a range over the wire; stays the caller's.
  /// Errors: EINVAL flags, size, alignment or wrap; EEXIST overlap; ENOSPC too many or too
  /// much; of mmap(): EACCES, ENODEV, ENOMEM …
  Result<void> map(const DmaMap& request, int file);
  /// Every mapping that lies in the range goes, as of VFIO's type 1 IOMMU; none is no error.
  /// Errors: EINVAL flags or size make no sense, or the range cuts a mapping; ENOTSUP dirty
  /// bitmaps.
  Result<void> unmap(const DmaUnmap& request);
  void unmap_all();
  [[nodiscard]] std::size_t mappings() const { return ranges_.size(); }

  /// Errors: EFAULT: not all of it is mapped so, or it is not there; those of the wire.
  Result<void> read(std::uint64_t address, std::span<std::byte> out);
  Result<void> write(std::uint64_t address, ByteView in);

  /// Whether this kernel lets us copy so.
  [[nodiscard]] static bool works();

 private:
  struct Range {
    std::uint64_t size = 0;
    std::uint32_t flags = 0;
    std::byte* bytes = nullptr;  ///< nullptr: over the wire
  };
  struct Piece {
    std::byte* bytes;  ///< nullptr: over the wire
    std::uint64_t size;
  };
  [[nodiscard]] Result<Piece> find(std::uint64_t address, std::uint64_t size,
                                   std::uint32_t flag) const;
  [[nodiscard]] bool overlaps(std::uint64_t address, std::uint64_t last) const;
  void drop(std::map<std::uint64_t, Range>::iterator at);
  Result<void> read_wire(std::uint64_t address, std::span<std::byte> out);
  Result<void> write_wire(std::uint64_t address, ByteView in);

  DmaWire& wire_;
  std::uint64_t max_transfer_ = kMaxTransfer;
  std::map<std::uint64_t, Range> ranges_;  ///< by first address
  std::uint64_t mapped_bytes_ = 0;
};

}  // namespace teeio::vfio_user
