#include "host/pci_tsm/ide.h"

#include <algorithm>

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
constexpr unsigned kControlId = 24;  // shift
constexpr std::uint32_t kStatusState = 0xf;
constexpr std::uint32_t kStateSecure = 2;
constexpr std::uint32_t kValid = 1U << 0U;

constexpr std::uint16_t kExtendedSriov = 0x10;

std::uint32_t get(hw::PciFunction& function, unsigned offset) {
  return function.config_read(static_cast<std::uint16_t>(offset), 4);
}
void put(hw::PciFunction& function, unsigned offset, std::uint32_t value) {
  function.config_write(static_cast<std::uint16_t>(offset), 4, value);
}

/// The selective stream blocks of a function.
struct Blocks {
  unsigned first = 0;
  unsigned count = 0;
  unsigned addresses = 0;  ///< association blocks of each
  std::uint32_t capability = 0;
  [[nodiscard]] unsigned at(unsigned number) const {
    return first + number * (kSelAddress + addresses * kAddressBlockSize);
  }
};

Blocks blocks_of(hw::PciFunction& function) {
  const auto at = hw::find_extended_capability(function, hw::kExtendedIde);
  if (!at) return {};
  Blocks blocks{.capability = get(function, *at + kCapability)};
  if ((blocks.capability & kCapSelective) == 0) return {};
  const unsigned links =
      (blocks.capability & kCapLink) != 0 ? (blocks.capability >> 13U & 7U) + 1 : 0;
  blocks.first = *at + kLinkStream0 + links * kLinkBlockSize;
  blocks.addresses = get(function, blocks.first) & 0xfU;
  const unsigned all = (blocks.capability >> 16U & 0xffU) + 1;
  while (blocks.count < all && (get(function, blocks.at(blocks.count)) & 0xfU) == blocks.addresses)
    ++blocks.count;
  return blocks;
}

/// mem_assoc_to_regs().
void put_address(hw::PciFunction& function, unsigned at, hw::IdeAssociation::Range range) {
  const auto low = [](std::uint64_t address) {
    return static_cast<std::uint32_t>(address >> 20U & 0xfffU);
  };
  put(function, at, kValid | low(range.base) << 8U | low(range.last) << 20U);
  put(function, at + 4, static_cast<std::uint32_t>(range.last >> 32U));
  put(function, at + 8, static_cast<std::uint32_t>(range.base >> 32U));
}

void clear_address(hw::PciFunction& function, unsigned at) {
  for (unsigned word = 0; word < kAddressBlockSize; word += 4) put(function, at + word, 0);
}

/// set_ide_sel_ctl().
std::uint32_t control_of(const StreamEnd& end, std::uint8_t id, bool enable) {
  std::uint32_t value = std::uint32_t{id} << kControlId;
  if (end.default_stream) value |= kControlDefault;
  if (end.configuration) value |= kControlConfig;
  if (end.tee_limited) value |= kControlTeeLimited;
  if (enable) value |= kControlEnable;
  return value;
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

unsigned selective_streams(hw::PciFunction& function) { return blocks_of(function).count; }

StreamEnd stream_end(hw::PciFunction& function, unsigned block) {
  const std::uint32_t capability = blocks_of(function).capability;
  return {.function = &function,
          .block = block,
          .configuration = (capability & kCapSelectiveConfig) != 0,
          .tee_limited = (capability & kCapTeeLimited) != 0};
}

void set_up_stream(StreamEnd& end, std::uint8_t id) {
  hw::PciFunction& function = *end.function;
  const Blocks blocks = blocks_of(function);
  const unsigned block = blocks.at(end.block);
  put(function, block + kSelRid1, std::uint32_t{end.requesters.last} << 8U);
  put(function, block + kSelRid2, kValid | std::uint32_t{end.requesters.first} << 8U);
  for (unsigned n = 0; n < blocks.addresses; ++n) {
    const unsigned at = block + kSelAddress + n * kAddressBlockSize;
    if (n < end.addresses.size())
      put_address(function, at, end.addresses[n]);
    else
      clear_address(function, at);
  }
  // The ID early, for devices that want it while keys are programmed.
  put(function, block + kSelControl, control_of(end, id, false));
  end.is_set_up = true;
}

Result<void> enable_stream(StreamEnd& end, std::uint8_t id) {
  hw::PciFunction& function = *end.function;
  const unsigned block = blocks_of(function).at(end.block);
  put(function, block + kSelControl, control_of(end, id, true));
  end.is_enabled = true;
  if ((get(function, block + kSelStatus) & kStatusState) == kStateSecure) return {};
  return fail(Errno::kNxio, "the stream is enabled, but not Secure");
}

void disable_stream(StreamEnd& end) {
  put(*end.function, blocks_of(*end.function).at(end.block) + kSelControl, 0);
  end.is_enabled = false;
}

void tear_down_stream(StreamEnd& end) {
  hw::PciFunction& function = *end.function;
  const Blocks blocks = blocks_of(function);
  const unsigned block = blocks.at(end.block);
  put(function, block + kSelControl, 0);
  for (unsigned n = 0; n < blocks.addresses; ++n)
    clear_address(function, block + kSelAddress + n * kAddressBlockSize);
  put(function, block + kSelRid2, 0);
  put(function, block + kSelRid1, 0);
  end.is_set_up = false;
}

BlockState block_state(hw::PciFunction& function, unsigned block) {
  const std::uint32_t control = get(function, blocks_of(function).at(block) + kSelControl);
  return {.enabled = (control & kControlEnable) != 0,
          .id = static_cast<std::uint8_t>(control >> kControlId)};
}

void set_idle_id(hw::PciFunction& function, unsigned block, std::uint8_t id) {
  put(function, blocks_of(function).at(block) + kSelControl, std::uint32_t{id} << kControlId);
}

}  // namespace teeio::tsm
