// VFIO's type 1 container on /dev/iommu. Order of checks and of what is written
// back: Linux drivers/iommu/iommufd/vfio_compat.c. Structures start with argsz: a
// larger one is accepted and its tail is not looked at.

#include <algorithm>
#include <limits>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/iommufd_handlers.h"
#include "host/iommufd/vfio_compat.h"

namespace teeio::entry {
namespace {

iommufd::VfioCompat compat(Call& call) {
  return iommufd::VfioCompat(static_cast<iommufd::Context&>(call.file));
}

constexpr std::uint32_t as_u32(std::size_t value) { return static_cast<std::uint32_t>(value); }

/// Writes VFIO_IOMMU_GET_INFO's capabilities behind the structure, as far as the
/// program has room, and counts what all of them would take.
class CapabilityChain {
 public:
  CapabilityChain(Call& call, std::uint32_t room) : call_(call), room_(room) {}

  /// iommufd_fill_cap_dma_avail(): nothing here limits the mappings.
  Result<void> add_dma_avail() {
    TEEIO_TRY(begin());
    const abi::vfio_iommu_type1_info_dma_avail cap{
        .header = {.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1, .next = 0},
        .avail = std::numeric_limits<std::uint32_t>::max()};
    TEEIO_TRY(put(0, sizeof(cap), bytes_of(cap)));
    end(sizeof(cap));
    return {};
  }

  /// iommufd_fill_cap_iova(): ranges first, each one that fits; then the header,
  /// if all of them do.
  Result<void> add_iova_ranges(const std::vector<iommufd::IovaRange>& ranges) {
    TEEIO_TRY(begin());
    auto cap = abi::vfio_iommu_type1_info_cap_iova_range();  // clang takes no {} here
    cap.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1, .next = 0};
    cap.nr_iovas = as_u32(ranges.size());
    std::size_t size = sizeof(cap);
    for (const iommufd::IovaRange& range : ranges) {
      const abi::vfio_iova_range out{.start = range.first, .end = range.last};
      TEEIO_TRY(put(size, size + sizeof(out), bytes_of(out)));
      size += sizeof(out);
    }
    TEEIO_TRY(put(0, size, bytes_of(cap)));
    end(size);
    return {};
  }

  /// Of the structure and all capabilities.
  [[nodiscard]] std::uint32_t total() const { return at_; }

 private:
  /// Links the capability before this one to it.
  Result<void> begin() {
    if (last_ == 0 || room_ < at_) return {};
    return copy_out(call_.memory(),
                    call_.argument + last_ + offsetof(abi::vfio_info_cap_header, next), at_);
  }
  /// Writes `bytes` at `offset` of this capability, if the program has room for
  /// `until` bytes of it.
  Result<void> put(std::size_t offset, std::size_t until, ByteView bytes) {
    if (room_ <= at_ || room_ - at_ < until) return {};
    return call_.memory().write(call_.argument + at_ + offset, bytes);
  }
  void end(std::size_t size) {
    last_ = at_;
    at_ += as_u32((size + 7) & ~std::size_t{7});
  }

  Call& call_;
  const std::uint32_t room_;
  std::uint32_t at_ = sizeof(abi::vfio_iommu_type1_info);
  std::uint32_t last_ = 0;
};

}  // namespace

Result<std::int64_t> ioctl_iommufd_vfio_ioas(Call& call) {
  using Arg = abi::iommu_vfio_ioas;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.__reserved != 0) return fail(Errno::kOpNotSupp, "a reserved field is set");
  switch (arg.op) {
    case abi::IOMMU_VFIO_IOAS_GET: {
      TEEIO_ASSIGN(arg.ioas_id, compat(call).get());
      TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
      return 0;
    }
    case abi::IOMMU_VFIO_IOAS_SET:
      TEEIO_TRY(compat(call).set(arg.ioas_id));
      return 0;
    case abi::IOMMU_VFIO_IOAS_CLEAR:
      compat(call).clear();
      return 0;
    default:
      return fail(Errno::kOpNotSupp, "the compatibility IOAS is got, set or cleared");
  }
}

Result<std::int64_t> ioctl_vfio_get_api_version(Call& /*call*/) { return VFIO_API_VERSION; }

Result<std::int64_t> ioctl_vfio_check_extension(Call& call) {
  switch (call.argument) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case VFIO_UNMAP_ALL:
      return 1;
    case VFIO_DMA_CC_IOMMU: {
      TEEIO_ASSIGN(const bool coherent, compat(call).enforces_coherency());
      return coherent ? 1 : 0;
    }
    default:  // VFIO_NOIOMMU_IOMMU too: a kernel without CONFIG_VFIO_NOIOMMU
      return 0;
  }
}

Result<std::int64_t> ioctl_vfio_set_iommu(Call& call) {
  using Type = iommufd::VfioCompat::Type;
  if (call.argument != VFIO_TYPE1_IOMMU && call.argument != VFIO_TYPE1v2_IOMMU)
    return fail(Errno::kInval, "the container is of type 1 or 1v2");
  TEEIO_TRY(
      compat(call).set_type(call.argument == VFIO_TYPE1_IOMMU ? Type::kType1 : Type::kType1v2));
  return 0;
}

Result<std::int64_t> ioctl_vfio_iommu_get_info(Call& call) {
  using Arg = abi::vfio_iommu_type1_info;
  Arg arg{};
  TEEIO_ASSIGN(arg, copy_argsz_in<Arg>(call.memory(), call.argument, offsetof(Arg, cap_offset)));
  const std::uint32_t room = arg.argsz;
  TEEIO_ASSIGN(const auto info, compat(call).info());
  CapabilityChain chain(call, room);
  TEEIO_TRY(chain.add_dma_avail());
  TEEIO_TRY(chain.add_iova_ranges(info.usable));
  arg.argsz = chain.total();
  arg.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
  arg.iova_pgsizes = info.page_sizes;
  if (room >= chain.total()) arg.cap_offset = sizeof(Arg);
  TEEIO_TRY(call.memory().write(call.argument,
                                bytes_of(arg).first(std::min<std::size_t>(room, sizeof(Arg)))));
  return 0;
}

Result<std::int64_t> ioctl_vfio_iommu_map_dma(Call& call) {
  using Arg = abi::vfio_iommu_type1_dma_map;
  TEEIO_ASSIGN(Arg arg, copy_argsz_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  constexpr std::uint32_t kKnown = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  if ((arg.flags & ~kKnown) != 0) return fail(Errno::kInval, "an unknown mapping flag is set");
  iommu::Prot prot = iommufd::kNoAccess;
  if (arg.flags == VFIO_DMA_MAP_FLAG_READ) prot = iommu::Prot::kRead;
  if (arg.flags == VFIO_DMA_MAP_FLAG_WRITE) prot = iommu::Prot::kWrite;
  if (arg.flags == kKnown) prot = iommu::Prot::kReadWrite;
  TEEIO_TRY(compat(call).map(
      call.memory(), {.user_va = arg.vaddr, .iova = arg.iova, .length = arg.size, .prot = prot}));
  return 0;
}

Result<std::int64_t> ioctl_vfio_iommu_unmap_dma(Call& call) {
  using Arg = abi::vfio_iommu_type1_dma_unmap;
  Arg arg{};  // no copy_argsz_in(): its flexible array keeps it out of a Result
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(arg)));
  if (arg.argsz < sizeof(arg)) return fail(Errno::kInval, "argsz is smaller than the structure");
  constexpr std::uint32_t kKnown = VFIO_DMA_UNMAP_FLAG_ALL;
  if ((arg.flags & ~kKnown) != 0) return fail(Errno::kInval, "an unknown unmapping flag is set");
  TEEIO_ASSIGN(
      const auto unmapped,
      compat(call).unmap({.iova = arg.iova, .length = arg.size, .all = arg.flags == kKnown}));
  arg.size = unmapped.bytes;
  TEEIO_TRY(call.memory().write(call.argument, bytes_of(arg)));
  TEEIO_TRY(unmapped.end);
  return 0;
}

}  // namespace teeio::entry
