#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::hw {

/// What a port's IDE capability offers beside its selective streams.
struct IdeOffer {
  enum Feature : std::uint16_t {
    kHeaderEncryption = 1U << 0U,
    kAggregation = 1U << 1U,
    kPcrc = 1U << 2U,
    kConfigRequests = 1U << 3U,  ///< selective streams carry configuration requests
    kTeeLimited = 1U << 4U,
  };
  static constexpr unsigned kMaxLinks = 8;

  unsigned links = 0;  ///< link streams, at most kMaxLinks
  std::uint16_t features = kConfigRequests | kTeeLimited;
  bool operator==(const IdeOffer&) const = default;
};

/// How a feature shows. Source: Linux include/uapi/linux/pci_regs.h, PCI_IDE_CAP_*,
/// PCI_IDE_LINK_CTL_* and PCI_IDE_SEL_CTL_*; for what a mode's number means, pciutils
/// ls-ecaps.c, cap_ide(): 1 is Address[17:2] encrypted, and two requests aggregated.
struct IdeFeature {
  IdeOffer::Feature feature;
  std::string_view name;  ///< in machine files and options
  std::uint32_t capability;
  std::uint32_t control;  ///< the fields of a stream's control register
  std::uint32_t on;       ///< what turns it on there, in the smallest mode
  bool of_links;          ///< link streams have the fields, too
};
inline constexpr IdeFeature kIdeFeatures[] = {
    {IdeOffer::kHeaderEncryption, "header-encryption", 1U << 3U, 0xfU << 10U, 1U << 10U, true},
    {IdeOffer::kAggregation, "aggregation", 1U << 4U, 0x3fU << 2U, 0x15U << 2U, true},
    {IdeOffer::kPcrc, "pcrc", 1U << 5U, 1U << 8U, 1U << 8U, true},
    {IdeOffer::kConfigRequests, "configuration-requests", 1U << 7U, 1U << 9U, 1U << 9U, false},
    {IdeOffer::kTeeLimited, "tee-limited", 1U << 24U, 1U << 23U, 1U << 23U, false},
};

}  // namespace teeio::hw
