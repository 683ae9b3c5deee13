#include "host/vfio/virtual_config.h"

#include <algorithm>

#include "host/vfio/pci_registers.h"
#include "hw/config_space.h"
#include "hw/find_capability.h"

namespace teeio::vfio {
namespace {

constexpr std::uint16_t kExtendedStart = hw::ConfigSpace::kExtendedStart;
constexpr std::uint32_t kExtendedNext = 0xffcU << 20U;

std::uint16_t plus(std::uint16_t at, unsigned offset) {
  return static_cast<std::uint16_t>(at + offset);
}

/// vfio_generate_bar_flags(): a VF's BAR registers are zero, a program sees its
/// BARs' kinds all the same.
std::uint32_t bar_flags(const hw::Bar& bar) {
  constexpr std::uint32_t kIo = 1;
  if (bar.kind == hw::Bar::Kind::kIo) return kIo;
  constexpr std::uint32_t kType64 = 4, kPrefetch = 8;
  return (bar.kind == hw::Bar::Kind::kMemory64 ? kType64 : 0) | (bar.prefetchable ? kPrefetch : 0);
}

}  // namespace

void VirtualConfig::init() {
  bytes_.assign(hw::ConfigSpace::kSize, Byte{});
  claim(0, kHeaderBytes, header_rule());
  fix_header();
  add_capabilities();
  add_extended_capabilities();
}

void VirtualConfig::fix_header() {
  if (hw::PciFunction* physical = function_.physical_function(); physical != nullptr) {
    set_copy(0, 2, physical->config_read(0, 2));
    if (const auto sriov = hw::find_extended_capability(*physical, kExtendedSriov))
      set_copy(2, 2, physical->config_read(plus(*sriov, kSriovVfDevice), 2));
    // A VF has no memory enable of its own (Linux: no_command_memory).
    set_copy(kCommand, 2, copy(kCommand, 2) | kCommandMemory);
  }
  if (function_.physical_function() != nullptr) set_copy(kInterruptPin, 1, 0);  // a VF has no INTx
  fix_bars();
}

void VirtualConfig::claim(std::uint16_t at, unsigned bytes, const ConfigRule& rule) {
  const unsigned end = std::min<unsigned>(at + bytes, hw::ConfigSpace::kSize);
  for (unsigned i = at; i < end; ++i)
    bytes_[i] = {.copy = 0,
                 .kept = 0,
                 .writable = 0,
                 .raw = rule.writes == ConfigRule::Writes::kRaw,
                 .owner = rule.owner,
                 .start = at};
  for (const ConfigField& field : rule.fields) {
    if (at + field.offset + field.size > static_cast<int>(end)) continue;
    const std::uint16_t place = plus(at, field.offset);
    if (field.kept != 0) set_copy(place, field.size, device(place, field.size));
    for (unsigned i = 0; i < field.size; ++i) {
      Byte& byte = bytes_[static_cast<std::size_t>(at) + field.offset + i];
      byte.kept = static_cast<std::uint8_t>(field.kept >> 8U * i);
      byte.writable = static_cast<std::uint8_t>(field.writable >> 8U * i);
    }
  }
}

/// vfio_cap_init().
void VirtualConfig::add_capabilities() {
  if ((copy(kStatus, 2) & kStatusCapabilities) == 0) return;
  std::uint16_t link = kCapabilitiesPointer;
  auto at = static_cast<std::uint16_t>(copy(kCapabilitiesPointer, 1));
  bool any = false;
  for (int left = 48; at != 0 && left > 0; --left) {
    at &= 0xfcU;  // the low bits are reserved
    const std::uint32_t header = device(at, 4);
    const auto id = static_cast<std::uint8_t>(header);
    const auto next = static_cast<std::uint16_t>(header >> 8U & 0xffU);
    const unsigned bytes = visible_bytes(function_, id, at);
    if (bytes == 0) {
      set_copy(link, 1, next);
    } else {
      claim(at, bytes, capability_rule(id, header >> 16U));
      if (id == kCapabilityPm) {
        set_copy(plus(at, kPmCapabilities), 2, copy(plus(at, kPmCapabilities), 2) & ~kPmePossible);
        set_copy(plus(at, kPmControl), 2,
                 copy(plus(at, kPmControl), 2) & ~(kPmeEnable | kPmeStatus));
      }
      link = plus(at, 1);
      any = true;
    }
    at = next;
  }
  if (!any) set_copy(kStatus, 2, copy(kStatus, 2) & ~kStatusCapabilities);
}

/// vfio_ecap_init(): the first of the list stays as an anchor of id 0 if it is hidden.
void VirtualConfig::add_extended_capabilities() {
  if (!hw::find_capability(function_, hw::kCapabilityPcie) || device(kExtendedStart, 4) == 0)
    return;
  std::optional<std::uint16_t> link;
  std::uint16_t at = kExtendedStart;
  bool any = false;
  for (int left = 960; at >= kExtendedStart && left > 0; --left) {
    const std::uint32_t header = device(at, 4);
    const auto id = static_cast<std::uint16_t>(header & 0xffffU);
    const auto next = static_cast<std::uint16_t>(header >> 20U & 0xffcU);
    const unsigned bytes = visible_extended_bytes(function_, id, at);
    if (bytes == 0 && link) {
      set_copy(*link, 4,
               (copy(*link, 4) & ~kExtendedNext) | static_cast<std::uint32_t>(next) << 20U);
    } else {
      claim(at, bytes == 0 ? 4 : bytes, extended_rule(id));
      if (bytes == 0) set_copy(at, 4, copy(at, 4) & kExtendedNext);
      any |= bytes != 0;
      link = at;
    }
    at = next;
  }
  if (!any) set_copy(kExtendedStart, 4, 0);
}

void VirtualConfig::fix_bars() {
  for (unsigned number = 0; number < hw::kBarCount; ++number) {
    const hw::Bar& bar = function_.bars()[number];
    const std::uint16_t low = plus(kBar0, 4 * number);
    if (bar.kind == hw::Bar::Kind::kNone) {
      set_copy(low, 4, 0);
      continue;
    }
    const std::uint64_t mask = ~(bar.size - 1);
    set_copy(low, 4, (copy(low, 4) & static_cast<std::uint32_t>(mask)) | bar_flags(bar));
    if (bar.kind != hw::Bar::Kind::kMemory64) continue;
    ++number;
    set_copy(plus(low, 4), 4, copy(plus(low, 4), 4) & static_cast<std::uint32_t>(mask >> 32U));
  }
  const hw::Bar* const rom = function_.rom();
  const auto mask = rom == nullptr ? 0U : static_cast<std::uint32_t>(~(rom->size - 1)) | kRomEnable;
  set_copy(kRomBar, 4, copy(kRomBar, 4) & mask);
}

unsigned VirtualConfig::chunk(std::uint16_t at, std::size_t left) const {
  const auto same = [&](unsigned i) {
    return bytes_[at + i].start == bytes_[at].start && bytes_[at + i].owner == bytes_[at].owner &&
           bytes_[at + i].raw == bytes_[at].raw;
  };
  std::size_t count = 1;
  while (count < left && (at + count) % 4 != 0 && same(static_cast<unsigned>(count))) ++count;
  if (count >= 4 && at % 4 == 0) return 4;
  return count >= 2 && at % 2 == 0 ? 2 : 1;
}

template <std::uint8_t VirtualConfig::Byte::* Member>
std::uint32_t VirtualConfig::gather(std::uint16_t at, unsigned size) const {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i)
    value |= static_cast<std::uint32_t>(bytes_[at + i].*Member) << 8U * i;
  return value;
}

bool VirtualConfig::is_writable(std::uint16_t at, unsigned size) const {
  return gather<&Byte::writable>(at, size) != 0;
}

std::uint32_t VirtualConfig::read(std::uint16_t at, unsigned size) const {
  const std::uint32_t kept = gather<&Byte::kept>(at, size);
  const std::uint32_t all = size == 4 ? ~0U : (1U << 8U * size) - 1;
  std::uint32_t value = copy(at, size) & kept;
  if (kept != all) value |= device(at, size) & ~kept;
  if (at == kCommand && function_.physical_function() != nullptr)
    value |= copy(kCommand, 2) & kCommandMemory;  // vfio_basic_config_read()
  return value;
}

std::optional<std::uint32_t> VirtualConfig::write(std::uint16_t at, unsigned size,
                                                  std::uint32_t value) {
  const std::uint32_t writable = gather<&Byte::writable>(at, size);
  const std::uint32_t kept = gather<&Byte::kept>(at, size);
  const std::uint32_t ours = writable & kept;
  if (ours != 0) set_copy(at, size, (copy(at, size) & ~ours) | (value & ours));
  const bool bars = (at >= kBar0 && at < kBar0 + 4 * hw::kBarCount) || (at & ~3U) == kRomBar;
  if (bars) fix_bars();
  const std::uint32_t theirs = writable & ~kept;
  if (theirs == 0) return std::nullopt;
  return (device(at, size) & ~theirs) | (value & theirs);
}

std::uint32_t VirtualConfig::copy(std::uint16_t at, unsigned size) const {
  return gather<&Byte::copy>(at, size);
}

void VirtualConfig::set_copy(std::uint16_t at, unsigned size, std::uint32_t value) {
  for (unsigned i = 0; i < size; ++i)
    bytes_[at + i].copy = static_cast<std::uint8_t>(value >> 8U * i);
}

}  // namespace teeio::vfio
