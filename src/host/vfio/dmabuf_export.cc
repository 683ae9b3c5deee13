#include "host/vfio/device.h"

namespace teeio::vfio {

namespace {

/// validate_dmabuf_input(): every range, before any is looked for in the BAR.
Result<void> validate(std::span<const Device::Slice> ranges) {
  std::uint64_t total = 0;
  for (const Device::Slice& slice : ranges) {
    if (!is_page_aligned(slice.offset) || !is_page_aligned(slice.length) || slice.length == 0)
      return fail(Errno::kInval, "a range of the dma-buf is empty or not page aligned");
    if (__builtin_add_overflow(total, slice.length, &total))
      return fail(Errno::kInval, "the dma-buf is too large");
  }
  constexpr std::uint64_t kUseSwiotlb = std::uint64_t{1} << 63U;  // DMA_IOVA_USE_SWIOTLB
  if ((total & kUseSwiotlb) != 0) return fail(Errno::kInval, "the dma-buf is too large");
  return {};
}

}  // namespace

Result<void> Device::check_exportable(std::uint32_t region) const {
  if (region >= kBarRegions || pci().bars()[region].kind == hw::Bar::Kind::kNone)
    return fail(Errno::kNoDev, "the region is no BAR of the device");
  return {};
}

/// vfio_pci_core_feature_dma_buf(), vfio_pci_core_fill_phys_vec().
Result<object::Ref<object::File>> Device::export_dmabuf(std::uint32_t region,
                                                        std::span<const Slice> ranges) {
  TEEIO_TRY(check_exportable(region));
  if (ranges.empty()) return fail(Errno::kInval, "a dma-buf without ranges");
  TEEIO_TRY(validate(ranges));
  const hw::Bar& bar = pci().bars()[region];
  if (!bar.is_memory()) return fail(Errno::kInval, "an I/O BAR has no memory to export");
  std::vector<dmabuf::PhysRange> phys;
  for (const Slice& slice : ranges) {
    std::uint64_t first = 0, end = 0;
    if (__builtin_add_overflow(raw(bar.base), slice.offset, &first) ||
        __builtin_add_overflow(first, slice.length, &end))
      return fail(Errno::kOverflow, "a range of the dma-buf wraps around");
    if (end > raw(bar.base) + bar.size)
      return fail(Errno::kInval, "a range reaches beyond the BAR");
    phys.push_back({.start = Hpa{first}, .length = slice.length});
  }
  const schedule::WriteLock lock(memory_lock_);
  const auto state =
      memory_enabled() ? dmabuf::DmaBuf::State::kAvailable : dmabuf::DmaBuf::State::kRevoked;
  object::Ref<dmabuf::DmaBuf> buffer = dmabuf::DmaBuf::create(*this, std::move(phys), state);
  dmabufs_.push_back(buffer.get());
  return object::Ref<object::File>(std::move(buffer));
}

void Device::released(dmabuf::DmaBuf& buffer) {
  const schedule::WriteLock lock(memory_lock_);
  std::erase(dmabufs_, &buffer);
}

/// vfio_pci_dma_buf_move(): those whose last reference is going are skipped, as
/// get_file_active() does.
void Device::move_dmabufs(bool revoked) {
  for (dmabuf::DmaBuf* buffer : dmabufs_) {
    if (!buffer->add_ref_unless_zero()) continue;
    const auto held = object::Ref<dmabuf::DmaBuf>::adopt(buffer);
    if (revoked)
      held->revoke();
    else
      held->restore();
  }
}

/// vfio_pci_dma_buf_cleanup(): on the last close every export is revoked for good.
void Device::cleanup_dmabufs() {
  auto call = trace().call(object::Lane::kVfio, "dma-buf cleanup", {.function = bdf()});
  const schedule::WriteLock lock(memory_lock_);
  std::vector<object::Ref<dmabuf::DmaBuf>> dying;  // puts before memory_lock is let go, as Linux
  for (dmabuf::DmaBuf* buffer : dmabufs_)
    if (buffer->add_ref_unless_zero()) dying.push_back(object::Ref<dmabuf::DmaBuf>::adopt(buffer));
  for (const object::Ref<dmabuf::DmaBuf>& buffer : dying) {
    std::erase(dmabufs_, buffer.get());
    buffer->orphan();
  }
}

}  // namespace teeio::vfio
