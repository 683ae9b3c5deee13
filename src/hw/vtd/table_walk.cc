#include "hw/vtd/table_walk.h"

namespace teeio::hw {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kAddress = 0x000f'ffff'ffff'f000;  // 51:12

// PASID table entry. Source: VT-d 9.6.
constexpr std::uint64_t kWidth48 = 2;
constexpr std::uint64_t kSecondStageOnly = 2;
constexpr std::uint64_t kPassThrough = 4;
std::uint64_t width_of(std::uint64_t q0) { return q0 >> 2U & 7U; }
std::uint64_t translation_type_of(std::uint64_t q0) { return q0 >> 6U & 7U; }

// Second-stage entry. Source: VT-d 9.8.
constexpr std::uint64_t kRead = 1;
constexpr std::uint64_t kWrite = 2;
constexpr std::uint64_t kLargePage = 0x80;

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

std::expected<ContextEntry, FaultReason> TableWalk::context(Hpa root, std::uint16_t rid) const {
  using enum FaultReason;
  const std::uint64_t bus = rid >> 8U;
  const std::uint64_t devfn = rid & 0xffU;
  const auto root_entry =
      read_present(root + bus * 16 + (devfn >> 7U) * 8, kRootEntryAccess, kRootEntryNotPresent);
  if (!root_entry) return std::unexpected(root_entry.error());
  const auto context_entry = read_present(address_in(*root_entry) + (devfn & 0x7fU) * 32,
                                          kContextEntryAccess, kContextEntryNotPresent);
  if (!context_entry) return std::unexpected(context_entry.error());
  const auto directory =
      read_present(address_in(*context_entry), kPasidDirectoryAccess, kPasidDirectoryNotPresent);
  if (!directory) return std::unexpected(directory.error());
  const Hpa pasid_entry = address_in(*directory);
  const auto q0 = read_present(pasid_entry, kPasidEntryAccess, kPasidEntryNotPresent);
  if (!q0) return std::unexpected(q0.error());
  const auto q1 = read(pasid_entry + 8, kPasidEntryAccess);
  if (!q1) return std::unexpected(q1.error());

  const bool pass_through = translation_type_of(*q0) == kPassThrough;
  const bool second_stage =
      translation_type_of(*q0) == kSecondStageOnly && width_of(*q0) == kWidth48;
  // A trusted request always has a guest's table behind it.
  if (!second_stage && !(pass_through && side_ == TBit::kShared))
    return std::unexpected(kPasidEntryInvalid);
  return ContextEntry{.second_stage = address_in(*q0),
                      .domain = static_cast<std::uint16_t>(*q1 & 0xffffU),
                      .pass_through = pass_through};
}

std::expected<IotlbEntry, FaultReason> TableWalk::second_stage(Hpa table, Iova address) const {
  using enum FaultReason;
  std::uint64_t permitted = kRead | kWrite;
  for (unsigned shift = 39;; shift -= 9) {
    const auto entry = read(table + (raw(address) >> shift & 0x1ffU) * 8, kSecondStageAccess);
    if (!entry) return std::unexpected(entry.error());
    permitted &= *entry;
    if (permitted == 0) return std::unexpected(kSecondStagePermission);
    const bool large = shift != kPageShift && (*entry & kLargePage) != 0;
    if (shift == kPageShift || large) {
      const std::uint64_t below = (std::uint64_t{1} << shift) - 1;
      const bool misaligned = (*entry & kAddress & below) != 0;
      // 512 GiB pages do not exist: the size bit is reserved at the top level.
      if (misaligned || shift > 30) return std::unexpected(kSecondStageReserved);
      return IotlbEntry{.page = address_in(*entry),
                        .shift = shift,
                        .readable = (permitted & kRead) != 0,
                        .writable = (permitted & kWrite) != 0,
                        .key = KeyId::kShared};
    }
    table = address_in(*entry);
  }
}

}  // namespace teeio::hw
