#include "hw/smmu/stage2.h"

namespace teeio::hw::smmu {

std::expected<Stage2Leaf, Event> walk_stage2(PhysicalMemory& memory, KeyId key, Hpa table,
                                             std::uint8_t ia_bits, Iova ipa) {
  constexpr unsigned kFirstLevel = 1;
  constexpr unsigned kLastLevel = 3;
  if (ia_bits >= 64 || raw(ipa) >> ia_bits != 0) return std::unexpected(Event::kTranslation);
  for (unsigned level = kFirstLevel; level <= kLastLevel; ++level) {
    const unsigned shift = kPageShift + 9 * (kLastLevel - level);
    const std::uint64_t index = raw(ipa) >> shift & 0x1ffU;
    const auto entry = memory.read_u64(table + index * sizeof(std::uint64_t), key);
    if (!entry || (*entry & kValid) == 0) return std::unexpected(Event::kTranslation);
    const bool deeper = (*entry & kTableOrPage) != 0;
    if (deeper && level < kLastLevel) {
      table = Hpa{*entry & kAddressBits};
      continue;
    }
    if (!deeper && level == kLastLevel) return std::unexpected(Event::kTranslation);
    if ((*entry & kAccessFlag) == 0) return std::unexpected(Event::kAccess);
    const std::uint64_t bytes = std::uint64_t{1} << shift;
    return Stage2Leaf{.address = Hpa{*entry & kAddressBits & ~(bytes - 1)},
                      .bytes = bytes,
                      .read = (*entry & kS2Read) != 0,
                      .write = (*entry & kS2Write) != 0,
                      .shared = (*entry & kNonSecure) != 0};
  }
  return std::unexpected(Event::kTranslation);
}

}  // namespace teeio::hw::smmu
