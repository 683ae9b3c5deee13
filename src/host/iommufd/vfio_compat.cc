#include "host/iommufd/vfio_compat.h"

#include <algorithm>
#include <array>
#include <span>

#include "host/iommufd/context.h"
#include "host/iommufd/hwpt.h"

namespace teeio::iommufd {
namespace {

IoPagetable::Unmapped nothing(std::unexpected<Error> why) { return {0, std::move(why)}; }

}  // namespace

Result<Using<Ioas>> VfioCompat::ioas() {
  TEEIO_ASSIGN(Object * object, context_.objects().compat_ioas());
  return Using<Ioas>(context_.objects(), static_cast<Ioas&>(*object));
}

Result<void> VfioCompat::create() {
  TEEIO_ASSIGN(auto ioas, NewObject<Ioas>::reserve(context_.objects(), new Ioas));
  if (context_.objects().try_set_compat_ioas(*ioas)) ioas.commit();
  return {};
}

Result<ObjectId> VfioCompat::get() {
  TEEIO_ASSIGN(const auto held, ioas());
  return held->id();
}

Result<void> VfioCompat::set(ObjectId ioas_id) {
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(context_.objects(), ioas_id));
  context_.objects().set_compat_ioas(&*ioas);
  return {};
}

void VfioCompat::clear() { context_.objects().set_compat_ioas(nullptr); }

Result<bool> VfioCompat::enforces_coherency() {
  TEEIO_ASSIGN(const auto held, ioas());
  const schedule::Lock lock(held->mutex);
  return std::ranges::all_of(held->hwpts, [](const HwptPaging* hwpt) {
    return hwpt->domain().iommu().enforces_coherency();
  });
}

Result<void> VfioCompat::set_type(Type type) {
  TEEIO_ASSIGN(const auto held, ioas());
  if (type == Type::kType1) return held->iopt.disable_large_pages();
  return {};
}

Result<VfioCompat::Info> VfioCompat::info() {
  TEEIO_ASSIGN(const auto held, ioas());
  return Info{held->iopt.page_sizes(), held->iopt.usable_ranges().usable};
}

Result<void> VfioCompat::map(mm::UserMemory& memory, const Map& map) {
  TEEIO_ASSIGN(const auto held, ioas());
  const bool reads_only = map.prot == iommu::Prot::kRead || map.prot == kNoAccess;
  const mm::Access access = reads_only ? mm::Access::kRead : mm::Access::kReadWrite;
  TEEIO_ASSIGN(PagesSlice slice, context_.user_slice(memory, map.user_va, map.length, access));
  TEEIO_TRY(held->iopt.map(std::move(slice), map.iova, map.prot));
  return {};
}

Result<IoPagetable::Unmapped> VfioCompat::unmap(const Unmap& unmap) {
  TEEIO_ASSIGN(const auto held, ioas());
  const auto& [iova, length, all] = unmap;
  if (all) {
    if (iova != 0 || length != 0) return fail(Errno::kInval, "unmapping everything takes no range");
    return held->iopt.unmap_until_failure(0, IoPagetable::kLastIova);
  }
  if (!held->iopt.large_pages()) {
    const std::array<std::uint64_t, 2> lasts{iova + length - 1, iova - 1};
    TEEIO_TRY(held->iopt.cut_after(std::span(lasts).first(iova != 0 ? 2 : 1)));
  }
  if (length == 0) return nothing(fail(Errno::kInval, "length is zero"));
  if (length - 1 > IoPagetable::kLastIova - iova)
    return nothing(fail(Errno::kOverflow, "the range passes the last IOVA"));
  return held->iopt.unmap_until_failure(iova, iova + (length - 1));
}

}  // namespace teeio::iommufd
