// The IOAS ioctls of Context. Source: Linux drivers/iommu/iommufd/ioas.c.

#include <algorithm>
#include <limits>

#include "host/dmabuf/dmabuf.h"
#include "host/iommufd/context.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/ioas.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
/// MAX_NPFNS of pages.c, which bounds a dma-buf's mapping.
constexpr std::uint64_t kMaxDmabufPages = std::numeric_limits<std::uint32_t>::max();

Result<void> check_map(const Context::Map& map) {
  constexpr std::uint32_t kValid =
      Context::kMapFixedIova | Context::kMapWriteable | Context::kMapReadable;
  if ((map.flags & ~kValid) != 0) return fail(Errno::kOpNotSupp, "unknown mapping flag");
  if (map.iova == kMax || map.length == kMax)
    return fail(Errno::kOverflow, "the IOVA or the length is the last number there is");
  if ((map.flags & (Context::kMapWriteable | Context::kMapReadable)) == 0)
    return fail(Errno::kInval, "a mapping is readable or writeable");
  return {};
}

iommu::Prot prot_of(const Context::Map& map) {
  const bool writeable = (map.flags & Context::kMapWriteable) != 0;
  const bool readable = (map.flags & Context::kMapReadable) != 0;
  if (writeable) return readable ? iommu::Prot::kReadWrite : iommu::Prot::kWrite;
  return iommu::Prot::kRead;
}

mm::Access access_of(const Context::Map& map) {
  return (map.flags & Context::kMapWriteable) != 0 ? mm::Access::kReadWrite : mm::Access::kRead;
}

std::optional<std::uint64_t> fixed_iova(const Context::Map& map) {
  if ((map.flags & Context::kMapFixedIova) == 0) return std::nullopt;
  return map.iova;
}

/// The pages that [start, start + length) touches.
struct PageSpan {
  std::uint64_t first;   ///< byte address of the first page
  std::uint64_t length;  ///< bytes, whole pages
  std::uint64_t offset;  ///< of `start` in the first page
};

/// Errors: EINVAL no length; EOVERFLOW past the end of the address space.
Result<PageSpan> page_span(std::uint64_t start, std::uint64_t length) {
  if (length > kMax - start) return fail(Errno::kOverflow, "the memory passes the last address");
  if (length == 0 || length > kMax - kPageSize) return fail(Errno::kInval, "no such length");
  const std::uint64_t offset = start % kPageSize;
  const std::uint64_t end = (start + length + (kPageSize - 1)) & ~(kPageSize - 1);  // may be 2^64
  return PageSpan{start - offset, end - (start - offset), offset};
}

}  // namespace

Result<ObjectId> Context::ioas_alloc(std::uint32_t flags) {
  if (flags != 0) return fail(Errno::kOpNotSupp, "unknown IOAS flag");
  TEEIO_ASSIGN(auto ioas, NewObject<Ioas>::reserve(objects_, new Ioas));
  return ioas.commit().id();
}

Result<IoPagetable::Ranges> Context::ioas_iova_ranges(ObjectId ioas_id) {
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, ioas_id));
  return ioas->iopt.usable_ranges();
}

Result<void> Context::ioas_allow_iovas(ObjectId ioas_id, const std::vector<IovaRange>& ranges) {
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, ioas_id));
  std::vector<IovaRange> sorted = ranges;
  for (std::size_t i = 0; i < sorted.size(); ++i)
    TEEIO_TRY(schedule::allocate("a range of allowed IOVAs"));
  std::ranges::sort(sorted, {}, &IovaRange::first);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i].first >= sorted[i].last) return fail(Errno::kInval, "an allowed range is empty");
    if (i != 0 && sorted[i].first <= sorted[i - 1].last)
      return fail(Errno::kInval, "allowed ranges overlap");
  }
  return ioas->iopt.set_allowed(std::move(sorted));
}

Result<std::uint64_t> Context::map_pages(Ioas& ioas, PagesSlice slice, const Map& map) {
  return ioas.iopt.map(std::move(slice), fixed_iova(map), prot_of(map));
}

Result<PagesSlice> Context::user_slice(mm::UserMemory& memory, std::uint64_t user_va,
                                       std::uint64_t length, mm::Access access) {
  TEEIO_ASSIGN(const PageSpan span, page_span(user_va, length));
  TEEIO_TRY(schedule::allocate("a mapping's pages"));
  auto pages = object::make_ref<UserPages>(
      environment_.memory, environment_.pins, IoptPages::Source::kProgram,
      memory.pin(span.first, span.length, access), access == mm::Access::kReadWrite, span.first,
      charge_mode());
  return PagesSlice{std::move(pages), span.offset, length};
}

Result<std::uint64_t> Context::ioas_map(mm::UserMemory& memory, const Map& map,
                                        std::uint64_t user_va) {
  TEEIO_TRY(check_map(map));
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, map.ioas_id));
  TEEIO_ASSIGN(PagesSlice slice, user_slice(memory, user_va, map.length, access_of(map)));
  return map_pages(*ioas, std::move(slice), map);
}

Result<std::uint64_t> Context::ioas_map_file(object::Ref<object::File> file, const Map& map,
                                             std::uint64_t start) {
  TEEIO_TRY(check_map(map));
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, map.ioas_id));
  if (map.length == 0) return fail(Errno::kInval, "length is zero");
  TEEIO_ASSIGN(const PageSpan span, page_span(start, map.length));
  if (!file) return fail(Errno::kBadF, "there is no such descriptor");
  TEEIO_TRY(schedule::allocate("a mapping's pages"));
  const bool writable = access_of(map) == mm::Access::kReadWrite;
  object::Ref<IoptPages> pages;
  switch (file->kind()) {
    case object::FileKind::kDmaBuf: {
      auto buffer = object::Ref<dmabuf::DmaBuf>::share(static_cast<dmabuf::DmaBuf&>(*file));
      if (buffer->size_bytes() <= start + (map.length - 1) ||
          map.length / kPageSize >= kMaxDmabufPages)
        return fail(Errno::kInval, "the range lies outside of the dma-buf");
      TEEIO_ASSIGN(pages, DmabufPages::create(std::move(buffer), span.first, writable, span.first));
      break;
    }
    case object::FileKind::kForeign: {
      auto& foreign = static_cast<mm::ForeignFile&>(*file);
      pages = object::make_ref<UserPages>(
          environment_.memory, environment_.pins, IoptPages::Source::kFile,
          foreign.memfd_pages(span.first, span.length, access_of(map)), writable, span.first,
          charge_mode());
      break;
    }
    case object::FileKind::kGuestMemfd:
      if (auto gmem = object::Ref<kvm::Gmem>::share(static_cast<kvm::Gmem&>(*file));
          gmem->vm().ops().gmem_has_dma()) {
        if (gmem->size() <= start + (map.length - 1))
          return fail(Errno::kInval, "the range lies outside of the guest_memfd");
        pages = object::make_ref<GmemPages>(std::move(gmem), span.first, writable, span.first);
        break;
      }
      [[fallthrough]];
    case object::FileKind::kIommu:
    case object::FileKind::kVfioDevice:
    case object::FileKind::kVfioGroup:
    case object::FileKind::kVfioContainer:
    case object::FileKind::kIommuFaults:
    case object::FileKind::kIommuEvents:
    case object::FileKind::kIommuTestAccess:
    case object::FileKind::kKvm:
    case object::FileKind::kKvmVm:
    case object::FileKind::kKvmVcpu:
    case object::FileKind::kKvmVfioDevice:
    case object::FileKind::kAttribute:
    case object::FileKind::kVendorNode:
      pages = object::make_ref<UserPages>(
          environment_.memory, environment_.pins, IoptPages::Source::kFile,
          fail(Errno::kInval, "the file is no memfd and no dma-buf"), writable, span.first);
      break;
  }
  return map_pages(*ioas, {std::move(pages), span.offset, map.length}, map);
}

Result<std::uint64_t> Context::ioas_copy(const Map& map, ObjectId source_id,
                                         std::uint64_t source_iova) {
  TEEIO_TRY(check_map(map));
  if (source_iova == kMax) return fail(Errno::kOverflow, "the IOVA is the last number there is");
  std::vector<PagesSlice> slices;
  {
    TEEIO_ASSIGN(const auto source, find<Ioas>(objects_, source_id));
    TEEIO_ASSIGN(slices, source->iopt.slices(source_iova, map.length));
  }
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, map.ioas_id));
  return ioas->iopt.map(std::move(slices), fixed_iova(map), prot_of(map));
}

Result<std::uint64_t> Context::ioas_unmap(ObjectId ioas_id, std::uint64_t iova,
                                          std::uint64_t length) {
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, ioas_id));
  if (iova == 0 && length == kMax) return ioas->iopt.unmap(0, kMax);
  if (iova == kMax || length == kMax)
    return fail(Errno::kOverflow, "the IOVA or the length is the last number there is");
  if (length == 0) return fail(Errno::kInval, "length is zero");
  if (length - 1 > kMax - iova) return fail(Errno::kOverflow, "the range passes the last IOVA");
  TEEIO_ASSIGN(const std::uint64_t unmapped, ioas->iopt.unmap(iova, iova + (length - 1)));
  if (unmapped == 0) return fail(Errno::kNoEnt, "nothing is mapped in the range");
  return unmapped;
}

// Linux holds the iova_rwsem of every IOAS at once; here a program that changes
// mappings meanwhile may get an answer that no single moment had.
Result<void> Context::ioas_change_process() {
  std::vector<object::Ref<IoptPages>> all;
  for (const ObjectId id : objects_.ids_of(ObjectType::kIoas)) {
    const auto ioas = find<Ioas>(objects_, id);
    if (ioas.has_value()) TEEIO_TRY((*ioas)->iopt.add_files(all));
  }
  std::ranges::sort(all, {}, [](const auto& pages) { return pages.get(); });
  const auto twice = std::ranges::unique(all);
  all.erase(twice.begin(), twice.end());
  return mm::charges() == nullptr ? Result<void>{} : charge_current(all);
}

// The second half of iommufd_ioas_change_process(): who makes the call pays for all of them
// before the others get anything back.
Result<void> Context::charge_current(std::span<const object::Ref<IoptPages>> all) {
  mm::Charges& charges = *mm::charges();
  const mm::Charges::Payer payer = charges.payer();
  std::vector<std::uint64_t> paid(all.size());
  const auto each_account = [&](std::size_t count, auto step) -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      IoptPages& pages = *all[i];
      const schedule::Lock lock(pages.mutex());
      if (PageAccount* const account = pages.account(); account != nullptr)
        TEEIO_TRY(step(i, *account));
    }
    return {};
  };
  std::size_t done = 0;
  auto charged = each_account(all.size(), [&](std::size_t i, PageAccount& account) -> Result<void> {
    if (account.pays_otherwise(payer)) {
      TEEIO_TRY(charges.charge(payer, account.mode(), account.pinned_pages()));
      paid[i] = account.pinned_pages();
    }
    done = i + 1;
    return {};
  });
  if (!charged.has_value()) {
    (void)each_account(done, [&](std::size_t i, const PageAccount& account) -> Result<void> {
      charges.uncharge(payer, account.mode(), paid[i]);
      return {};
    });
    return charged;
  }
  return each_account(all.size(), [&](std::size_t i, PageAccount& account) -> Result<void> {
    account.change_payer(payer, paid[i]);
    return {};
  });
}

Result<bool> Context::ioas_huge_pages(ObjectId ioas_id) {
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, ioas_id));
  return ioas->iopt.large_pages();
}

Result<void> Context::set_ioas_huge_pages(ObjectId ioas_id, std::uint64_t value) {
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(objects_, ioas_id));
  if (value > 1) return fail(Errno::kInval, "huge pages are off or on");
  if (value == 0) return ioas->iopt.disable_large_pages();
  ioas->iopt.enable_large_pages();
  return {};
}

}  // namespace teeio::iommufd
