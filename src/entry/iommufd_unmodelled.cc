// iommufd's calls for things that no machine here has: nested page tables, dirty
// pages, queues of faults, events and commands. Each checks what Linux checks, in
// its order, and ends where Linux would need the thing.

#include "abi/iommufd.h"
#include "entry/copy.h"
#include "entry/iommufd_handlers.h"

namespace teeio::entry {
namespace {

// iommufd_hwpt_invalidate()
Result<void> invalidate(Call& call, const abi::iommu_hwpt_invalidate& arg) {
  constexpr std::uint32_t kMaxEntries = 1U << 19U;  // IOMMU_HWPT_INVALIDATE_ENTRY_NUM_MAX
  if (arg.__reserved != 0) return unknown_flag();
  if (arg.entry_num != 0 && (arg.data_uptr == 0 || arg.entry_len == 0 ||
                             arg.entry_len > kPageSize || arg.entry_num > kMaxEntries))
    return fail(Errno::kInval, "the list of entries has no address, or a bad length or count");
  return context(call).hwpt_invalidate(arg.hwpt_id);
}

}  // namespace

Result<std::int64_t> ioctl_hwpt_invalidate(Call& call) {
  using Arg = abi::iommu_hwpt_invalidate;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  const Result<void> done = invalidate(call, arg);
  arg.entry_num = 0;  // no entry was handled
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  TEEIO_TRY(done);
  return 0;
}

Result<std::int64_t> ioctl_hwpt_set_dirty_tracking(Call& call) {
  using Arg = abi::iommu_hwpt_set_dirty_tracking;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  constexpr std::uint32_t kKnown = abi::IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
  if ((arg.flags & ~kKnown) != 0) return unknown_flag();  // Linux ignores __reserved
  TEEIO_TRY(context(call).hwpt_set_dirty_tracking(arg.hwpt_id));
  return 0;
}

Result<std::int64_t> ioctl_hwpt_get_dirty_bitmap(Call& call) {
  using Arg = abi::iommu_hwpt_get_dirty_bitmap;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  constexpr std::uint32_t kKnown = abi::IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
  if ((arg.flags & ~kKnown) != 0 || arg.__reserved != 0) return unknown_flag();
  TEEIO_TRY(context(call).hwpt_get_dirty_bitmap(
      arg.hwpt_id, {.iova = arg.iova, .length = arg.length, .page_size = arg.page_size}));
  return 0;
}

Result<std::int64_t> ioctl_fault_queue_alloc(Call& call) {
  using Arg = abi::iommu_fault_alloc;
  TEEIO_TRY(copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  return fail(Errno::kOpNotSupp, "no device of this host asks for pages");
}

Result<std::int64_t> ioctl_veventq_alloc(Call& call) {
  using Arg = abi::iommu_veventq_alloc;
  constexpr std::uint32_t kMaxDepth = 1U << 19U;  // VEVENTQ_MAX_DEPTH
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument,
                                                  TEEIO_END_OF(Arg, out_veventq_fd)));
  if (arg.flags != 0 || arg.__reserved != 0 || arg.type == abi::IOMMU_VEVENTQ_TYPE_DEFAULT)
    return unknown_flag();
  if (arg.veventq_depth == 0 || arg.veventq_depth > kMaxDepth)
    return fail(Errno::kInval, "a queue holds from one to 2^19 events");
  TEEIO_TRY(context(call).check_viommu(arg.viommu_id));
  return fail(Errno::kOpNotSupp, "no vIOMMU of this host reports events");
}

Result<std::int64_t> ioctl_hw_queue_alloc(Call& call) {
  using Arg = abi::iommu_hw_queue_alloc;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.flags != 0 || arg.type == abi::IOMMU_HW_QUEUE_TYPE_DEFAULT) return unknown_flag();
  if (arg.length == 0) return fail(Errno::kInval, "length is zero");
  if (arg.length - 1 > ~arg.nesting_parent_iova)
    return fail(Errno::kOverflow, "the queue passes the last IOVA");
  TEEIO_TRY(context(call).check_viommu(arg.viommu_id));
  return fail(Errno::kOpNotSupp, "no vIOMMU of this host has hardware queues");
}

}  // namespace teeio::entry
