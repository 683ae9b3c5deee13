#include "host/iommufd/mock/access_file.h"

#include "host/iommufd/context.h"
#include "schedule/fault_point.h"

namespace teeio::mock {
namespace {

constexpr std::uint64_t kMaxLength = 16U << 20U;
constexpr Errno kBadE{52};  // EBADE, which nothing else here gives

Result<void> check_length(std::uint64_t length) {
  if (length > kMaxLength) return fail(Errno::kNoMem, "the test moves at most 16 MiB");
  return {};
}

}  // namespace

Result<object::Ref<AccessFile>> AccessFile::create(iommufd::Context& context,
                                                   iommufd::ObjectId ioas_id,
                                                   iommufd::Access::Pages pages) {
  TEEIO_TRY(schedule::allocate("an access's file"));
  auto file = object::Ref<AccessFile>::adopt(new AccessFile(pages));
  TEEIO_ASSIGN(iommufd::Access * access, iommufd::Access::create(context, &*file, pages));
  if (auto attached = access->attach(ioas_id); !attached.has_value()) {
    access->end();
    return std::unexpected(attached.error());
  }
  file->access_ = access;
  return file;
}

Result<std::uint32_t> AccessFile::pin(mm::UserMemory& memory, std::uint64_t iova,
                                      std::uint64_t length, std::uint64_t address, bool write) {
  TEEIO_TRY(check_length(length));
  if (pages_ != iommufd::Access::Pages::kPinned)
    return fail(Errno::kOpNotSupp, "the access was not made to pin pages");
  TEEIO_TRY(schedule::allocate("the test's list of pages"));
  const schedule::Lock lock(lock_);
  TEEIO_ASSIGN(const auto places, access_->pin_pages(iova, length, write));
  const auto same = [&]() -> Result<void> {
    if (address == 0) return {};
    TEEIO_ASSIGN(const auto pages,
                 memory.pages(address - iova % kPageSize, places.size() * kPageSize));
    for (std::size_t i = 0; i < places.size(); ++i)
      if (i >= pages.size() || places[i].page != pages[i])
        return fail(kBadE, "other pages are mapped than the program has there");
    return {};
  }();
  if (!same.has_value()) {
    access_->unpin_pages(iova, length);
    return std::unexpected(same.error());
  }
  pinned_.emplace(next_number_, Pinned{.iova = iova, .length = length});
  return next_number_++;
}

Result<void> AccessFile::unpin(std::uint32_t number) {
  const schedule::Lock lock(lock_);
  const auto at = pinned_.find(number);
  if (at == pinned_.end()) return fail(Errno::kNoEnt, "the access has no such pages");
  access_->unpin_pages(at->second.iova, at->second.length);
  pinned_.erase(at);
  return {};
}

Result<void> AccessFile::read(mm::UserMemory& memory, std::uint64_t iova, std::uint64_t length,
                              std::uint64_t address) {
  TEEIO_TRY(check_length(length));
  TEEIO_TRY(schedule::allocate("the test's bytes"));
  Bytes bytes(length);
  TEEIO_TRY(access_->read(iova, bytes));
  return memory.write(address, bytes);
}

Result<void> AccessFile::write(mm::UserMemory& memory, std::uint64_t iova, std::uint64_t length,
                               std::uint64_t address) {
  TEEIO_TRY(check_length(length));
  TEEIO_TRY(schedule::allocate("the test's bytes"));
  Bytes bytes(length);
  TEEIO_TRY(memory.read(address, bytes));
  return access_->write(iova, bytes);
}

void AccessFile::unmapping(std::uint64_t first, std::uint64_t length) {
  const std::uint64_t last = length == 0 ? first : first + (length - 1);
  const schedule::Lock lock(lock_);
  std::erase_if(pinned_, [&](const auto& entry) {
    const Pinned& pin = entry.second;
    if (first > pin.iova + (pin.length - 1) || last < pin.iova) return false;
    access_->unpin_pages(pin.iova, pin.length);
    return true;
  });
}

void AccessFile::release() {
  if (access_ == nullptr) return;
  unmapping(0, iommufd::IoPagetable::kLastIova);
  access_->end();
}

}  // namespace teeio::mock
