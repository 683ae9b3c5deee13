#include "host/pci_tsm/sev/stream.h"

#include <optional>

#include "hw/find_capability.h"

namespace teeio::tsm {
namespace {

// PCIe Base Spec 7.9.26; names and offsets as Linux include/uapi/linux/pci_regs.h.
constexpr std::uint16_t kCapability = 0x04;
constexpr std::uint32_t kCapLink = 1U << 0U;
constexpr std::uint32_t kCapSelective = 1U << 1U;
constexpr std::uint16_t kLinkStream0 = 0x0c;
constexpr unsigned kLinkBlockSize = 8;
constexpr unsigned kSelCapability = 0x00;
constexpr unsigned kSelControl = 0x04;
constexpr unsigned kSelRid1 = 0x0c;
constexpr unsigned kSelRid2 = 0x10;
constexpr unsigned kSelAddress = 0x14;
constexpr unsigned kAddressBlockSize = 12;
constexpr std::uint32_t kControlEnable = 1U << 0U;
constexpr std::uint32_t kControlConfig = 1U << 9U;
constexpr std::uint32_t kControlDefault = 1U << 22U;
constexpr std::uint32_t kControlTeeLimited = 1U << 23U;
constexpr std::uint32_t kRidLast = 0xffffU << 8U;
constexpr std::uint32_t kRid2Valid = 1U << 0U;

std::uint32_t get(hw::PciFunction& function, unsigned offset) {
  return function.config_read(static_cast<std::uint16_t>(offset), 4);
}
void put(hw::PciFunction& function, unsigned offset, std::uint32_t value) {
  function.config_write(static_cast<std::uint16_t>(offset), 4, value);
}

/// Offset of the first selective block that `wanted` takes; nullopt: none.
template <class Wanted>
std::optional<unsigned> find_block(hw::PciFunction& function, Wanted wanted) {
  const auto at = hw::find_extended_capability(function, hw::kExtendedIde);
  if (!at) return std::nullopt;
  const std::uint32_t cap = get(function, *at + kCapability);
  if ((cap & kCapSelective) == 0) return std::nullopt;
  const unsigned links = (cap & kCapLink) != 0 ? (cap >> 13U & 7U) + 1 : 0;
  unsigned block = *at + kLinkStream0 + links * kLinkBlockSize;
  for (unsigned n = 0; n <= (cap >> 16U & 0xffU); ++n) {
    if (wanted(block)) return block;
    block += kSelAddress + (get(function, block + kSelCapability) & 0xfU) * kAddressBlockSize;
  }
  return std::nullopt;
}

std::optional<unsigned> block_of(hw::PciFunction& function, std::uint8_t stream_id) {
  return find_block(function, [&](unsigned block) {
    return (get(function, block + kSelRid2) & kRid2Valid) != 0 &&
           get(function, block + kSelControl) >> 24U == stream_id;
  });
}

}  // namespace

Result<void> setup_stream(hw::PciFunction& function, StreamEnd end, std::uint8_t stream_id) {
  if (!hw::find_extended_capability(function, hw::kExtendedIde))
    return fail(Errno::kNxio, "the function has no IDE capability");
  const auto block = find_block(
      function, [&](unsigned at) { return (get(function, at + kSelRid2) & kRid2Valid) == 0; });
  if (!block) return fail(Errno::kBusy, "no selective IDE stream is free");
  put(function, *block + kSelRid1, kRidLast);
  put(function, *block + kSelRid2, kRid2Valid);
  const std::uint32_t own =
      end == StreamEnd::kRootPort ? kControlConfig : kControlDefault | kControlTeeLimited;
  put(function, *block + kSelControl, std::uint32_t{stream_id} << 24U | own);
  return {};
}

void enable_stream(hw::PciFunction& function, std::uint8_t stream_id) {
  if (const auto block = block_of(function, stream_id))
    put(function, *block + kSelControl, get(function, *block + kSelControl) | kControlEnable);
}

void teardown_stream(hw::PciFunction& function, std::uint8_t stream_id) {
  const auto block = block_of(function, stream_id);
  if (!block) return;
  for (const unsigned reg : {kSelControl, kSelRid2, kSelRid1}) put(function, *block + reg, 0);
}

}  // namespace teeio::tsm
