// VFIO's own container with a type 1 IOMMU. Order of checks and of what is written back:
// Linux drivers/vfio/container.c and vfio_iommu_type1.c.

#include <bit>

#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/vfio_handlers.h"
#include "host/vfio/container.h"

namespace teeio::entry {
namespace {

using vfio::Type1;

vfio::Container& container(Call& call) {
  return static_cast<vfio::ContainerFile&>(call.file).container();
}

/// access_ok(): the end of a program's half of the addresses.
constexpr std::uint64_t kAddressEnd = 0x7fff'ffff'f000;

/// The bitmap of an UNMAP_DMA or a DIRTY_PAGES, for `length` bytes of IOVAs.
/// Errors: EINVAL, as verify_bitmap_size().
Result<void> check_bitmap(const abi::vfio_bitmap& bitmap, std::uint64_t length) {
  const auto address = std::bit_cast<std::uint64_t>(bitmap.data);
  if (bitmap.size > kAddressEnd || address > kAddressEnd - bitmap.size)
    return fail(Errno::kInval, "the bitmap lies outside of a program's addresses");
  if (bitmap.pgsize == 0) return fail(Errno::kInval, "a dirty page has a size");
  const std::uint64_t pages = length >> static_cast<unsigned>(std::countr_zero(bitmap.pgsize));
  const std::uint64_t words = pages / 64 + (pages % 64 != 0 ? 1 : 0);
  if (pages == 0 || bitmap.size == 0 || bitmap.size > Type1::kMaxBitmapBytes ||
      bitmap.size < words * sizeof(std::uint64_t))
    return fail(Errno::kInval, "the bitmap has not the size for the range");
  return {};
}

template <class T>
void append(Bytes& chain, T capability, std::size_t& last) {
  const std::size_t at = chain.size();
  if (last != at) {
    const auto next = static_cast<std::uint32_t>(sizeof(abi::vfio_iommu_type1_info) + at);
    std::ranges::copy(bytes_of(next),
                      chain.begin() + static_cast<std::ptrdiff_t>(
                                          last + offsetof(abi::vfio_info_cap_header, next)));
  }
  last = at;
  std::ranges::copy(bytes_of(capability), std::back_inserter(chain));
}

/// vfio_info_cap_add() and what vfio_iommu_type1_get_info() adds; each capability takes a
/// multiple of 8 bytes.
Bytes capabilities(const Type1::Info& info) {
  Bytes chain;
  std::size_t last = 0;
  abi::vfio_iommu_type1_info_cap_migration migration{};
  migration.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, .version = 1, .next = 0};
  migration.pgsize_bitmap = std::uint64_t{1}
                            << static_cast<unsigned>(std::countr_zero(info.page_sizes));
  migration.max_dirty_bitmap_size = Type1::kMaxBitmapBytes;
  append(chain, migration, last);
  const abi::vfio_iommu_type1_info_dma_avail avail{
      .header = {.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, .version = 1, .next = 0},
      .avail = info.mappings_left};
  append(chain, avail, last);
  chain.resize((chain.size() + 7) & ~std::size_t{7});
  if (info.usable.empty()) return chain;
  auto ranges = abi::vfio_iommu_type1_info_cap_iova_range();
  ranges.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1, .next = 0};
  ranges.nr_iovas = static_cast<std::uint32_t>(info.usable.size());
  // No append(): its flexible array keeps it from being passed by value.
  struct Header {
    abi::vfio_info_cap_header header;
    std::uint32_t count, reserved;
  };
  append(chain, Header{ranges.header, ranges.nr_iovas, 0}, last);
  for (const iommufd::IovaRange& range : info.usable) {
    const abi::vfio_iova_range out{.start = range.first, .end = range.last};
    std::ranges::copy(bytes_of(out), std::back_inserter(chain));
  }
  return chain;
}

Result<std::int64_t> get_dirty_bitmap(Call& call, std::uint32_t argsz) {
  using Range = abi::vfio_iommu_type1_dirty_bitmap_get;
  if (argsz - sizeof(abi::vfio_iommu_type1_dirty_bitmap) < sizeof(Range))
    return fail(Errno::kInval, "argsz does not cover the range");
  TEEIO_ASSIGN(
      const Range range,
      copy_in<Range>(call.memory(), call.argument + sizeof(abi::vfio_iommu_type1_dirty_bitmap)));
  if (range.size == 0) return fail(Errno::kInval, "length is zero");
  if (range.size - 1 > ~std::uint64_t{0} - range.iova)
    return fail(Errno::kOverflow, "the range passes the last IOVA");
  TEEIO_TRY(check_bitmap(range.bitmap, range.size));
  TEEIO_TRY(container(call).with_iommu([&](Type1& iommu) {
    return iommu.dirty_bitmap(call.memory(),
                              {.iova = range.iova,
                               .last = range.iova + (range.size - 1),
                               .bitmap = std::bit_cast<std::uint64_t>(range.bitmap.data),
                               .page_size = range.bitmap.pgsize});
  }));
  return 0;
}

}  // namespace

Result<std::int64_t> ioctl_container_get_api_version(Call& /*call*/) { return VFIO_API_VERSION; }

Result<std::int64_t> ioctl_container_check_extension(Call& call) {
  return container(call).has(static_cast<vfio::Extension>(call.argument)) ? 1 : 0;
}

Result<std::int64_t> ioctl_container_set_iommu(Call& call) {
  TEEIO_TRY(container(call).set_iommu(static_cast<vfio::Extension>(call.argument)));
  return 0;
}

Result<std::int64_t> ioctl_type1_get_info(Call& call) {
  using Arg = abi::vfio_iommu_type1_info;
  Arg arg{};
  TEEIO_ASSIGN(arg, copy_argsz_in<Arg>(call.memory(), call.argument, offsetof(Arg, cap_offset)));
  const std::size_t room = std::min<std::size_t>(arg.argsz, sizeof(Arg));
  TEEIO_ASSIGN(
      const Type1::Info info,
      container(call).with_iommu([](Type1& iommu) -> Result<Type1::Info> { return iommu.info(); }));
  const Bytes chain = capabilities(info);
  arg.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
  arg.iova_pgsizes = info.page_sizes;
  arg.cap_offset = 0;
  if (arg.argsz < sizeof(Arg) + chain.size()) {
    arg.argsz = static_cast<std::uint32_t>(sizeof(Arg) + chain.size());
  } else {
    TEEIO_TRY(call.memory().write(call.argument + sizeof(Arg), chain));
    arg.cap_offset = sizeof(Arg);
  }
  TEEIO_TRY(call.memory().write(call.argument, bytes_of(arg).first(room)));
  return 0;
}

Result<std::int64_t> ioctl_type1_map_dma(Call& call) {
  using Arg = abi::vfio_iommu_type1_dma_map;
  TEEIO_ASSIGN(const Arg arg, copy_argsz_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  constexpr std::uint32_t kKnown =
      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;
  if ((arg.flags & ~kKnown) != 0) return fail(Errno::kInval, "an unknown mapping flag is set");
  TEEIO_TRY(container(call).with_iommu([&](Type1& iommu) {
    return iommu.map(call.memory(), {.user_va = arg.vaddr,
                                     .iova = arg.iova,
                                     .length = arg.size,
                                     .read = (arg.flags & VFIO_DMA_MAP_FLAG_READ) != 0,
                                     .write = (arg.flags & VFIO_DMA_MAP_FLAG_WRITE) != 0,
                                     .new_address = (arg.flags & VFIO_DMA_MAP_FLAG_VADDR) != 0});
  }));
  return 0;
}

Result<std::int64_t> ioctl_type1_unmap_dma(Call& call) {
  using Arg = abi::vfio_iommu_type1_dma_unmap;
  Arg arg{};  // no copy_argsz_in(): its flexible array keeps it out of a Result
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(arg)));
  if (arg.argsz < sizeof(arg)) return fail(Errno::kInval, "argsz is smaller than the structure");
  constexpr std::uint32_t kAlone = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
  constexpr std::uint32_t kKnown = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | kAlone;
  if ((arg.flags & ~kKnown) != 0) return fail(Errno::kInval, "an unknown unmapping flag is set");
  const bool dirty = (arg.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) != 0;
  abi::vfio_bitmap bitmap{};
  if (dirty) {
    if ((arg.flags & kAlone) != 0)
      return fail(Errno::kInval, "a dirty bitmap is of a range, and of mappings that go");
    if (arg.argsz < sizeof(arg) + sizeof(bitmap))
      return fail(Errno::kInval, "argsz does not cover the bitmap");
    TEEIO_TRY(call.memory().read(call.argument + sizeof(arg), writable_bytes_of(bitmap)));
    TEEIO_TRY(check_bitmap(bitmap, arg.size));
  }
  const Type1::Unmap unmap{.iova = arg.iova,
                           .length = arg.size,
                           .all = (arg.flags & VFIO_DMA_UNMAP_FLAG_ALL) != 0,
                           .take_vaddr = (arg.flags & VFIO_DMA_UNMAP_FLAG_VADDR) != 0,
                           .bitmap = std::bit_cast<std::uint64_t>(bitmap.data),
                           .page_size = bitmap.pgsize};
  TEEIO_ASSIGN(arg.size, container(call).with_iommu(
                             [&](Type1& iommu) { return iommu.unmap(call.memory(), unmap); }));
  TEEIO_TRY(call.memory().write(call.argument, bytes_of(arg)));
  return 0;
}

Result<std::int64_t> ioctl_type1_dirty_pages(Call& call) {
  using Arg = abi::vfio_iommu_type1_dirty_bitmap;
  TEEIO_TRY(container(call).with_iommu([](Type1& iommu) -> Result<void> {
    if (iommu.version() == Type1::Version::kV2) return {};
    return fail(Errno::kAcces, "a container of type 1 has no dirty pages; 1v2 has");
  }));
  Arg arg{};
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(arg)));
  if (arg.argsz < sizeof(arg)) return fail(Errno::kInval, "argsz is smaller than the structure");
  switch (arg.flags) {
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
      TEEIO_TRY(
          container(call).with_iommu([](Type1& iommu) { return iommu.start_dirty_tracking(); }));
      return 0;
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
      TEEIO_TRY(container(call).with_iommu([](Type1& iommu) -> Result<void> {
        iommu.stop_dirty_tracking();
        return {};
      }));
      return 0;
    case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
      return get_dirty_bitmap(call, arg.argsz);
    default:
      return fail(Errno::kInval, "tracking is started, stopped or read");
  }
}

}  // namespace teeio::entry
