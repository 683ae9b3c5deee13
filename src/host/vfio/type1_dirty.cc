// Dirty pages of a type 1 container. Source: Linux drivers/vfio/vfio_iommu_type1.c,
// vfio_iommu_type1_dirty_pages(), update_user_bitmap().

#include <algorithm>
#include <array>

#include "host/vfio/type1.h"

namespace teeio::vfio {

Result<void> Type1::start_dirty_tracking() {
  const schedule::Lock lock(lock_);
  for (const auto& [iova, dma] : dmas_)
    if (dma.length / page_size() > kMaxBitmapPages)
      return fail(Errno::kInval, "a mapping is larger than a dirty bitmap can be");
  dirty_tracking_ = true;
  return {};
}

void Type1::stop_dirty_tracking() {
  const schedule::Lock lock(lock_);
  dirty_tracking_ = false;
}

/// Sets `bits` bits from `first_bit` on. The word that the mapping before shares keeps its
/// low bits; the rest of the last word becomes 0.
Result<void> Type1::write_bitmap(mm::UserMemory& memory, std::uint64_t bitmap,
                                 std::uint64_t first_bit, std::uint64_t bits) {
  constexpr std::uint64_t kWordBits = 64;
  const std::uint64_t shift = first_bit % kWordBits;
  std::uint64_t at = bitmap + first_bit / kWordBits * sizeof(std::uint64_t);
  std::uint64_t kept = 0;
  if (shift != 0) {
    TEEIO_TRY(memory.read(at, writable_bytes_of(kept)));
    kept &= (std::uint64_t{1} << shift) - 1;
  }
  std::array<std::uint64_t, 512> piece{};
  std::uint64_t position = 0;  // of the next word's first bit
  const std::uint64_t end = shift + bits;
  while (position < end) {
    std::size_t words = 0;
    for (; words < piece.size() && position < end; ++words, position += kWordBits) {
      const std::uint64_t set = std::min(end - position, kWordBits);
      piece.at(words) = set == kWordBits ? ~std::uint64_t{0} : (std::uint64_t{1} << set) - 1;
      if (position == 0 && shift != 0)
        piece.at(words) = (piece.at(words) & ~((std::uint64_t{1} << shift) - 1)) | kept;
    }
    const auto bytes = std::as_bytes(std::span(piece).first(words));
    TEEIO_TRY(memory.write(at, bytes));
    at += bytes.size();
  }
  return {};
}

Result<void> Type1::dirty_bitmap(mm::UserMemory& memory, const DirtyRange& range) {
  const schedule::Lock lock(lock_);
  const std::uint64_t mask = page_size() - 1;
  if (range.page_size != page_size())
    return fail(Errno::kInval, "dirty pages are those of the IOMMU's smallest size");
  if (((range.iova | (range.last + 1)) & mask) != 0)
    return fail(Errno::kInval, "the range is not aligned");
  if (!dirty_tracking_) return fail(Errno::kInval, "dirty pages are not tracked");
  if (cuts(range.iova, range.last)) return fail(Errno::kInval, "the range cuts a mapping");
  for (auto dma = dmas_.lower_bound(range.iova); dma != dmas_.end() && dma->first <= range.last;
       ++dma)
    TEEIO_TRY(write_bitmap(memory, range.bitmap, (dma->first - range.iova) / range.page_size,
                           dma->second.length / range.page_size));
  return {};
}

}  // namespace teeio::vfio
