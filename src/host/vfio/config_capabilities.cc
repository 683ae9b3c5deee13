#include "host/vfio/config_capabilities.h"

#include <algorithm>
#include <array>

#include "host/vfio/pci_registers.h"
#include "hw/find_capability.h"

namespace teeio::vfio {
namespace {

using Writes = ConfigRule::Writes;
using Owner = ConfigRule::Owner;

constexpr std::uint32_t kAll = ~0U;
constexpr unsigned kVariable = 0xff;

// Capability ids. Source: PCI Code and ID Assignment Specification 2 and 3.
constexpr std::uint8_t kVpd = 0x03, kPcix = 0x07, kHyperTransport = 0x08, kVendor = 0x09,
                       kSata = 0x12, kAdvancedFeatures = 0x13;
constexpr std::uint16_t kErrors = 0x01, kChannels = 0x02, kSerial = 0x03, kPower = 0x04,
                        kMultiFunctionChannels = 0x08, kChannels9 = 0x09, kExtendedVendor = 0x0b,
                        kAcs = 0x0d, kAri = 0x0e, kAts = 0x0f, kSriov = 0x10, kMulticast = 0x12,
                        kPageRequest = 0x13, kResizableBar = 0x15, kDynamicPower = 0x16,
                        kTph = 0x17, kLtr = 0x18, kDesignatedVendor = 0x23;

struct Length {
  std::uint16_t id;
  std::uint16_t bytes;
};

/// pci_cap_length[]: the others are hidden.
constexpr std::array kLengths = {Length{kCapabilityPm, 8},
                                 Length{0x02 /* AGP */, 12},
                                 Length{kVpd, 8},
                                 Length{kCapabilityMsi, kVariable},
                                 Length{kPcix, kVariable},
                                 Length{kHyperTransport, kVariable},
                                 Length{kVendor, kVariable},
                                 Length{hw::kCapabilityPcie, kVariable},
                                 Length{kCapabilityMsix, 12},
                                 Length{kSata, kVariable},
                                 Length{kAdvancedFeatures, 6}};

/// pci_ext_cap_length[]. DOE, IDE, PASID and DPC, among others, are hidden.
constexpr std::array kExtendedLengths = {Length{kErrors, 0x2c},
                                         Length{kChannels, kVariable},
                                         Length{kSerial, 12},
                                         Length{kPower, 16},
                                         Length{kMultiFunctionChannels, kVariable},
                                         Length{kChannels9, kVariable},
                                         Length{kExtendedVendor, kVariable},
                                         Length{kAcs, kVariable},
                                         Length{kAri, 8},
                                         Length{kAts, 8},
                                         Length{kSriov, 0x40},
                                         Length{kMulticast, 40},
                                         Length{kPageRequest, 16},
                                         Length{kResizableBar, kVariable},
                                         Length{kDynamicPower, kVariable},
                                         Length{kTph, kVariable},
                                         Length{kLtr, 8},
                                         Length{kDesignatedVendor, kVariable}};

unsigned length_of(std::span<const Length> lengths, std::uint16_t id) {
  const auto at = std::ranges::find(lengths, id, &Length::id);
  return at == lengths.end() ? 0 : at->bytes;
}

// init_pci_cap_*_perm() and init_pci_ext_cap_*_perm().

constexpr std::array kHeaderFields = {
    ConfigField{0x00, 4, kAll, 0},  // vendor and device: a VF's own read as all ones
    ConfigField{kCommand, 2, kCommandIntxDisable, 0xffff},
    ConfigField{kStatus, 2, kStatusCapabilities, 0},
    ConfigField{0x0c, 2, 0, 0xffff},  // cache line size, latency timer
    ConfigField{0x0f, 1, 0, 0xff},    // BIST
    ConfigField{kBar0, 4, kAll, kAll},
    ConfigField{kBar0 + 4, 4, kAll, kAll},
    ConfigField{kBar0 + 8, 4, kAll, kAll},
    ConfigField{kBar0 + 12, 4, kAll, kAll},
    ConfigField{kBar0 + 16, 4, kAll, kAll},
    ConfigField{kBar0 + 20, 4, kAll, kAll},
    ConfigField{kRomBar, 4, kAll, kAll},
    ConfigField{kCapabilitiesPointer, 1, 0xff, 0},
    ConfigField{kInterruptLine, 2, 0xffff, 0x00ff}};  // with the pin, which is not writable

constexpr ConfigField kNext{1, 1, 0xff, 0};
constexpr ConfigField kExtendedHeader{0, 4, kAll, 0};

constexpr std::array kPmFields = {
    kNext, ConfigField{kPmCapabilities, 2, kPmePossible, 0},
    ConfigField{kPmControl, 4, kPmeEnable | kPmeStatus, ~(kPmeEnable | kPmeStatus | kPmStateMask)}};
constexpr std::array kVpdFields = {kNext, ConfigField{2, 2, 0xffff, 0xffff},
                                   ConfigField{4, 4, kAll, kAll}};
constexpr std::array kPcixFields = {kNext, ConfigField{2, 2, 0, 0xffff},
                                    ConfigField{8, 4, 0, kAll}};
constexpr std::array kExpressFields = {
    kNext,
    ConfigField{kPcieDeviceControl, 2, kDevControlFlr | kDevControlPayload | kDevControlReadRequest,
                0xffffU & ~kDevControlPhantom},
    ConfigField{kPcieDeviceControl2, 2, 0, 0xffffU & ~kDevControl2Ari}};
constexpr std::array kAdvancedFeatureFields = {kNext, ConfigField{kAfControl, 1, 1, 1}};

constexpr std::array kMsi32 = {kNext, ConfigField{kMsiFlags, 1, 0xff, 0xff},
                               ConfigField{4, 4, kAll, kAll}, ConfigField{8, 2, 0xffff, 0xffff}};
constexpr std::array kMsi32Masked = {kNext,
                                     ConfigField{kMsiFlags, 1, 0xff, 0xff},
                                     ConfigField{4, 4, kAll, kAll},
                                     ConfigField{8, 2, 0xffff, 0xffff},
                                     ConfigField{0x0c, 4, 0, kAll},
                                     ConfigField{0x10, 4, 0, kAll}};
constexpr std::array kMsi64 = {kNext, ConfigField{kMsiFlags, 1, 0xff, 0xff},
                               ConfigField{4, 4, kAll, kAll}, ConfigField{8, 4, kAll, kAll},
                               ConfigField{0x0c, 2, 0xffff, 0xffff}};
constexpr std::array kMsi64Masked = {kNext,
                                     ConfigField{kMsiFlags, 1, 0xff, 0xff},
                                     ConfigField{4, 4, kAll, kAll},
                                     ConfigField{8, 4, kAll, kAll},
                                     ConfigField{0x0c, 2, 0xffff, 0xffff},
                                     ConfigField{0x10, 4, 0, kAll},
                                     ConfigField{0x14, 4, 0, kAll}};

/// Uncorrectable errors up to "TLP prefix blocked", correctable errors, ECRC enables.
constexpr std::uint32_t kUncorrectable = 0x03ff'f031;
constexpr std::uint32_t kCorrectable = 0x0000'f1c1;
constexpr std::array kErrorFields = {kExtendedHeader,
                                     ConfigField{0x04, 4, 0, kUncorrectable},
                                     ConfigField{0x08, 4, 0, kUncorrectable},
                                     ConfigField{0x0c, 4, 0, kUncorrectable},
                                     ConfigField{0x10, 4, 0, kCorrectable},
                                     ConfigField{0x14, 4, 0, kCorrectable},
                                     ConfigField{0x18, 4, 0, 0x140}};
constexpr std::array kPowerFields = {kExtendedHeader, ConfigField{8, 1, 0, 0xff}};

// A capability without a table is read from the device, its link apart.
constexpr std::array kLinkOnly = {kNext};
constexpr std::array kExtendedLinkOnly = {kExtendedHeader};

std::span<const ConfigField> msi_fields(std::uint32_t flags) {
  const bool masks = (flags & kMsiMaskable) != 0;
  if ((flags & kMsi64Bit) != 0)
    return masks ? std::span<const ConfigField>(kMsi64Masked)
                 : std::span<const ConfigField>(kMsi64);
  return masks ? std::span<const ConfigField>(kMsi32Masked) : std::span<const ConfigField>(kMsi32);
}

std::uint32_t read(hw::PciFunction& function, unsigned at, unsigned size) {
  return function.config_read(static_cast<std::uint16_t>(at), size);
}

constexpr unsigned round_up(unsigned value, unsigned to) { return (value + to - 1) / to * to; }

/// vfio_vc_cap_len().
unsigned channels_bytes(hw::PciFunction& function, std::uint16_t at) {
  const unsigned channels = 1 + (read(function, at + 4U, 4) & 7U);
  const std::uint32_t arbitration = read(function, at + 8U, 4);
  unsigned phases = 0;
  for (const unsigned bit : {1U, 2U, 3U})
    if ((arbitration >> bit & 1U) != 0) phases = 16U << bit;
  const unsigned bytes = 0x10 + channels * 0x0c;
  return phases == 0 ? bytes : round_up(bytes, 16) + phases * 4 / 8;
}

/// The part of vfio_ext_cap_len() for ACS.
unsigned acs_bytes(hw::PciFunction& function, std::uint16_t at) {
  constexpr std::uint32_t kEgressControl = 0x20;
  if ((read(function, at + 4U, 1) & kEgressControl) == 0) return 8;
  const unsigned bits = read(function, at + 5U, 1);
  return 8 + (bits == 0 ? 256 : round_up(bits, 32)) / 8;
}

unsigned tph_bytes(hw::PciFunction& function, std::uint16_t at) {
  const std::uint32_t capability = read(function, at + 4U, 4);
  const bool table_here = (capability & 0x600U) == 0x200U;
  return table_here ? 12 + (capability >> 16U & 0x7ffU) * 2 + 2 : 12;
}

unsigned express_bytes(hw::PciFunction& function, std::uint16_t at) {
  constexpr std::uint32_t kIntegratedEndpoint = 9;
  const std::uint32_t flags = read(function, at + 2U, 2);
  const bool integrated = (flags >> 4U & 0xfU) == kIntegratedEndpoint;
  if ((flags & 0xfU) == 1) return integrated ? 0x0c : 0x14;
  return integrated ? 0x2c : 0x34;
}

unsigned msi_bytes(hw::PciFunction& function, std::uint16_t at) {
  const std::uint32_t flags = read(function, at + kMsiFlags, 2);
  return 10U + ((flags & kMsi64Bit) != 0 ? 4U : 0U) + ((flags & kMsiMaskable) != 0 ? 10U : 0U);
}

}  // namespace

ConfigRule header_rule() { return {Writes::kFields, Owner::kHeader, kHeaderFields}; }

unsigned visible_bytes(hw::PciFunction& function, std::uint8_t id, std::uint16_t at) {
  const unsigned bytes = length_of(kLengths, id);
  if (bytes != kVariable) return bytes;
  switch (id) {
    case kCapabilityMsi:
      return msi_bytes(function, at);
    case kPcix:
      return (read(function, at + 2U, 2) >> 12U & 3U) != 0 ? 24 : 8;
    case kVendor:
      return read(function, at + 2U, 1);
    case hw::kCapabilityPcie:
      return express_bytes(function, at);
    case kHyperTransport:
      return (read(function, at + 3U, 1) & 0xe0U) != 0 ? 24 : 28;
    default:  // SATA
      return (read(function, at + 4U, 1) & 0xfU) == 0xfU ? 16 : 8;
  }
}

unsigned visible_extended_bytes(hw::PciFunction& function, std::uint16_t id, std::uint16_t at) {
  const unsigned bytes = length_of(kExtendedLengths, id);
  if (bytes != kVariable) return bytes;
  switch (id) {
    case kChannels:
    case kChannels9:
    case kMultiFunctionChannels:
      return channels_bytes(function, at);
    case kAcs:
      return acs_bytes(function, at);
    case kResizableBar:
      return 4 + (read(function, at + 8U, 1) >> 5U) * 8;
    case kDynamicPower:
      return 16 + (read(function, at + 4U, 1) & 0x1fU) + 1;
    case kTph:
      return tph_bytes(function, at);
    default:  // vendor-specific and designated vendor-specific
      return read(function, at + 4U, 4) >> 20U;
  }
}

ConfigRule capability_rule(std::uint8_t id, std::uint32_t flags) {
  switch (id) {
    case kCapabilityPm:
      return {Writes::kFields, Owner::kPowerManagement, kPmFields};
    case kVpd:
      return {Writes::kFields, Owner::kNobody, kVpdFields};
    case kCapabilityMsi:
      return {Writes::kFields, Owner::kMsi, msi_fields(flags)};
    case kPcix:
      return {Writes::kFields, Owner::kNobody, kPcixFields};
    case kVendor:
      return {Writes::kRaw, Owner::kNobody, kLinkOnly};
    case hw::kCapabilityPcie:
      return {Writes::kFields, Owner::kExpress, kExpressFields};
    case kAdvancedFeatures:
      return {Writes::kFields, Owner::kAdvancedFeatures, kAdvancedFeatureFields};
    default:
      return {Writes::kNone, Owner::kNobody, kLinkOnly};
  }
}

ConfigRule extended_rule(std::uint16_t id) {
  switch (id) {
    case kErrors:
      return {Writes::kFields, Owner::kNobody, kErrorFields};
    case kPower:
      return {Writes::kFields, Owner::kNobody, kPowerFields};
    case kExtendedVendor:
    case kDesignatedVendor:
      return {Writes::kRaw, Owner::kNobody, kExtendedLinkOnly};
    default:
      return {Writes::kNone, Owner::kNobody, kExtendedLinkOnly};
  }
}

}  // namespace teeio::vfio
