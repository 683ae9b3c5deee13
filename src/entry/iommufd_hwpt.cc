// HWPTs. Order of checks: Linux drivers/iommu/iommufd/hw_pagetable.c.

#include <algorithm>
#include <bit>

#include "abi/iommufd.h"
#include "entry/copy.h"
#include "entry/iommufd_handlers.h"
#include "entry/program_data.h"

namespace teeio::entry {
namespace {

// iommufd_hwpt_invalidate()
Result<void> invalidate(Call& call, const abi::iommu_hwpt_invalidate& arg, std::uint32_t& done) {
  constexpr std::uint32_t kMaxEntries = 1U << 19U;  // IOMMU_HWPT_INVALIDATE_ENTRY_NUM_MAX
  if (arg.__reserved != 0) return unknown_flag();
  if (arg.entry_num != 0 && (arg.data_uptr == 0 || arg.entry_len == 0 ||
                             arg.entry_len > kPageSize || arg.entry_num > kMaxEntries))
    return fail(Errno::kInval, "the list of entries has no address, or a bad length or count");
  ProgramData commands(call.memory(), arg.data_uptr, arg.data_type, arg.entry_len, arg.entry_num);
  return context(call).hwpt_invalidate(arg.hwpt_id, commands, done);
}

/// Sets bits in a program's bitmap, a page of it at a time. As in Linux, bits whose page cannot
/// be written are lost and nobody hears of it: iova_bitmap_set() returns nothing (Linux:
/// drivers/iommu/iommufd/iova_bitmap.c).
class ProgramBitmap final : public iommu::DirtyTracking::Visitor {
 public:
  ProgramBitmap(mm::UserMemory& memory, std::uint64_t address,
                const iommufd::IoPagetable::DirtyRange& range)
      : memory_(memory),
        address_(address),
        first_(range.iova),
        shift_(shift_of(range.page_size)),
        bytes_(((range.length - 1) >> shift_) / 8 + 1) {}

  void dirty(std::uint64_t first, std::uint64_t length) override {
    std::uint64_t bit = (first - first_) >> shift_;
    const std::uint64_t last = ((first - first_) + (length - 1)) >> shift_;
    while (bit <= last) {
      if (begin_ == end_ || bit / 8 < begin_ || bit / 8 >= end_) load(bit / 8);
      const std::uint64_t end = std::min(last + 1, end_ * 8);
      if (!piece_.empty()) set_bits(bit - begin_ * 8, end - bit);
      bit = end;
    }
  }
  void finish() {
    if (!piece_.empty()) (void)memory_.write(address_ + begin_, piece_);
    piece_.clear();
  }

 private:
  /// One of 0 is refused before a bit is set.
  static unsigned shift_of(std::uint64_t page_size) {
    return page_size == 0 ? 0 : static_cast<unsigned>(std::countr_zero(page_size));
  }
  void set_bits(std::uint64_t first, std::uint64_t count) {
    const std::uint64_t end = first + count;
    for (; first != end && first % 8 != 0; ++first)
      piece_[first / 8] |= std::byte{1} << (first % 8);
    const std::uint64_t whole = (end - first) / 8;
    std::ranges::fill(std::span(piece_).subspan(first / 8, whole), std::byte{0xff});
    for (first += whole * 8; first < end; ++first) piece_[first / 8] |= std::byte{1} << (first % 8);
  }
  /// The bytes of the bitmap that share `byte`'s page.
  void load(std::uint64_t byte) {
    finish();
    const std::uint64_t in_page = (address_ + byte) % kPageSize;
    begin_ = byte - std::min(byte, in_page);
    end_ = std::min(bytes_, byte + (kPageSize - in_page));
    piece_.resize(end_ - begin_);
    if (!memory_.read(address_ + begin_, piece_).has_value()) piece_.clear();
  }

  mm::UserMemory& memory_;
  const std::uint64_t address_;
  const std::uint64_t first_;
  const unsigned shift_;
  const std::uint64_t bytes_;
  std::uint64_t begin_ = 0, end_ = 0;  ///< which bytes `piece_` is
  Bytes piece_;                        ///< empty: there are none to read
};

}  // namespace

Result<std::int64_t> ioctl_hwpt_alloc(Call& call) {
  using Arg = abi::iommu_hwpt_alloc;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument,
                                            offsetof(Arg, __reserved) + sizeof(Arg::__reserved)));
  if (arg.__reserved != 0) return unknown_flag();  // Linux ignores __reserved2
  ProgramData data(call.memory(), arg.data_uptr, arg.data_type, arg.data_len);
  TEEIO_ASSIGN(
      arg.out_hwpt_id,
      context(call).hwpt_alloc(
          {.flags = arg.flags, .dev_id = arg.dev_id, .pt_id = arg.pt_id, .fault_id = arg.fault_id},
          data));
  return finish_alloc(call, arg, arg.out_hwpt_id);
}

Result<std::int64_t> ioctl_hwpt_invalidate(Call& call) {
  using Arg = abi::iommu_hwpt_invalidate;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  std::uint32_t carried_out = 0;
  const Result<void> done = invalidate(call, arg, carried_out);
  arg.entry_num = carried_out;
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  TEEIO_TRY(done);
  return 0;
}

Result<std::int64_t> ioctl_hwpt_set_dirty_tracking(Call& call) {
  using Arg = abi::iommu_hwpt_set_dirty_tracking;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  constexpr std::uint32_t kKnown = abi::IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
  if ((arg.flags & ~kKnown) != 0) return unknown_flag();  // Linux ignores __reserved
  TEEIO_TRY(context(call).hwpt_set_dirty_tracking(arg.hwpt_id, arg.flags != 0));
  return 0;
}

Result<std::int64_t> ioctl_hwpt_get_dirty_bitmap(Call& call) {
  using Arg = abi::iommu_hwpt_get_dirty_bitmap;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  constexpr std::uint32_t kKnown = abi::IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
  if ((arg.flags & ~kKnown) != 0 || arg.__reserved != 0) return unknown_flag();
  const iommufd::IoPagetable::DirtyRange range{
      .iova = arg.iova, .length = arg.length, .page_size = arg.page_size};
  const auto clear =
      arg.flags == 0 ? iommu::DirtyTracking::Clear::kYes : iommu::DirtyTracking::Clear::kNo;
  ProgramBitmap bitmap(call.memory(), arg.data, range);
  TEEIO_TRY(context(call).hwpt_read_dirty(arg.hwpt_id, range, clear, bitmap));
  bitmap.finish();
  return 0;
}

}  // namespace teeio::entry
