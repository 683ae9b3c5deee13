#include "host/pci_tsm/ide.h"

#include <algorithm>
#include <optional>

#include "hw/find_capability.h"

namespace teeio::tsm {
namespace {

// PCIe Base Spec 7.9.26; names and offsets as Linux include/uapi/linux/pci_regs.h.
constexpr unsigned kCapability = 0x04;
constexpr std::uint32_t kCapLink = 1U << 0U;
constexpr std::uint32_t kCapSelective = 1U << 1U;
constexpr std::uint32_t kCapSelectiveConfig = 1U << 7U;
constexpr std::uint32_t kCapTeeLimited = 1U << 24U;
constexpr unsigned kLinkStream0 = 0x0c;
constexpr unsigned kLinkBlockSize = 8;
constexpr unsigned kSelControl = 0x04;
constexpr unsigned kSelStatus = 0x08;
constexpr unsigned kSelRid1 = 0x0c;
constexpr unsigned kSelRid2 = 0x10;
constexpr unsigned kSelAddress = 0x14;
constexpr unsigned kAddressBlockSize = 12;
constexpr std::uint32_t kControlEnable = 1U << 0U;
constexpr std::uint32_t kControlConfig = 1U << 9U;
constexpr std::uint32_t kControlDefault = 1U << 22U;
constexpr std::uint32_t kControlTeeLimited = 1U << 23U;
constexpr std::uint32_t kStatusState = 0xf;
constexpr std::uint32_t kStateSecure = 2;
constexpr std::uint32_t kSelRid2Valid = 1U << 0U;

constexpr std::uint16_t kExtendedSriov = 0x10;

std::uint32_t get(hw::PciFunction& function, unsigned offset) {
  return function.config_read(static_cast<std::uint16_t>(offset), 4);
}
void put(hw::PciFunction& function, unsigned offset, std::uint32_t value) {
  function.config_write(static_cast<std::uint16_t>(offset), 4, value);
}

/// The selective stream blocks of a function. Linux pci_ide_init() takes those only that have
/// as many address associations as the first.
struct Blocks {
  unsigned first = 0;
  unsigned count = 0;
  unsigned addresses = 0;  ///< association blocks of each
  std::uint32_t capability = 0;
  [[nodiscard]] unsigned at(unsigned number) const {
    return first + number * (kSelAddress + addresses * kAddressBlockSize);
  }
};

/// Errors: ENXIO without selective streams.
Result<Blocks> blocks_of(hw::PciFunction& function) {
  const auto at = hw::find_extended_capability(function, hw::kExtendedIde);
  if (!at) return fail(Errno::kNxio, "the function has no IDE capability");
  Blocks blocks{.capability = get(function, *at + kCapability)};
  if ((blocks.capability & kCapSelective) == 0)
    return fail(Errno::kNxio, "no selective IDE streams");
  const unsigned links =
      (blocks.capability & kCapLink) != 0 ? (blocks.capability >> 13U & 7U) + 1 : 0;
  blocks.first = *at + kLinkStream0 + links * kLinkBlockSize;
  blocks.addresses = get(function, blocks.first) & 0xfU;
  const unsigned all = (blocks.capability >> 16U & 0xffU) + 1;
  while (blocks.count < all && (get(function, blocks.at(blocks.count)) & 0xfU) == blocks.addresses)
    ++blocks.count;
  return blocks;
}

bool in_use(hw::PciFunction& function, unsigned block) {
  return (get(function, block + kSelRid2) & kSelRid2Valid) != 0;
}

/// Offset of the block that was set up for the stream.
std::optional<unsigned> block_of(hw::PciFunction& function, std::uint8_t stream_id) {
  const auto blocks = blocks_of(function);
  for (unsigned n = 0; blocks && n < blocks->count; ++n)
    if (in_use(function, blocks->at(n)) &&
        get(function, blocks->at(n) + kSelControl) >> 24U == stream_id)
      return blocks->at(n);
  return std::nullopt;
}

void clear_addresses(hw::PciFunction& function, unsigned block, unsigned count) {
  for (unsigned word = 0; word < count * (kAddressBlockSize / 4); ++word)
    put(function, block + kSelAddress + word * 4, 0);
}

}  // namespace

RidRange rid_range(hw::PciFunction& pf0) {
  const std::uint16_t first = pf0.bdf().rid();
  const auto sriov = hw::find_extended_capability(pf0, kExtendedSriov);
  if (!sriov) return {first, first};
  const auto word = [&](unsigned reg) {
    return pf0.config_read(static_cast<std::uint16_t>(*sriov + reg), 2);
  };
  const std::uint32_t count = word(0x10);  // NumVFs
  if (count == 0) return {first, first};
  const std::uint32_t last = first + word(0x14) + (count - 1) * word(0x16);
  return {first, static_cast<std::uint16_t>(std::min<std::uint32_t>(last, 0xffff))};
}

Result<void> setup_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id,
                                   std::uint16_t root_port_rid, DefaultStream is_default) {
  TEEIO_ASSIGN(const Blocks blocks, blocks_of(pf0));
  unsigned number = 0;
  while (number < blocks.count && in_use(pf0, blocks.at(number))) ++number;
  if (number == blocks.count)
    return fail(Errno::kNoMem, "no selective IDE stream of the end point is free");
  const unsigned block = blocks.at(number);
  put(pf0, block + kSelRid1, std::uint32_t{root_port_rid} << 8U);
  put(pf0, block + kSelRid2, std::uint32_t{root_port_rid} << 8U | kSelRid2Valid);
  clear_addresses(pf0, block, blocks.addresses);  // whatever goes up goes to the root port
  std::uint32_t control = std::uint32_t{stream_id} << 24U;
  if ((blocks.capability & kCapSelectiveConfig) != 0) control |= kControlConfig;
  if ((blocks.capability & kCapTeeLimited) != 0) control |= kControlTeeLimited;
  if (is_default == DefaultStream::kYes) control |= kControlDefault;
  // The ID early, for devices that want it while keys are programmed.
  put(pf0, block + kSelControl, control);
  return {};
}

Result<void> enable_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id) {
  const auto block = block_of(pf0, stream_id);
  if (!block) return fail(Errno::kInval, "the stream is not set up in the end point");
  const std::uint32_t control = get(pf0, *block + kSelControl);
  put(pf0, *block + kSelControl, control | kControlEnable);
  if ((get(pf0, *block + kSelStatus) & kStatusState) == kStateSecure) return {};
  put(pf0, *block + kSelControl, control & ~kControlEnable);
  return fail(Errno::kNxio, "the stream is enabled in the end point, but not Secure");
}

void teardown_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id) {
  const auto blocks = blocks_of(pf0);
  const auto block = block_of(pf0, stream_id);
  if (!blocks || !block) return;
  put(pf0, *block + kSelControl, 0);
  clear_addresses(pf0, *block, blocks->addresses);
  put(pf0, *block + kSelRid2, 0);
  put(pf0, *block + kSelRid1, 0);
}

}  // namespace teeio::tsm
