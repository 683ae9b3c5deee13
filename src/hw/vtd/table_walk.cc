#include "hw/vtd/table_walk.h"

namespace teeio::hw {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kAddress = 0x000f'ffff'ffff'f000;  // 51:12

// Context entry. Source: VT-d 9.3, as Linux drivers/iommu/intel/iommu.h has it.
constexpr std::uint64_t kPasidEnable = 1U << 3U;
/// PDTS: the directory has 2^(n + 7) entries of 64 PASIDs each.
std::uint64_t pasids_of(std::uint64_t context_q0) {
  return std::uint64_t{64} << ((context_q0 >> 9U & 7U) + 7);
}

// PASID table entry. Source: VT-d 9.6.
constexpr std::uint64_t kWidth48 = 2;
constexpr std::uint64_t kSecondStageOnly = 2;
constexpr std::uint64_t kNested = 3;
constexpr std::uint64_t kPassThrough = 4;
constexpr std::uint64_t kTracksDirty = 1U << 9U;  // SSADE
std::uint64_t width_of(std::uint64_t q0) { return q0 >> 2U & 7U; }
std::uint64_t translation_type_of(std::uint64_t q0) { return q0 >> 6U & 7U; }

// Second-stage entry. Source: VT-d 9.8; Linux drivers/iommu/generic_pt/fmt/vtdss.h.
constexpr std::uint64_t kRead = 1;
constexpr std::uint64_t kWrite = 2;
constexpr std::uint64_t kLargePage = 0x80;
constexpr std::uint64_t kAccessed = 1U << 8U;
constexpr std::uint64_t kDirty = 1U << 9U;

// First-stage entry. Source: VT-d 9.7.
constexpr std::uint64_t kUser = 1U << 2U;
constexpr std::uint64_t kFirstAccessed = 1U << 5U;
constexpr std::uint64_t kFirstDirty = 1U << 6U;
constexpr unsigned kTopShift = 39;

constexpr std::uint64_t kSecondStageEnd = std::uint64_t{1} << 48U;

bool canonical(std::uint64_t address) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(address << 16U) >> 16U) == address;
}
bool misaligned(std::uint64_t entry, unsigned shift) {
  return (entry & kAddress & ((std::uint64_t{1} << shift) - 1)) != 0;
}

Hpa address_in(std::uint64_t entry) { return Hpa{entry & kAddress}; }

}  // namespace

std::expected<std::uint64_t, FaultReason> TableWalk::read(Hpa entry, FaultReason access) const {
  const KeyId key = side_ == TBit::kTrusted ? memory_.key_of(entry) : KeyId::kShared;
  const auto value = memory_.read_u64(entry, key);
  if (!value) return std::unexpected(access);
  return *value;
}

std::expected<std::uint64_t, FaultReason> TableWalk::read_present(Hpa entry, FaultReason access,
                                                                  FaultReason absent) const {
  const auto value = read(entry, access);
  if (!value) return value;
  if ((*value & kPresent) == 0) return std::unexpected(absent);
  return value;
}

std::expected<bool, FaultReason> TableWalk::set_bits(Hpa at, std::uint64_t entry,
                                                     std::uint64_t bits, FaultReason access) const {
  if ((entry & bits) == bits) return true;
  const KeyId key = side_ == TBit::kTrusted ? memory_.key_of(at) : KeyId::kShared;
  const auto done = memory_.compare_exchange_u64(at, entry, entry | bits, key);
  if (!done) return std::unexpected(access);
  return *done;
}

std::expected<Hpa, FaultReason> TableWalk::pasid_entry(Hpa context_entry, Requester from) const {
  using enum FaultReason;
  const auto context = read_present(context_entry, kContextEntryAccess, kContextEntryNotPresent);
  if (!context) return std::unexpected(context.error());
  std::uint64_t pasid = 0;
  if (from.pasid) {
    if ((*context & kPasidEnable) == 0) return std::unexpected(kPasidNotEnabled);
    pasid = std::to_underlying(*from.pasid);
    if (pasid >= pasids_of(*context)) return std::unexpected(kPasidBeyondDirectory);
  }
  const auto directory = read_present(address_in(*context) + pasid / 64 * 8, kPasidDirectoryAccess,
                                      kPasidDirectoryNotPresent);
  if (!directory) return std::unexpected(directory.error());
  return address_in(*directory) + pasid % 64 * 64;
}

std::expected<ContextEntry, FaultReason> TableWalk::context(Hpa root, Requester from) const {
  using enum FaultReason;
  const std::uint64_t bus = from.rid >> 8U;
  const std::uint64_t devfn = from.rid & 0xffU;
  const auto root_entry =
      read_present(root + bus * 16 + (devfn >> 7U) * 8, kRootEntryAccess, kRootEntryNotPresent);
  if (!root_entry) return std::unexpected(root_entry.error());
  const auto entry = pasid_entry(address_in(*root_entry) + (devfn & 0x7fU) * 32, from);
  if (!entry) return std::unexpected(entry.error());
  // In one access, so that a driver can change tables and domain at once.
  std::uint64_t words[3] = {};
  const KeyId key = side_ == TBit::kTrusted ? memory_.key_of(*entry) : KeyId::kShared;
  if (!memory_.read(*entry, writable_bytes_of(words), key))
    return std::unexpected(kPasidEntryAccess);
  const auto [q0, q1, q2] = words;
  if ((q0 & kPresent) == 0) return std::unexpected(kPasidEntryNotPresent);

  ContextEntry found{.tracks_dirty = (q0 & kTracksDirty) != 0,
                     .domain = static_cast<std::uint16_t>(q1 & 0xffffU),
                     .second_stage = address_in(q0),
                     .first_stage = q2 & kAddress};
  const std::uint64_t type = translation_type_of(q0);
  if (type == kSecondStageOnly && width_of(q0) == kWidth48) return found;
  // A trusted request always has a guest's table behind it, and no first stage here.
  if (side_ == TBit::kTrusted) return std::unexpected(kPasidEntryInvalid);
  if (type == kPassThrough) {
    found.kind = ContextEntry::Kind::kPassThrough;
  } else if (type == kNested && width_of(q0) == kWidth48) {
    found.kind = ContextEntry::Kind::kNested;
  } else {
    return std::unexpected(kPasidEntryInvalid);
  }
  return found;
}

std::expected<IotlbEntry, FaultReason> TableWalk::second_stage(const ContextEntry& context,
                                                               Iova address,
                                                               DmaAccess access) const {
  using enum FaultReason;
  std::uint64_t permitted = kRead | kWrite;
  Hpa table = context.second_stage;
  for (unsigned shift = kTopShift;;) {
    const Hpa at = table + (raw(address) >> shift & 0x1ffU) * 8;
    const auto entry = read(at, kSecondStageAccess);
    if (!entry) return std::unexpected(entry.error());
    if ((permitted & *entry) == 0) return std::unexpected(kSecondStagePermission);
    const bool leaf = shift == kPageShift || (*entry & kLargePage) != 0;
    // 512 GiB pages do not exist: the size bit is reserved at the top level.
    if (leaf && (shift > 30 || misaligned(*entry, shift)))
      return std::unexpected(kSecondStageReserved);
    const bool writes = leaf && access == DmaAccess::kWrite && (permitted & *entry & kWrite) != 0;
    if (context.tracks_dirty) {
      const auto set = set_bits(at, *entry, kAccessed | (writes ? kDirty : 0), kSecondStageAccess);
      if (!set) return std::unexpected(set.error());
      if (!*set) continue;
    }
    permitted &= *entry;
    if (leaf) {
      const bool dirty = !context.tracks_dirty || writes || (*entry & kDirty) != 0;
      return IotlbEntry{.page = address_in(*entry),
                        .shift = shift,
                        .readable = (permitted & kRead) != 0,
                        .writable = (permitted & kWrite) != 0 && dirty,
                        .key = KeyId::kShared};
    }
    table = address_in(*entry);
    shift -= 9;
  }
}

std::expected<Hpa, FaultReason> TableWalk::first_stage_entry(const ContextEntry& context,
                                                             std::uint64_t at, bool top,
                                                             DmaAccess access) const {
  using enum FaultReason;
  if (at >= kSecondStageEnd) return std::unexpected(kFirstStageBeyondWidth);
  const auto page = second_stage(context, Iova{at}, access);
  const FaultReason refused = access == DmaAccess::kWrite ? kFirstStageWritePermission
                              : top                       ? kFirstStageTopReadPermission
                                                          : kFirstStageReadPermission;
  if (!page && page.error() == kSecondStagePermission) return std::unexpected(refused);
  if (!page) return std::unexpected(page.error());
  if (!(access == DmaAccess::kWrite ? page->writable : page->readable))
    return std::unexpected(refused);
  return page->page + (at & ((std::uint64_t{1} << page->shift) - 1));
}

// Source: VT-d 3.6, 3.8 and 9.7: every structure of the first stage lies at an address of the
// second, which an accessed or dirty bit must let be written.
std::expected<TableWalk::FirstStage, FaultReason> TableWalk::first_stage(
    const ContextEntry& context, Iova address, DmaAccess access) const {
  using enum FaultReason;
  if (!canonical(raw(address))) return std::unexpected(kNotCanonical);
  std::uint64_t permitted = kUser | kWrite;
  std::uint64_t table = context.first_stage;
  for (unsigned shift = kTopShift;;) {
    const std::uint64_t at = table + (raw(address) >> shift & 0x1ffU) * 8;
    const bool top = shift == kTopShift;
    const auto place = first_stage_entry(context, at, top, DmaAccess::kRead);
    if (!place) return std::unexpected(place.error());
    const FaultReason failed = top ? kFirstStageTopAccess : kFirstStageAccess;
    const auto entry = read_present(*place, failed, kFirstStageNotPresent);
    if (!entry) return std::unexpected(entry.error());
    const bool leaf = shift == kPageShift || (*entry & kLargePage) != 0;
    if (leaf && (shift > 30 || misaligned(*entry, shift)))
      return std::unexpected(kFirstStageReserved);
    const std::uint64_t allowed = permitted & *entry;
    if ((allowed & kUser) == 0) return std::unexpected(kSupervisorOnly);
    if (leaf && access == DmaAccess::kWrite && (allowed & kWrite) == 0)
      return std::unexpected(kFirstStageNoWrite);
    const bool writes = leaf && access == DmaAccess::kWrite;
    const std::uint64_t bits = kFirstAccessed | (writes ? kFirstDirty : 0);
    if ((*entry & bits) != bits) {
      const auto writable = first_stage_entry(context, at, top, DmaAccess::kWrite);
      if (!writable) return std::unexpected(writable.error());
      const auto set = set_bits(*writable, *entry, bits, failed);
      if (!set) return std::unexpected(set.error());
      if (!*set) continue;
    }
    permitted = allowed;
    if (leaf)
      return FirstStage{
          .page = Iova{*entry & kAddress},
          .shift = shift,
          .writable = (permitted & kWrite) != 0 && (writes || (*entry & kFirstDirty) != 0)};
    table = *entry & kAddress;
    shift -= 9;
  }
}

std::expected<IotlbEntry, FaultReason> TableWalk::translation(const ContextEntry& context,
                                                              Iova address,
                                                              DmaAccess access) const {
  if (context.kind != ContextEntry::Kind::kNested) return second_stage(context, address, access);
  const auto first = first_stage(context, address, access);
  if (!first) return std::unexpected(first.error());
  const std::uint64_t offset = raw(address) & ((std::uint64_t{1} << first->shift) - 1);
  if (raw(first->page) + offset >= kSecondStageEnd)
    return std::unexpected(FaultReason::kFirstStageBeyondWidth);
  auto found = second_stage(context, first->page + offset, access);
  if (!found) return found;
  // Of two pages over each other the smaller one is what one entry of the cache covers.
  if (first->shift < found->shift) {
    const std::uint64_t in_page = raw(first->page) & ((std::uint64_t{1} << found->shift) - 1);
    found->page = found->page + in_page;
    found->shift = first->shift;
  }
  found->writable = found->writable && first->writable;
  return found;
}

}  // namespace teeio::hw
