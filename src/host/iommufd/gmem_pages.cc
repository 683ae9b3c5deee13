#include "base/check.h"
#include "host/iommufd/iopt_pages.h"

namespace teeio::iommufd {

GmemPages::GmemPages(object::Ref<kvm::Gmem> gmem, std::uint64_t start, bool writable,
                     std::uint64_t address_hint)
    : IoptPages(schedule::Rank::kIoptPages, Source::kFile, writable, address_hint),
      gmem_(std::move(gmem)),
      start_(start) {}

GmemPages::~GmemPages() {
  TEEIO_CHECK(mapped_.empty(), "pages are freed while a domain maps them");
}

Result<void> GmemPages::map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte,
                            std::uint64_t length, iommu::Prot prot) {
  for (std::uint64_t done = 0; done < length; done += kPageSize) {
    const auto page = gmem_->pin(start_ + start_byte + done);
    auto mapped = page ? domain.map(iova + done, *page, kPageSize, prot)
                       : Result<void>(std::unexpected(page.error()));
    if (mapped) {
      mapped_[{&domain, iova + done}] = *page;
      continue;
    }
    if (page) gmem_->unpin(*page);
    if (done != 0) unmap(domain, iova, start_byte, done);
    return mapped;
  }
  return {};
}

void GmemPages::unmap(iommu::Domain& domain, Iova iova, std::uint64_t /*start_byte*/,
                      std::uint64_t length) {
  domain.unmap(iova, length);
  const auto first = mapped_.lower_bound({&domain, iova});
  auto at = first;
  for (; at != mapped_.end() && at->first.first == &domain && at->first.second - iova < length;
       ++at)
    gmem_->unpin(at->second);
  mapped_.erase(first, at);
}

}  // namespace teeio::iommufd
