#include "hw/amd_iommu/iotlb.h"

#include <algorithm>

namespace teeio::hw::amd {
namespace {

// Tag: domain 15:0, page number 51:16, valid 55.
constexpr std::uint64_t kTagValid = std::uint64_t{1} << 55U;
constexpr unsigned kTagPage = 16;
// Value: readable 0, writable 1, log2 of the page's size 7:2, number of the 4-KiB frame
// at the start of the page 63:24.
constexpr unsigned kValueShift = 2;
constexpr unsigned kValueFrame = 24;

constexpr std::uint64_t tag_of(std::uint16_t domain, std::uint64_t page) {
  return kTagValid | page << kTagPage | domain;
}
// Domains that map the same addresses do not meet in one slot.
constexpr std::uint64_t slot_of(std::uint16_t domain, std::uint64_t page) {
  return page + domain * 1031ULL;
}
constexpr std::uint64_t page_number(Iova address) { return raw(address) >> kPageShift; }

// Tag: requester 15:0, valid 17. Value: translates 0, readable 1, writable 2, mode 5:3, HAD 6,
// domain 23:8, frame number 63:24.
constexpr std::uint64_t device_tag(std::uint16_t rid) { return std::uint64_t{1} << 17U | rid; }

}  // namespace

std::optional<Page> Iotlb::find(std::uint16_t domain, Iova address) const {
  if (raw(address) >= kEnd) return std::nullopt;
  const std::uint64_t page = page_number(address);
  const auto value = cache_.find(slot_of(domain, page), tag_of(domain, page));
  if (!value) return std::nullopt;
  return Page{.address = Hpa{*value >> kValueFrame << kPageShift},
              .shift = static_cast<unsigned>(*value >> kValueShift & 0x3fU),
              .readable = (*value & 1U) != 0,
              .writable = (*value & 2U) != 0};
}

void Iotlb::insert(std::uint16_t domain, Iova address, const Page& page) {
  if (raw(address) >= kEnd) return;
  const std::uint64_t number = page_number(address);
  cache_.store(slot_of(domain, number), tag_of(domain, number),
               raw(page.address) >> kPageShift << kValueFrame |
                   std::uint64_t{page.shift} << kValueShift | (page.writable ? 2U : 0U) |
                   (page.readable ? 1U : 0U));
}

void Iotlb::drop_all() {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    if (cache_.tag_at(slot) != 0) cache_.clear(slot);
}

void Iotlb::drop_range(std::uint16_t domain, Iova first, Iova last) {
  if (raw(first) >= kEnd) return;
  const std::uint64_t from = page_number(first);
  const std::uint64_t to = page_number(Iova{std::min(raw(last), kEnd - 1)});
  if (to - from < kSlots) {
    for (std::uint64_t page = from; page <= to; ++page)
      if (cache_.tag_at(slot_of(domain, page)) == tag_of(domain, page))
        cache_.clear(slot_of(domain, page));
    return;
  }
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    const std::uint64_t tag = cache_.tag_at(slot);
    if (tag >= tag_of(domain, from) && tag <= tag_of(domain, to) && (tag & 0xffffU) == domain)
      cache_.clear(slot);
  }
}

std::optional<DeviceEntry> DeviceCache::find(std::uint16_t rid) const {
  const auto value = cache_.find(rid, device_tag(rid));
  if (!value) return std::nullopt;
  return DeviceEntry{.translates = (*value & 1U) != 0,
                     .readable = (*value & 2U) != 0,
                     .writable = (*value & 4U) != 0,
                     .tracks_dirty = (*value & 0x40U) != 0,
                     .mode = static_cast<std::uint8_t>(*value >> 3U & 7U),
                     .domain = static_cast<std::uint16_t>(*value >> 8U & 0xffffU),
                     .root = Hpa{*value >> kValueFrame << kPageShift}};
}

void DeviceCache::insert(std::uint16_t rid, const DeviceEntry& entry) {
  cache_.store(rid, device_tag(rid),
               raw(entry.root) >> kPageShift << kValueFrame | std::uint64_t{entry.domain} << 8U |
                   std::uint64_t{entry.mode} << 3U | (entry.writable ? 4U : 0U) |
                   (entry.tracks_dirty ? 0x40U : 0U) | (entry.readable ? 2U : 0U) |
                   (entry.translates ? 1U : 0U));
}

void DeviceCache::drop_all() {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    if (cache_.tag_at(slot) != 0) cache_.clear(slot);
}

void DeviceCache::drop(std::uint16_t rid) {
  if (cache_.tag_at(rid) == device_tag(rid)) cache_.clear(rid);
}

}  // namespace teeio::hw::amd
