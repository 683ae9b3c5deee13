#include "serve/ide_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "hw/find_capability.h"
#include "hw/ide_port.h"
#include "wire/ide_registers.h"

namespace teeio::serve {
namespace {

// Offsets in the IDE capability, and in a selective block, all alike in our cards.
// Source: PCIe Base Spec 7.9.26; as Linux drivers/pci/ide.c numbers them.
constexpr std::uint32_t kFirstBlock = 0x0c;
constexpr std::uint32_t kLinkBytes = 8;  // its control register comes first
constexpr std::uint32_t kSelectiveBytes = 20 + 12 * hw::IdePort::kAddressBlocks;
constexpr std::uint32_t kSelectiveControl = 0x04;
constexpr std::uint32_t kRid1 = 0x0c;
constexpr std::uint32_t kRid2 = 0x10;
constexpr std::uint32_t kRidValid = 1;

const hw::IdeFeature* feature_of(std::string_view name) {
  const auto* row = std::ranges::find(hw::kIdeFeatures, name, &hw::IdeFeature::name);
  return row == std::end(hw::kIdeFeatures) ? nullptr : row;
}

std::string feature_names() {
  std::string text;
  for (const hw::IdeFeature& row : hw::kIdeFeatures)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", row.name);
  return text;
}

std::uint32_t control_of(std::uint32_t id, const std::vector<IdeStreamSetup>& setups) {
  std::uint32_t bits = id << wire::kIdeStreamIdShift | wire::kIdeStreamEnable;
  for (const IdeStreamSetup& setup : setups)
    for (const hw::IdeFeature& row : hw::kIdeFeatures)
      if (setup.id == id && (setup.features & row.feature) != 0) bits |= row.on;
  return bits;
}

}  // namespace

std::expected<IdeStreamSetup, std::string> parse_ide_stream(std::string_view text) {
  const auto mark = std::min(text.find('='), text.size());
  IdeStreamSetup setup;
  const char* const end = text.data() + mark;
  const auto [rest, problem] = std::from_chars(text.data(), end, setup.id);
  if (mark == text.size() || problem != std::errc{} || rest != end)
    return std::unexpected(fmt::format("{}: must be ID=FEATURE, or several with + between", text));
  for (std::size_t at = mark + 1; at <= text.size();) {
    const auto next = std::min(text.find('+', at), text.size());
    const std::string_view name = text.substr(at, next - at);
    const hw::IdeFeature* const row = feature_of(name);
    if (row == nullptr)
      return std::unexpected(fmt::format("{}: there is no IDE feature '{}'; there are {}", text,
                                         name, feature_names()));
    setup.features |= row->feature;
    at = next + 1;
  }
  return setup;
}

std::string why_no_stream(const machine::CardConfig& card, const IdeStreamSetup& setup) {
  if (setup.id >= card.ide_streams + card.ide.links)
    return fmt::format("{} has no IDE stream {}: it has {} selective and {} link streams",
                       card.bdf.str(), setup.id, card.ide_streams, card.ide.links);
  const bool is_link = setup.id >= card.ide_streams;
  for (const hw::IdeFeature& row : hw::kIdeFeatures) {
    if ((setup.features & row.feature) == 0) continue;
    if (is_link && !row.of_links)
      return fmt::format("IDE stream {} of {} is a link stream, which has no {}", setup.id,
                         card.bdf.str(), row.name);
    if ((card.ide.features & row.feature) == 0)
      return fmt::format("{} has no {}: the `ide_features` of its machine file leave it out",
                         card.bdf.str(), row.name);
  }
  return {};
}

void set_up_ide(hw::PciFunction& pf, std::uint16_t last_rid, const machine::CardConfig& card,
                const std::vector<IdeStreamSetup>& setups) {
  const auto ide = hw::find_extended_capability(pf, hw::kExtendedIde);
  if (!ide) return;
  const auto put = [&](std::uint32_t at, std::uint32_t value) {
    pf.config_write(static_cast<std::uint16_t>(*ide + at), 4, value);
  };
  const std::uint32_t selective = kFirstBlock + card.ide.links * kLinkBytes;
  for (std::uint32_t n = 0; n < card.ide_streams; ++n) {
    const std::uint32_t block = selective + n * kSelectiveBytes;
    put(block + kRid1, std::uint32_t{last_rid} << 8U);
    put(block + kRid2, std::uint32_t{pf.bdf().rid()} << 8U | kRidValid);
    put(block + kSelectiveControl, control_of(n, setups));
  }
  for (std::uint32_t n = 0; n < card.ide.links; ++n)
    put(kFirstBlock + n * kLinkBytes, control_of(card.ide_streams + n, setups));
}

}  // namespace teeio::serve
