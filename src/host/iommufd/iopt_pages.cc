#include "host/iommufd/iopt_pages.h"

#include <algorithm>

#include "base/check.h"
#include "schedule/fault_point.h"
#include "schedule/seeded_bug.h"

namespace teeio::iommufd {

namespace {

/// What the seeded bug does: the lock that unpin() wants is not held.
void unpin_unlocked(dmabuf::DmaBuf& buffer,
                    dmabuf::Attachment& attachment) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
  buffer.unpin(attachment);
}

}  // namespace

class UserPages::Window final : public hw::WindowTarget {
 public:
  explicit Window(mm::Pages& pages) : pages_(pages) {}
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    return pages_.read(offset, out);
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    return pages_.write(offset, in);
  }
  [[nodiscard]] std::span<std::byte> direct() override { return pages_.direct(); }

 private:
  mm::Pages& pages_;
};

struct UserPages::Pinned {
  explicit Pinned(mm::Pages& pages) : window(pages) {}
  Window window;
  Hpa base{0};
  std::uint64_t bytes = 0;  ///< summed over domains
};

Result<void> IoptPages::pin_pages(std::uint64_t, std::uint64_t) {
  return fail(Errno::kInval, "the mapping is no memory of a program");
}

void IoptPages::unpin_pages(std::uint64_t, std::uint64_t) {
  TEEIO_CHECK(false, "pages are unpinned that cannot be pinned");
}

Result<IoptPages::Place> IoptPages::place(std::uint64_t) {
  return fail(Errno::kInval, "the mapping is no memory of a program");
}

Result<void> IoptPages::read(std::uint64_t, std::span<std::byte>) {
  return fail(Errno::kInval, "the mapping is no memory of a program");
}

Result<void> IoptPages::write(std::uint64_t, ByteView) {
  return fail(Errno::kInval, "the mapping is no memory of a program");
}

UserPages::UserPages(hw::PhysicalMemory& memory, PinBook* book, Source source,
                     Result<object::Ref<mm::Pages>> pages, bool writable,
                     std::uint64_t address_hint, mm::Charges::Mode mode)
    : IoptPages(schedule::Rank::kIoptPages, source, writable, address_hint),
      memory_(memory),
      book_(book),
      pages_(std::move(pages)),
      account_(mode) {}

UserPages::~UserPages() {
  TEEIO_CHECK(pinned_ == nullptr, "pages are freed while a domain maps them");
}

Result<void> UserPages::count_up(std::uint64_t start_byte, std::uint64_t length) {
  if (length == 0) return {};
  const std::uint64_t first = start_byte / kPageSize;
  const std::uint64_t last = (start_byte + length - 1) / kPageSize;
  TEEIO_TRY(account_.add(first, last));
  for (std::uint64_t page = first; book_ != nullptr && page <= last; ++page)
    if (account_.pins(page) == 1) book_->add((*pages_)->page(page * kPageSize));
  return {};
}

void UserPages::count_down(std::uint64_t start_byte, std::uint64_t length) {
  if (length == 0) return;
  const std::uint64_t first = start_byte / kPageSize;
  const std::uint64_t last = (start_byte + length - 1) / kPageSize;
  for (std::uint64_t page = first; book_ != nullptr && page <= last; ++page)
    if (account_.pins(page) == 1) book_->remove((*pages_)->page(page * kPageSize));
  account_.remove(first, last);
}

Result<void> UserPages::check_source() {
  if (pinned_ != nullptr || !pages_.has_value() || (*pages_)->present()) return {};
  return fail(Errno::kFault, "the process whose memory is mapped is gone");
}

Result<void> UserPages::pin_pages(std::uint64_t start_byte, std::uint64_t length) {
  TEEIO_TRY(check_source());
  TEEIO_TRY(pin(start_byte, length));
  return {};
}

void UserPages::unpin_pages(std::uint64_t start_byte, std::uint64_t length) {
  unpin(start_byte, length);
}

Result<IoptPages::Place> UserPages::place(std::uint64_t byte) {
  if (!pages_.has_value()) return std::unexpected(pages_.error());
  return Place{(*pages_)->page(byte), (pinned_ ? pinned_->base : Hpa{0}) + byte};
}

Result<void> UserPages::read(std::uint64_t byte, std::span<std::byte> out) {
  mutex().assert_held();
  if (!pages_.has_value()) return std::unexpected(pages_.error());
  return (*pages_)->read(byte, out);
}

Result<void> UserPages::write(std::uint64_t byte, ByteView in) {
  mutex().assert_held();
  if (!writable()) return fail(Errno::kPerm, "the pages were mapped for reading");
  if (!pages_.has_value()) return std::unexpected(pages_.error());
  return (*pages_)->write(byte, in);
}

Result<Hpa> UserPages::pin(std::uint64_t start_byte, std::uint64_t length) {
  TEEIO_TRY(schedule::allocate("a list of pages"));
  if (schedule::fault_at(schedule::FaultPlace::kHost, "pages to pin", schedule::Fault::kNoPin))
    return fail(Errno::kFault, "a fault was injected: the pages cannot be pinned");
  if (!pages_.has_value()) return std::unexpected(pages_.error());
  TEEIO_TRY(count_up(start_byte, length));
  if (pinned_ == nullptr) {
    auto pinned = std::make_unique<Pinned>(**pages_);
    const auto base = memory_.map_window(pinned->window, (*pages_)->size_bytes());
    if (!base.has_value()) {
      count_down(start_byte, length);
      return std::unexpected(base.error());
    }
    pinned->base = *base;
    pinned_ = std::move(pinned);
  }
  pinned_->bytes += length;
  return pinned_->base;
}

void UserPages::unpin(std::uint64_t start_byte, std::uint64_t length) {
  TEEIO_CHECK(pinned_ != nullptr && pinned_->bytes >= length,
              "more pages are unpinned than pinned");
  count_down(start_byte, length);
  pinned_->bytes -= length;
  if (pinned_->bytes != 0) return;
  memory_.unmap_window(pinned_->base);
  pinned_.reset();
}

Result<void> UserPages::map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
                            std::uint64_t length, iommu::Prot prot) {
  TEEIO_ASSIGN(const Hpa base, pin(start_byte, length));
  auto mapped = schedule::allocate_page("a page table");
  if (mapped.has_value()) mapped = domain.map(iova, base + start_byte, length, prot);
  if (!mapped.has_value()) unpin(start_byte, length);
  return mapped;
}

void UserPages::unmap(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
                      std::uint64_t length) {
  domain.unmap(iova, length);
  unpin(start_byte, length);
}

Result<object::Ref<DmabufPages>> DmabufPages::create(object::Ref<dmabuf::DmaBuf> buffer,
                                                     std::uint64_t start, bool writable,
                                                     std::uint64_t address_hint) {
  auto pages = object::Ref<DmabufPages>::adopt(
      new DmabufPages(std::move(buffer), start, writable, address_hint));
  TEEIO_TRY(pages->attach());
  return pages;
}

Result<void> DmabufPages::attach() {
  TEEIO_ASSIGN(attachment_, buffer_->attach(*this));
  const bool too_late = schedule::seeded("attach-races-revoke");
  Result<dmabuf::PhysRange> range;
  {
    const schedule::Lock resv(buffer_->resv());
    range = buffer_->single_range(*attachment_);
    if (!range.has_value()) return std::unexpected(range.error());
    buffer_->pin(*attachment_);
    pinned_ = true;
    if (!too_late) set_range(*range);
  }
  if (too_late) set_range(*range);
  return {};
}

void DmabufPages::set_range(const dmabuf::PhysRange& range) {
  const schedule::Lock lock(mutex());
  range_ = range;
}

DmabufPages::~DmabufPages() {
  if (attachment_ == nullptr) return;
  if (pinned_ && schedule::seeded("unpin-without-lock")) {
    unpin_unlocked(*buffer_, *attachment_);
  } else {
    const schedule::Lock resv(buffer_->resv());
    if (pinned_) buffer_->unpin(*attachment_);
  }
  buffer_->detach(*attachment_);
}

Result<void> DmabufPages::map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
                              std::uint64_t length, iommu::Prot prot) {
  if (!range_.has_value()) return {};
  TEEIO_TRY(domain.map(iova, range_->start + (start_ + start_byte), length, prot));
  mapped_.push_back({&domain, iova, length});
  return {};
}

void DmabufPages::unmap(iommu::Domain& domain, Iova iova, std::uint64_t /*start_byte*/,
                        std::uint64_t length) {
  if (!range_.has_value()) return;  // the revoke has done it
  domain.unmap(iova, length);
  std::erase_if(mapped_, [&](const Mapped& mapped) {
    return mapped.domain == &domain && mapped.iova >= iova && mapped.iova - iova < length;
  });
}

void DmabufPages::invalidated(dmabuf::Attachment& /*attachment*/) {
  const schedule::Lock lock(mutex());
  for (const Mapped& mapped : mapped_) mapped.domain->unmap(mapped.iova, mapped.length);
  mapped_.clear();
  range_.reset();
}

}  // namespace teeio::iommufd
