#include "hw/amd_iommu/table_walk.h"

#include <bit>
#include <optional>

namespace teeio::hw::amd {
namespace {

constexpr unsigned kTopLevel = 6;

constexpr unsigned shift_of(unsigned level) { return kPageShift + 9 * (level - 1); }

std::unexpected<Fault> fault(Event event, std::uint16_t flags, std::string_view text) {
  return std::unexpected(Fault{.event = event, .flags = flags, .text = text});
}
std::unexpected<Fault> not_present(std::string_view text) {
  return fault(Event::kIoPageFault, 0, text);
}
std::unexpected<Fault> reserved(std::string_view text) {
  return fault(Event::kIoPageFault, kFlagPresent | kFlagReserved, text);
}

/// Bits of `address` from 12 + 9 * `levels` on: none of a table that low covers them.
bool beyond(Iova address, unsigned levels) {
  return levels < kTopLevel && raw(address) >> (kPageShift + 9 * levels) != 0;
}

/// Whether an address bit that skipped levels would have used is set. Level `from` is the
/// table that the entry is in, `to` the one that it points to.
bool skips_set_bits(Iova address, unsigned from, unsigned to) {
  const std::uint64_t below_from = (std::uint64_t{1} << shift_of(from)) - 1;
  return (raw(address) & below_from) >> (kPageShift + 9 * to) != 0;
}

/// log2 of the size of a page entry in a table of `level`, or none when the entry's size
/// is no size of that level.
std::optional<unsigned> page_shift(std::uint64_t entry, unsigned next_level, unsigned level) {
  if (next_level != kNextLevelSized) return shift_of(level);
  // The first zero from bit 12 on: as many ones as there are, and one.
  const auto ones = static_cast<unsigned>(std::countr_one((entry & kAddressField) >> kPageShift));
  const unsigned shift = kPageShift + ones + 1;
  if (shift <= shift_of(level) || shift >= shift_of(level) + 9) return std::nullopt;
  return shift;
}

}  // namespace

std::expected<DeviceEntry, Fault> TableWalk::device(std::uint64_t table, std::uint16_t rid,
                                                    bool snp) const {
  using enum Event;
  const std::uint64_t bytes = ((table & 0x1ffU) + 1) * kPageSize;
  const std::uint64_t offset = rid * kDteBytes;
  if (offset >= bytes)
    return fault(kIllegalDeviceTableEntry, 0, "the requester is beyond the device table");
  const Hpa at{(table & kAddressField) + offset};
  // Half an entry in one access, so that a driver can change root and domain at once.
  std::uint64_t words[2] = {};
  if (!memory_.read(at, writable_bytes_of(words)))
    return fault(kDeviceTableHardwareError, 0, "the device table entry cannot be read");
  const auto [q0, q1] = words;
  if ((q0 & kDteValid) == 0) {
    if (snp) return fault(kIllegalDeviceTableEntry, 0, "SNP needs a valid device table entry");
    return DeviceEntry{.readable = true, .writable = true};
  }
  if ((q0 & (kDteReserved | kDteGuestFields)) != 0)
    return fault(kIllegalDeviceTableEntry, kFlagReserved,
                 "the device table entry has reserved bits set");
  if ((q0 & kDteTranslationValid) == 0)
    return not_present("the device table entry has no translation");
  const auto mode = static_cast<std::uint8_t>(q0 >> kDteMode & 7U);
  if (mode > kTopLevel)
    return fault(kIllegalDeviceTableEntry, kFlagReserved, "the paging mode is reserved");
  if (mode == 0 && snp)
    return fault(kIllegalDeviceTableEntry, 0, "SNP allows no device table entry without tables");
  return DeviceEntry{.translates = true,
                     .readable = (q0 & kDteRead) != 0,
                     .writable = (q0 & kDteWrite) != 0,
                     .tracks_dirty = (q0 & kDteTracksDirty) == kDteTracksDirty,
                     .mode = mode,
                     .domain = static_cast<std::uint16_t>(q1 & 0xffffU),
                     .root = Hpa{q0 & kAddressField}};
}

std::expected<Page, Fault> TableWalk::page(const DeviceEntry& device, Iova address,
                                           DmaAccess access) const {
  std::uint64_t permitted = (device.readable ? kPteRead : 0) | (device.writable ? kPteWrite : 0);
  unsigned level = device.mode;
  Hpa table = device.root;
  if (beyond(address, level)) return not_present("the address is beyond the page table");
  for (;;) {
    const std::uint64_t index = raw(address) >> shift_of(level) & 0x1ffU;
    const auto entry = memory_.read_u64(table + index * 8);
    if (!entry)
      return fault(Event::kPageTableHardwareError, 0, "a page table entry cannot be read");
    if ((*entry & kPtePresent) == 0) return not_present("a page table entry is not present");
    if ((*entry & kPteReserved) != 0) return reserved("a page table entry has reserved bits set");
    const auto next = static_cast<unsigned>(*entry >> kPteNextLevel & 7U);
    if (next == 0 || next == kNextLevelSized) {
      // Table 15: the highest level has no pages.
      const auto shift = level == kTopLevel ? std::nullopt : page_shift(*entry, next, level);
      if (!shift) return reserved("a page's size does not go with its level");
      const std::uint64_t below = (std::uint64_t{1} << *shift) - 1;
      if (next == 0 && (*entry & kAddressField & below) != 0)
        return reserved("a page is not aligned to its size");
      const bool writes = access == DmaAccess::kWrite && (permitted & *entry & kPteWrite) != 0;
      if (device.tracks_dirty) {
        const std::uint64_t bits = kPteAccessed | (writes ? kPteDirty : 0);
        std::uint64_t expected = *entry;
        const auto set = memory_.compare_exchange_u64(table + index * 8, expected, *entry | bits);
        if (!set)
          return fault(Event::kPageTableHardwareError, 0, "a page table entry cannot be written");
        if (!*set) continue;  // it is another one by now
      }
      permitted &= *entry;
      const bool dirty = !device.tracks_dirty || writes || (*entry & kPteDirty) != 0;
      return Page{.address = Hpa{*entry & kAddressField & ~below},
                  .shift = *shift,
                  .readable = (permitted & kPteRead) != 0,
                  .writable = (permitted & kPteWrite) != 0 && dirty};
    }
    if (next >= level) return reserved("a page table entry does not lead to a lower level");
    if (skips_set_bits(address, level, next))
      return not_present("an address bit of a skipped level is set");
    permitted &= *entry;
    level = next;
    table = Hpa{*entry & kAddressField};
  }
}

}  // namespace teeio::hw::amd
