// Queues of faults, events and commands. Order of checks: Linux
// drivers/iommu/iommufd/{eventq,viommu}.c.

#include <fcntl.h>

#include "abi/iommufd.h"
#include "entry/copy.h"
#include "entry/iommufd_handlers.h"

namespace teeio::entry {
namespace {

/// Gives the program the queue's descriptor and the numbers, or takes the queue back.
template <class T>
Result<std::int64_t> hand_out(Call& call, iommufd::Context::NewQueue queue, T arg,
                              std::uint32_t T::* id, std::uint32_t T::* fd) {
  const auto give_up = [&](const Error& why) {
    context(call).take_back(queue);
    return std::unexpected(why);
  };
  arg.*id = queue.id;
  // What can fail is done before there is a descriptor, which could not be taken back.
  if (auto out = copy_struct_out(call.memory(), call.argument, arg, arg.size); !out)
    return give_up(out.error());
  const auto number =
      call.caller.install(object::Ref<object::File>(queue.file), O_RDWR | O_CLOEXEC);
  if (!number) return give_up(number.error());
  arg.*fd = static_cast<std::uint32_t>(*number);
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

}  // namespace

Result<std::int64_t> ioctl_fault_queue_alloc(Call& call) {
  using Arg = abi::iommu_fault_alloc;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.flags != 0) return unknown_flag();
  TEEIO_ASSIGN(auto queue, context(call).fault_queue_alloc());
  return hand_out(call, std::move(queue), arg, &Arg::out_fault_id, &Arg::out_fault_fd);
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
  TEEIO_ASSIGN(auto queue, context(call).veventq_alloc(arg.viommu_id, arg.type, arg.veventq_depth));
  return hand_out(call, std::move(queue), arg, &Arg::out_veventq_id, &Arg::out_veventq_fd);
}

Result<std::int64_t> ioctl_hw_queue_alloc(Call& call) {
  using Arg = abi::iommu_hw_queue_alloc;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.flags != 0 || arg.type == abi::IOMMU_HW_QUEUE_TYPE_DEFAULT) return unknown_flag();
  if (arg.length == 0) return fail(Errno::kInval, "length is zero");
  if (arg.length - 1 > ~arg.nesting_parent_iova)
    return fail(Errno::kOverflow, "the queue passes the last IOVA");
  TEEIO_ASSIGN(arg.out_hw_queue_id,
               context(call).hw_queue_alloc(arg.viommu_id, {.type = arg.type,
                                                            .index = arg.index,
                                                            .base = arg.nesting_parent_iova,
                                                            .length = arg.length}));
  return finish_alloc(call, arg, arg.out_hw_queue_id);
}

}  // namespace teeio::entry
