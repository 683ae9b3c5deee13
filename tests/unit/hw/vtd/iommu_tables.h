#pragma once

#include <map>

#include "hw/physical_memory.h"
#include "hw/vtd/vtd_iommu.h"

namespace teeio::hw::test {

/// Writes IOMMU tables into memory the way a driver does.
class IommuTables {
 public:
  /// `key` is that of all tables made here.
  explicit IommuTables(PhysicalMemory& memory, KeyId key = KeyId::kShared)
      : memory_(memory), key_(key), root_(page()) {}

  [[nodiscard]] Hpa root() const { return root_; }
  Hpa page() {
    const Hpa made = *memory_.alloc_page();
    memory_.give_page(made, key_);
    return made;
  }
  void set(Hpa entry, std::uint64_t value) { (void)memory_.write_u64(entry, value, key_); }
  [[nodiscard]] std::uint64_t get(Hpa entry) { return *memory_.read_u64(entry, key_); }

  /// The table that `entry` points to, made when it is not present.
  Hpa below(Hpa entry, std::uint64_t present_bits) {
    if (get(entry) == 0) set(entry, raw(page()) | present_bits);
    return Hpa{get(entry) & ~std::uint64_t{0xfff}};
  }
  Hpa context_entry(std::uint16_t rid) {
    const std::uint64_t devfn = rid & 0xffU;
    const Hpa context = below(root_ + (rid >> 8U) * 16U + (devfn >> 7U) * 8, 1);
    return context + (devfn & 0x7fU) * 32;
  }
  Hpa directory_entry(std::uint16_t rid) { return below(context_entry(rid), 1); }
  Hpa pasid_entry(std::uint16_t rid) { return below(directory_entry(rid), 1); }

  /// Of a PASID that requests name: its context entry allows them, with a directory of one page.
  Hpa pasid_entry(std::uint16_t rid, std::uint32_t pasid) {
    const Hpa context = context_entry(rid);
    const Hpa directory = below(context, 1);
    set(context, raw(directory) | 2U << 9U | 1U << 3U | 1U);
    return below(directory + pasid / 64 * 8, 1) + pasid % 64 * 64;
  }

  static constexpr std::uint64_t kTracksDirty = 1U << 9U;
  static constexpr std::uint64_t kNested = 3U << 6U | 2U << 2U | 1U;
  /// A first stage at `first`, an address of the second, in a PASID entry.
  void nest(Hpa entry, Hpa second_stage, std::uint64_t first, std::uint16_t domain,
            std::uint64_t bits = 0) {
    set(entry + 8, domain);
    set(entry + 16, first);
    set(entry, raw(second_stage) | kNested | bits);
  }

  static constexpr std::uint64_t kSecondStage = 2U << 6U | 2U << 2U | 1U;
  static constexpr std::uint64_t kPassThrough = 4U << 6U | 1U;
  void attach(std::uint16_t rid, Hpa second_stage, std::uint16_t domain) {
    set(pasid_entry(rid) + 8, domain);
    set(pasid_entry(rid), raw(second_stage) | kSecondStage);
  }

  /// The second-stage entry of `address` in the table of pages of 2^shift bytes.
  Hpa leaf(Hpa second_stage, Iova address, unsigned shift = 12) {
    Hpa table = second_stage;
    for (unsigned level = 39; level > shift; level -= 9)
      table = below(table + (raw(address) >> level & 0x1ffU) * 8, 3);
    return table + (raw(address) >> shift & 0x1ffU) * 8;
  }
  void map(Hpa second_stage, Iova address, Hpa to, unsigned shift = 12, std::uint64_t bits = 3) {
    set(leaf(second_stage, address, shift), raw(to) | bits | (shift > 12 ? 0x80U : 0U));
  }

 private:
  PhysicalMemory& memory_;
  const KeyId key_;
  const Hpa root_;
};

}  // namespace teeio::hw::test
