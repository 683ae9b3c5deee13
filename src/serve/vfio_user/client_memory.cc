#include "serve/vfio_user/client_memory.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/types.h"
#include "schedule/atomic.h"

namespace teeio::vfio_user {
namespace {

/// Of all clients: ranges that are mapped here.
schedule::Atomic<std::uint64_t> file_ranges;

/// One copy between two places of our own memory, of which `ours` is sound.
bool copy_in(std::span<std::byte> ours, const std::byte* theirs) {
  const iovec local{ours.data(), ours.size()};
  const iovec remote{const_cast<std::byte*>(theirs), ours.size()};
  return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(ours.size());
}
bool copy_out(ByteView ours, std::byte* theirs) {
  const iovec local{const_cast<std::byte*>(ours.data()), ours.size()};
  const iovec remote{theirs, ours.size()};
  return ::process_vm_writev(::getpid(), &local, 1, &remote, 1, 0) ==
         static_cast<ssize_t>(ours.size());
}

Errno last_errno() { return Errno{static_cast<std::uint16_t>(errno)}; }

int protection(std::uint32_t flags) {
  return ((flags & DmaMap::kRead) != 0 ? PROT_READ : 0) |
         ((flags & DmaMap::kWrite) != 0 ? PROT_WRITE : 0);
}

}  // namespace

bool ClientMemory::works() {
  std::array<std::byte, 1> from{std::byte{1}};
  std::array<std::byte, 1> to{};
  return copy_in(to, from.data()) && to == from;
}

void ClientMemory::set_max_transfer(std::uint64_t bytes) {
  max_transfer_ = std::min<std::uint64_t>(bytes, kMaxTransfer);
}

bool ClientMemory::overlaps(std::uint64_t address, std::uint64_t last) const {
  auto after = ranges_.upper_bound(last);
  if (after == ranges_.begin()) return false;
  --after;
  return after->first + (after->second.size - 1) >= address;
}

/// The checks are those of drivers/vfio/vfio_iommu_type1.c, vfio_dma_do_map(); that a range
/// must not be mapped over another is the specification's, too.
Result<void> ClientMemory::map(const DmaMap& request, int file) {
  constexpr std::uint32_t kFlags = DmaMap::kRead | DmaMap::kWrite;
  if (request.flags == 0 || (request.flags & ~kFlags) != 0)
    return fail(Errno::kInval, "a mapping is readable, writable, or both");
  if (request.size == 0 || !is_page_aligned(request.address | request.size | request.offset))
    return fail(Errno::kInval, "a mapping consists of whole pages");
  const std::uint64_t last = request.address + (request.size - 1);
  if (last < request.address) return fail(Errno::kInval, "a mapping wraps");
  if (overlaps(request.address, last)) return fail(Errno::kExist, "the range is mapped already");
  if (ranges_.size() >= kMaxMappings) return fail(Errno::kNoSpc, "there are too many mappings");
  Range range{.size = request.size, .flags = request.flags};
  if (file >= 0) {
    if (request.size > kMaxMappedBytes - mapped_bytes_)
      return fail(Errno::kNoSpc, "the client maps more than 1 TiB");
    if (file_ranges.fetch_add(1) >= kMaxFileRanges) {
      file_ranges.fetch_add(~std::uint64_t{0});
      return fail(Errno::kNoSpc, "all clients together have too many mappings");
    }
    void* const at = ::mmap(nullptr, request.size, protection(request.flags), MAP_SHARED, file,
                            static_cast<off_t>(request.offset));
    if (at == MAP_FAILED) {
      const Errno why = last_errno();
      file_ranges.fetch_add(~std::uint64_t{0});
      return fail(why, "the descriptor cannot be mapped so");
    }
    range.bytes = static_cast<std::byte*>(at);
    mapped_bytes_ += request.size;
  }
  ranges_.emplace(request.address, range);
  return {};
}

void ClientMemory::drop(std::map<std::uint64_t, Range>::iterator at) {
  if (at->second.bytes != nullptr) {
    (void)::munmap(at->second.bytes, at->second.size);
    mapped_bytes_ -= at->second.size;
    file_ranges.fetch_add(~std::uint64_t{0});
  }
  ranges_.erase(at);
}

void ClientMemory::unmap_all() {
  while (!ranges_.empty()) drop(ranges_.begin());
}

/// QEMU unmaps what a guest's IOMMU invalidates, which may be more than was mapped, or
/// nothing: so the rule is Linux's (vfio_dma_do_unmap()), not the specification's exact match.
Result<void> ClientMemory::unmap(const DmaUnmap& request) {
  if ((request.flags & DmaUnmap::kDirtyBitmap) != 0)
    return fail(Errno::kOpNotSupp, "there are no dirty bitmaps");
  if ((request.flags & ~DmaUnmap::kAll) != 0) return fail(Errno::kInval, "unknown flags");
  if ((request.flags & DmaUnmap::kAll) != 0) {
    if (request.address != 0 || request.size != 0)
      return fail(Errno::kInval, "all of it has no address and no size");
    unmap_all();
    return {};
  }
  if (request.size == 0 || !is_page_aligned(request.address | request.size))
    return fail(Errno::kInval, "a range consists of whole pages");
  const std::uint64_t last = request.address + (request.size - 1);
  if (last < request.address) return fail(Errno::kInval, "the range wraps");
  const auto before = ranges_.lower_bound(request.address);
  if (before != ranges_.begin()) {
    const auto& [start, range] = *std::prev(before);
    if (start + (range.size - 1) >= request.address)
      return fail(Errno::kInval, "the range begins within a mapping");
  }
  if (const auto after = ranges_.upper_bound(last); after != ranges_.begin()) {
    const auto& [start, range] = *std::prev(after);
    if (start >= request.address && start + (range.size - 1) > last)
      return fail(Errno::kInval, "the range ends within a mapping");
  }
  for (auto at = before; at != ranges_.end() && at->first <= last;)
    drop(std::exchange(at, std::next(at)));
  return {};
}

Result<ClientMemory::Piece> ClientMemory::find(std::uint64_t address, std::uint64_t size,
                                               std::uint32_t flag) const {
  auto at = ranges_.upper_bound(address);
  if (at == ranges_.begin()) return fail(Errno::kFault, "the client has not mapped the address");
  --at;
  const auto& [start, range] = *at;
  const std::uint64_t into = address - start;
  if (into >= range.size) return fail(Errno::kFault, "the client has not mapped the address");
  if ((range.flags & flag) == 0) return fail(Errno::kFault, "the client has not mapped it so");
  return Piece{range.bytes == nullptr ? nullptr : range.bytes + into,
               std::min(size, range.size - into)};
}

Result<void> ClientMemory::read(std::uint64_t address, std::span<std::byte> out) {
  while (!out.empty()) {
    TEEIO_ASSIGN(const Piece piece, find(address, out.size(), DmaMap::kRead));
    const auto part = out.first(piece.size);
    if (piece.bytes == nullptr) {
      TEEIO_TRY(read_wire(address, part));
    } else if (!copy_in(part, piece.bytes)) {
      return fail(Errno::kFault, "the client's file has no such bytes");
    }
    out = out.subspan(piece.size);
    address += piece.size;
  }
  return {};
}

Result<void> ClientMemory::write(std::uint64_t address, ByteView in) {
  while (!in.empty()) {
    TEEIO_ASSIGN(const Piece piece, find(address, in.size(), DmaMap::kWrite));
    const auto part = in.first(piece.size);
    if (piece.bytes == nullptr) {
      TEEIO_TRY(write_wire(address, part));
    } else if (!copy_out(part, piece.bytes)) {
      return fail(Errno::kFault, "the client's file has no such bytes");
    }
    in = in.subspan(piece.size);
    address += piece.size;
  }
  return {};
}

Result<void> ClientMemory::read_wire(std::uint64_t address, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t size = std::min<std::uint64_t>(out.size(), max_transfer_);
    TEEIO_ASSIGN(const Bytes answer,
                 wire_.exchange(Command::kDmaRead, Writer().le(address).le(size).take()));
    Reader r(answer);
    const auto from = r.le<std::uint64_t>();
    const auto count = r.le<std::uint64_t>();
    const ByteView data = r.take(size);
    if (!r.ok() || from != address || count != size)
      return fail(Errno::kIo, "the client's answer to DMA_READ makes no sense");
    std::ranges::copy(data, out.begin());
    out = out.subspan(size);
    address += size;
  }
  return {};
}

Result<void> ClientMemory::write_wire(std::uint64_t address, ByteView in) {
  while (!in.empty()) {
    const std::uint64_t size = std::min<std::uint64_t>(in.size(), max_transfer_);
    TEEIO_ASSIGN(const Bytes answer,
                 wire_.exchange(Command::kDmaWrite,
                                Writer().le(address).le(size).bytes(in.first(size)).take()));
    Reader r(answer);
    // The count has 4 bytes by the specification and 8 by others.
    if (r.le<std::uint64_t>() != address || r.le<std::uint32_t>() != size || !r.ok())
      return fail(Errno::kIo, "the client's answer to DMA_WRITE makes no sense");
    in = in.subspan(size);
    address += size;
  }
  return {};
}

}  // namespace teeio::vfio_user
