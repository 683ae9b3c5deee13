#include "host/iommufd/mappings.h"

#include <algorithm>

namespace teeio::iommufd {

Result<std::uint64_t> Mappings::add(Object& owner, std::uint64_t length, ByteView contents) {
  const schedule::Lock lock(lock_);
  if (file_ == nullptr) return fail(Errno::kNoMem, "the iommufd has no memory to share");
  std::uint64_t offset = kPageSize;
  for (const auto& [first, range] : ranges_) {
    if (first - offset >= length) break;
    offset = first + range.length;
  }
  TEEIO_ASSIGN(const std::span<std::byte> pages, file_->expose(offset, length));
  std::ranges::fill(pages, std::byte{0});
  std::ranges::copy(contents, pages.begin());
  ranges_.emplace(offset, Range{.length = length, .owner = &owner});
  return offset;
}

void Mappings::remove_all_of(const Object& owner) {
  const schedule::Lock lock(lock_);
  std::erase_if(ranges_, [&](const auto& entry) { return entry.second.owner == &owner; });
}

Result<void> Mappings::map(std::uint64_t offset, std::uint64_t length, bool shared,
                           bool executable) {
  if (length == 0) return fail(Errno::kInval, "length is zero");
  if (!shared) return fail(Errno::kInval, "an iommufd's pages are mapped shared");
  if (executable) return fail(Errno::kPerm, "an iommufd's pages are not code");
  const schedule::Lock lock(lock_);
  const auto at = ranges_.find(offset);
  if (at == ranges_.end() || at->second.length != length)
    return fail(Errno::kNxio, "the iommufd has no such mapping");
  at->second.mapped = true;
  return {};
}

bool Mappings::in_use(const Object& owner) {
  const schedule::Lock lock(lock_);
  return std::ranges::any_of(ranges_, [&](auto& entry) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    Range& range = entry.second;
    if (range.owner != &owner || !range.mapped) return false;
    range.mapped = file_->mapped(entry.first, range.length);
    return range.mapped;
  });
}

void Mappings::set_file(std::unique_ptr<mm::MappedFile> file) {
  const schedule::Lock lock(lock_);
  file_ = std::move(file);
}

}  // namespace teeio::iommufd
