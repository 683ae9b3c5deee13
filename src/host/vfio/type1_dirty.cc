// Dirty pages of a type 1 container. Source: Linux drivers/vfio/vfio_iommu_type1.c,
// vfio_iommu_type1_dirty_pages(), update_user_bitmap().

#include "host/vfio/type1.h"

namespace teeio::vfio {
namespace {

constexpr std::uint64_t kWordBits = 64;

/// The lowest `count` bits, at most a word.
constexpr std::uint64_t low_bits(std::uint64_t count) {
  return count >= kWordBits ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

}  // namespace

/// vfio_dma_bitmap_alloc().
void Type1::make_bitmap(Dma& dma) const {
  const std::uint64_t pages = dma.length / page_size();
  dma.bitmap.assign((pages + kWordBits - 1) / kWordBits + 1, 0);
}

Result<void> Type1::start_dirty_tracking() {
  const schedule::Lock lock(lock_);
  if (dirty_tracking_) return {};
  for (const auto& [iova, dma] : dmas_)
    if (dma.length / page_size() > kMaxBitmapPages)
      return fail(Errno::kInval, "a mapping is larger than a dirty bitmap can be");
  for (auto& [iova, dma] : dmas_) make_bitmap(dma);
  dirty_tracking_ = true;
  return {};
}

void Type1::stop_dirty_tracking() {
  const schedule::Lock lock(lock_);
  for (auto& [iova, dma] : dmas_) dma.bitmap = {};
  dirty_tracking_ = false;
}

/// update_user_bitmap(). The bits move up within their own memory and all of the program's
/// first word is added to them. What that leaves behind the mapping's last page shows at
/// later calls, as it does on Linux.
Result<void> Type1::write_bitmap(mm::UserMemory& memory, Dma& dma, std::uint64_t bitmap,
                                 std::uint64_t first_bit) {
  const std::uint64_t pages = dma.length / page_size();
  std::vector<std::uint64_t>& bits = dma.bitmap;
  for (std::uint64_t page = 0; page < pages; page += kWordBits)
    bits[page / kWordBits] |= low_bits(pages - page);
  const std::uint64_t shift = first_bit % kWordBits;
  const std::uint64_t at = bitmap + first_bit / kWordBits * sizeof(std::uint64_t);
  const std::size_t words = (pages + shift + kWordBits - 1) / kWordBits;
  if (shift != 0) {
    for (std::size_t i = words; i-- > 0;)
      bits[i] = bits[i] << shift | (i != 0 ? bits[i - 1] >> (kWordBits - shift) : 0);
    std::uint64_t first = 0;
    TEEIO_TRY(memory.read(at, writable_bytes_of(first)));
    bits[0] |= first;
  }
  return memory.write(at, std::as_bytes(std::span(bits).first(words)));
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
       ++dma) {
    TEEIO_TRY(write_bitmap(memory, dma->second, range.bitmap,
                           (dma->first - range.iova) / range.page_size));
    const std::uint64_t pages = dma->second.length / range.page_size;
    for (std::uint64_t page = 0; page < pages; page += kWordBits)
      dma->second.bitmap[page / kWordBits] &= ~low_bits(pages - page);
  }
  return {};
}

}  // namespace teeio::vfio
