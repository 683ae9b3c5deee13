#include "host/pci_tsm/ide.h"

#include <algorithm>

#include "hw/find_capability.h"

namespace teeio::tsm {
namespace {

// PCIe Base Spec 7.9.26; names and offsets as Linux include/uapi/linux/pci_regs.h.
constexpr std::uint16_t kCapability = 0x04;
constexpr std::uint32_t kCapLink = 1U << 0U;
constexpr std::uint32_t kCapSelective = 1U << 1U;
constexpr std::uint16_t kLinkStream0 = 0x0c;
constexpr std::uint16_t kLinkBlockSize = 8;
constexpr std::uint16_t kSelControl = 0x04;
constexpr std::uint16_t kSelRid1 = 0x0c;
constexpr std::uint16_t kSelRid2 = 0x10;
constexpr std::uint32_t kSelControlEnable = 1U << 0U;
constexpr std::uint32_t kSelRid2Valid = 1U << 0U;

constexpr std::uint16_t kExtendedSriov = 0x10;

/// Offset of the first selective stream block; ENXIO without one.
Result<std::uint16_t> first_block(hw::PciFunction& function) {
  const auto at = hw::find_extended_capability(function, hw::kExtendedIde);
  if (!at) return fail(Errno::kNxio, "the function has no IDE capability");
  const std::uint32_t cap = function.config_read(static_cast<std::uint16_t>(*at + kCapability), 4);
  if ((cap & kCapSelective) == 0) return fail(Errno::kNxio, "no selective IDE streams");
  const unsigned links = (cap & kCapLink) != 0 ? (cap >> 13U & 7U) + 1 : 0;
  return static_cast<std::uint16_t>(*at + kLinkStream0 + links * kLinkBlockSize);
}

void put(hw::PciFunction& function, unsigned offset, std::uint32_t value) {
  function.config_write(static_cast<std::uint16_t>(offset), 4, value);
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
                                   std::uint16_t root_port_rid) {
  TEEIO_ASSIGN(const unsigned block, first_block(pf0));
  put(pf0, block + kSelRid1, static_cast<std::uint32_t>(root_port_rid) << 8U);
  put(pf0, block + kSelRid2, static_cast<std::uint32_t>(root_port_rid) << 8U | kSelRid2Valid);
  // The ID early, for devices that want it while keys are programmed.
  put(pf0, block + kSelControl, static_cast<std::uint32_t>(stream_id) << 24U);
  return {};
}

void enable_endpoint_stream(hw::PciFunction& pf0, std::uint8_t stream_id) {
  if (const auto block = first_block(pf0))
    put(pf0, static_cast<unsigned>(*block + kSelControl),
        static_cast<std::uint32_t>(stream_id) << 24U | kSelControlEnable);
}

void teardown_endpoint_stream(hw::PciFunction& pf0) {
  const auto block = first_block(pf0);
  if (!block) return;
  for (const std::uint16_t reg : {kSelControl, kSelRid2, kSelRid1})
    put(pf0, static_cast<unsigned>(*block + reg), 0);
}

}  // namespace teeio::tsm
