#include <algorithm>
#include <iterator>
#include <map>

#include "abi/iommufd.h"
#include "entry/copy.h"
#include "entry/iommufd_handlers.h"

// Layout and size rules of each structure: abi/linux/iommufd.h. Order of checks:
// Linux drivers/iommu/iommufd/main.c, iommufd_fops_ioctl(), and ioas.c.

namespace teeio::entry {
Result<std::int64_t> ioctl_destroy(Call& call) {
  using Arg = abi::iommu_destroy;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_TRY(context(call).destroy(arg.id));
  return 0;
}

Result<std::int64_t> ioctl_ioas_alloc(Call& call) {
  using Arg = abi::iommu_ioas_alloc;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.flags != 0) return unknown_flag();
  TEEIO_ASSIGN(arg.out_ioas_id, context(call).ioas_alloc(arg.flags));
  if (auto out = copy_struct_out(call.memory(), call.argument, arg, arg.size); !out) {
    (void)context(call).destroy(arg.out_ioas_id);
    return std::unexpected(out.error());
  }
  return 0;
}

Result<std::int64_t> ioctl_ioas_iova_ranges(Call& call) {
  using Arg = abi::iommu_ioas_iova_ranges;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.__reserved != 0) return unknown_flag();
  TEEIO_ASSIGN(const auto ranges, context(call).ioas_iova_ranges(arg.ioas_id));
  const std::uint32_t room = arg.num_iovas;
  arg.num_iovas = static_cast<std::uint32_t>(ranges.usable.size());
  arg.out_iova_alignment = ranges.alignment;
  for (std::uint32_t i = 0; i < std::min(room, arg.num_iovas); ++i) {
    const abi::iommu_iova_range range{.start = ranges.usable[i].first,
                                      .last = ranges.usable[i].last};
    TEEIO_TRY(copy_out(call.memory(), arg.allowed_iovas + i * sizeof(range), range));
  }
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  if (room < arg.num_iovas)
    return fail(Errno::kMsgSize, "there are more IOVA ranges than the program has room for");
  return 0;
}

Result<std::int64_t> ioctl_ioas_allow_iovas(Call& call) {
  using Arg = abi::iommu_ioas_allow_iovas;
  // A list longer than any IOAS could use; Linux has no limit but memory.
  constexpr std::uint32_t kMaxRanges = 65536;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.__reserved != 0) return unknown_flag();
  TEEIO_TRY(context(call).ioas_iova_ranges(arg.ioas_id));  // it is there
  std::vector<iommufd::IovaRange> ranges;
  std::map<std::uint64_t, std::uint64_t> last_of;  // by where they begin
  for (std::uint32_t i = 0; i < arg.num_iovas; ++i) {
    using Range = abi::iommu_iova_range;
    TEEIO_ASSIGN(const Range range,
                 copy_in<Range>(call.memory(), arg.allowed_iovas + i * sizeof(Range)));
    // iommufd_ioas_load_iovas(): each before the next one is read.
    const auto behind = last_of.upper_bound(range.last);
    if (range.start >= range.last ||
        (behind != last_of.begin() && std::prev(behind)->second >= range.start))
      return fail(Errno::kInval, "a range is empty or meets another");
    if (i == kMaxRanges) return fail(Errno::kNoMem, "too many IOVA ranges");
    last_of.emplace(range.start, range.last);
    ranges.push_back({.first = range.start, .last = range.last});
  }
  TEEIO_TRY(context(call).ioas_allow_iovas(arg.ioas_id, ranges));
  return 0;
}

Result<std::int64_t> ioctl_ioas_map(Call& call) {
  using Arg = abi::iommu_ioas_map;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument,
                                            offsetof(Arg, iova) + sizeof(Arg::iova)));
  if (arg.__reserved != 0) return unknown_flag();
  const iommufd::Context::Map map{
      .ioas_id = arg.ioas_id, .flags = arg.flags, .length = arg.length, .iova = arg.iova};
  TEEIO_ASSIGN(arg.iova, context(call).ioas_map(call.memory(), map, arg.user_va));
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

Result<std::int64_t> ioctl_ioas_map_file(Call& call) {
  using Arg = abi::iommu_ioas_map_file;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  const iommufd::Context::Map map{
      .ioas_id = arg.ioas_id, .flags = arg.flags, .length = arg.length, .iova = arg.iova};
  auto file = call.caller.file(arg.fd);  // looked at after the rest: iopt_map_file_pages()
  if (!file && file.error().code != Errno::kBadF) return std::unexpected(file.error());
  TEEIO_ASSIGN(arg.iova,
               context(call).ioas_map_file(file ? std::move(*file) : object::Ref<object::File>(),
                                           map, arg.start));
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

Result<std::int64_t> ioctl_ioas_copy(Call& call) {
  using Arg = abi::iommu_ioas_copy;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  const iommufd::Context::Map map{
      .ioas_id = arg.dst_ioas_id, .flags = arg.flags, .length = arg.length, .iova = arg.dst_iova};
  TEEIO_ASSIGN(arg.dst_iova, context(call).ioas_copy(map, arg.src_ioas_id, arg.src_iova));
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

Result<std::int64_t> ioctl_ioas_unmap(Call& call) {
  using Arg = abi::iommu_ioas_unmap;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_ASSIGN(arg.length, context(call).ioas_unmap(arg.ioas_id, arg.iova, arg.length));
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

Result<std::int64_t> ioctl_ioas_change_process(Call& call) {
  using Arg = abi::iommu_ioas_change_process;
  TEEIO_ASSIGN(const Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.__reserved != 0) return unknown_flag();
  TEEIO_TRY(context(call).ioas_change_process());
  return 0;
}

Result<std::int64_t> ioctl_ioas_noiommu_get_pa(Call& call) {
  using Arg = abi::iommu_ioas_noiommu_get_pa;
  TEEIO_TRY(copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  return fail(Errno::kOpNotSupp, "there are no devices without an IOMMU");
}

namespace {

Result<void> no_such_op() { return fail(Errno::kOpNotSupp, "no such operation on an option"); }

/// iommufd_option_rlimit_mode().
Result<void> rlimit_mode(Call& call, abi::iommu_option& arg) {
  if (arg.object_id != 0) return fail(Errno::kOpNotSupp, "the option is not an object's");
  if (arg.op == abi::IOMMU_OPTION_OP_GET) {
    arg.val64 = context(call).rlimit_mode();
    return {};
  }
  if (arg.op != abi::IOMMU_OPTION_OP_SET) return no_such_op();
  if (mm::charges() != nullptr && !mm::charges()->may_set_mode())
    return fail(Errno::kPerm, "the accounting mode is for who has CAP_SYS_RESOURCE");
  return context(call).set_rlimit_mode(arg.val64);
}

/// iommufd_ioas_option(): the IOAS is looked up first.
Result<void> huge_pages(Call& call, abi::iommu_option& arg) {
  TEEIO_ASSIGN(const bool huge, context(call).ioas_huge_pages(arg.object_id));
  if (arg.op == abi::IOMMU_OPTION_OP_GET) {
    arg.val64 = huge ? 1 : 0;
    return {};
  }
  if (arg.op != abi::IOMMU_OPTION_OP_SET) return no_such_op();
  return context(call).set_ioas_huge_pages(arg.object_id, arg.val64);
}

}  // namespace

Result<std::int64_t> ioctl_iommu_option(Call& call) {
  using Arg = abi::iommu_option;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.__reserved != 0) return unknown_flag();
  switch (arg.option_id) {
    case abi::IOMMU_OPTION_RLIMIT_MODE:
      TEEIO_TRY(rlimit_mode(call, arg));
      break;
    case abi::IOMMU_OPTION_HUGE_PAGES:
      TEEIO_TRY(huge_pages(call, arg));
      break;
    default:
      return fail(Errno::kOpNotSupp, "no such option");
  }
  TEEIO_TRY(copy_out(call.memory(), call.argument + offsetof(Arg, val64), arg.val64));
  return 0;
}

}  // namespace teeio::entry
