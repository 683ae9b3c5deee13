#include "host/mm/plain_memory.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/types.h"
#include "schedule/races.h"
#include "schedule/run_heap.h"

namespace teeio::mm {
namespace {

Error bad_address() { return {Errno::kFault, "address range is not mapped with that access"}; }

}  // namespace

struct PlainPages::Buffer : object::Counted {
  explicit Buffer(std::uint64_t size_bytes) : data(schedule::allocate_zeroed(size_bytes)) {}
  ~Buffer() override { schedule::free_zeroed(data); }
  std::byte* const data;
};

PlainPages::PlainPages(object::Ref<Buffer> buffer, std::span<std::byte> bytes)
    : buffer_(std::move(buffer)), bytes_(bytes) {}
PlainPages::~PlainPages() = default;

object::Ref<PlainPages> PlainPages::create(std::uint64_t size_bytes) {
  auto buffer = object::make_ref<Buffer>(size_bytes);
  const std::span<std::byte> bytes(buffer->data, size_bytes);
  return object::Ref<PlainPages>::adopt(new PlainPages(std::move(buffer), bytes));
}

object::Ref<PlainPages> PlainPages::part_of(PlainPages& whole, std::uint64_t offset,
                                            std::uint64_t size_bytes) {
  TEEIO_CHECK(offset <= whole.bytes_.size() && size_bytes <= whole.bytes_.size() - offset,
              "a part lies outside its pages");
  return object::Ref<PlainPages>::adopt(
      new PlainPages(whole.buffer_, whole.bytes_.subspan(offset, size_bytes)));
}

PageId PlainPages::page(std::uint64_t offset) {
  const std::byte* const at = bytes_.data() + offset;
  return {.device = 1,
          .file = reinterpret_cast<std::uintptr_t>(buffer_->data),
          .offset = static_cast<std::uint64_t>(at - buffer_->data) & ~(kPageSize - 1)};
}

Result<void> PlainPages::read(std::uint64_t offset, std::span<std::byte> out) {
  TEEIO_CHECK(offset <= bytes_.size() && out.size() <= bytes_.size() - offset,
              "pages are read outside their size");
  const schedule::Unwatched unwatched;  // the program's threads and a device use it as they like
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Result<void> PlainPages::write(std::uint64_t offset, ByteView in) {
  TEEIO_CHECK(offset <= bytes_.size() && in.size() <= bytes_.size() - offset,
              "pages are written outside their size");
  const schedule::Unwatched unwatched;
  if (!in.empty()) std::memcpy(bytes_.data() + offset, in.data(), in.size());
  return {};
}

std::uint64_t PlainMemory::map(std::uint64_t size_bytes, Access access) {
  TEEIO_CHECK(size_bytes != 0 && is_page_aligned(size_bytes), "a mapping is whole pages");
  const schedule::Lock lock(mutex_);
  const std::uint64_t address = next_address_;
  next_address_ += size_bytes + kPageSize;
  Mapping mapping{PlainPages::create(size_bytes), access};
  const schedule::RawLockGuard book(book_);
  mappings_.emplace(address, std::move(mapping));
  return address;
}

void PlainMemory::unmap(std::uint64_t address) {
  const schedule::Lock lock(mutex_);
  Mapping gone;  // dropped when the book is closed
  const schedule::RawLockGuard book(book_);
  const auto at = mappings_.find(address);
  TEEIO_CHECK(at != mappings_.end(), "an address is unmapped that is not mapped");
  gone = std::move(at->second);
  mappings_.erase(at);
}

Result<PlainMemory::Place> PlainMemory::find(std::uint64_t address, std::uint64_t length,
                                             Access access) {
  auto at = mappings_.upper_bound(address);
  if (at == mappings_.begin()) return std::unexpected(bad_address());
  --at;
  const std::uint64_t offset = address - at->first;
  const std::uint64_t size = at->second.pages->size_bytes();
  if (offset > size || length > size - offset) return std::unexpected(bad_address());
  if (access == Access::kReadWrite && at->second.access == Access::kRead)
    return std::unexpected(bad_address());
  return Place{&at->second, offset};
}

Result<void> PlainMemory::read(std::uint64_t address, std::span<std::byte> out) {
  if (out.empty()) return {};
  const schedule::RawLockGuard book(book_);
  TEEIO_ASSIGN(const Place place, find(address, out.size(), Access::kRead));
  return place.mapping->pages->read(place.offset, out);
}

Result<void> PlainMemory::write(std::uint64_t address, ByteView in) {
  if (in.empty()) return {};
  const schedule::RawLockGuard book(book_);
  TEEIO_ASSIGN(const Place place, find(address, in.size(), Access::kReadWrite));
  return place.mapping->pages->write(place.offset, in);
}

Result<object::Ref<Pages>> PlainMemory::pin(std::uint64_t address, std::uint64_t length,
                                            Access access) {
  TEEIO_CHECK(is_page_aligned(address) && is_page_aligned(length), "pins are whole pages");
  const schedule::Lock lock(mutex_);  // keeps the mapping there
  const auto place = [&] {
    const schedule::RawLockGuard book(book_);
    return find(address, length, access);
  }();
  TEEIO_TRY(place);
  return PlainPages::part_of(*place->mapping->pages, place->offset, length);
}

Result<std::vector<PageId>> PlainMemory::pages(std::uint64_t address, std::uint64_t length) {
  std::vector<PageId> found;
  const schedule::RawLockGuard guard(book_);
  for (std::uint64_t at = page_base(address);
       at - page_base(address) < length + address % kPageSize; at += kPageSize) {
    TEEIO_ASSIGN(const Place place, find(at, 1, Access::kRead));
    found.push_back(place.mapping->pages->page(place.offset));
  }
  return found;
}

}  // namespace teeio::mm
