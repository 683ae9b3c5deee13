#include "serve/validate/ide_stream.h"

#include <algorithm>
#include <vector>

#include "wire/ide_registers.h"

namespace teeio::serve::validate {
namespace {

constexpr std::uint16_t kIde = 0x30;
constexpr std::uint32_t kCapability = 0x04;
constexpr std::uint32_t kFirstBlock = 0x0c;
using wire::IdeRegisters;
constexpr std::uint32_t kLinkBlockBytes = 8;
constexpr std::uint32_t kSelectiveBytes = 20;  // and an address block each, of
constexpr std::uint32_t kAddressBytes = 12;
// In a selective block.
constexpr std::uint32_t kControl = 0x04;
constexpr std::uint32_t kStatus = 0x08;
constexpr std::uint32_t kRid1 = 0x0c;
constexpr std::uint32_t kRid2 = 0x10;
constexpr std::uint32_t kRidValid = 1;
constexpr std::uint32_t kConfigBytes = 4096;

std::uint32_t link_blocks(std::uint32_t capability) {
  return (capability & IdeRegisters::kLink) != 0 ? (capability >> 13U & 7U) + 1 : 0;
}

/// The stream's register, first without the enable bit; what it then says.
std::uint32_t put_control(const ConfigFile& config, std::uint32_t at, std::uint8_t stream_id,
                          std::uint32_t bits) {
  const std::uint32_t wanted = std::uint32_t{stream_id} << wire::kIdeStreamIdShift | bits;
  config.write(at, wanted);
  config.write(at, wanted | wire::kIdeStreamEnable);
  return config.read(at);
}

/// Where the control register of each stream is, and of a selective one's block the beginning.
struct Blocks {
  std::vector<std::uint32_t> links, selectives;
};

Blocks blocks_of(const ConfigFile& config, std::uint32_t ide, std::uint32_t capability) {
  Blocks found;
  std::uint32_t at = ide + kFirstBlock;
  for (std::uint32_t n = 0; n < link_blocks(capability); ++n, at += kLinkBlockBytes)
    found.links.push_back(at);
  if ((capability & IdeRegisters::kSelective) == 0) return found;
  const std::uint32_t streams = (capability >> 16U & 0xffU) + 1;
  for (std::uint32_t i = 0; i < streams && at + kSelectiveBytes <= kConfigBytes; ++i) {
    found.selectives.push_back(at);
    at += kSelectiveBytes + (config.read(at) & 0xfU) * kAddressBytes;
  }
  return found;
}

bool is_enabled(std::uint32_t control) { return (control & wire::kIdeStreamEnable) != 0; }

/// A stream that is enabled has the ID: two of one port are told apart by it.
/// Source: PCIe Base Spec 6.33.
bool is_taken(const ConfigFile& config, const Blocks& blocks, std::uint8_t stream_id) {
  const auto has_it = [&](std::uint32_t at) {
    const std::uint32_t control = config.read(at);
    return is_enabled(control) && control >> wire::kIdeStreamIdShift == stream_id;
  };
  return std::ranges::any_of(blocks.links, has_it) ||
         std::ranges::any_of(blocks.selectives,
                             [&](std::uint32_t at) { return has_it(at + kControl); });
}

}  // namespace

IdeStream::IdeStream(const ConfigFile& config, std::uint8_t stream_id)
    : config_(config), stream_id_(stream_id) {
  const auto ide = config.find_extended(kIde);
  if (!ide) return;
  const std::uint32_t capability = config.read(*ide + kCapability);
  const Blocks blocks = blocks_of(config, *ide, capability);
  if (is_taken(config, blocks, stream_id)) return;
  const auto free = std::ranges::find_if(
      blocks.selectives, [&](std::uint32_t at) { return !is_enabled(config.read(at + kControl)); });
  if (free == blocks.selectives.end()) return;
  block_ = *free;
  capability_ = capability;
  control_ = config.read(*block_ + kControl);
  rid1_ = config.read(*block_ + kRid1);
  rid2_ = config.read(*block_ + kRid2);
  const std::uint32_t rid = config.function().rid();
  config.write(*block_ + kRid1, (rid | 0xffU) << 8U);
  config.write(*block_ + kRid2, rid << 8U | kRidValid);
  (void)configure(0);
}

std::uint32_t IdeStream::configure(std::uint32_t bits) const {
  return put_control(config_, *block_ + kControl, stream_id_, bits);
}

std::uint32_t IdeStream::status() const { return config_.read(*block_ + kStatus); }

IdeStream::~IdeStream() {
  if (!block_) return;
  config_.write(*block_ + kControl, control_);
  config_.write(*block_ + kRid1, rid1_);
  config_.write(*block_ + kRid2, rid2_);
}

IdeLinkStream::IdeLinkStream(const ConfigFile& config, std::uint8_t stream_id)
    : config_(config), stream_id_(stream_id) {
  const auto ide = config.find_extended(kIde);
  if (!ide) return;
  capability_ = config.read(*ide + kCapability);
  const Blocks blocks = blocks_of(config, *ide, capability_);
  id_is_taken_ = is_taken(config, blocks, stream_id);
  if (id_is_taken_) return;
  const auto free = std::ranges::find_if(
      blocks.links, [&](std::uint32_t at) { return !is_enabled(config.read(at)); });
  if (free == blocks.links.end()) return;
  block_ = *free;
  control_ = config.read(*block_);
}

std::uint32_t IdeLinkStream::configure(std::uint32_t bits) const {
  return put_control(config_, *block_, stream_id_, bits);
}

std::uint32_t IdeLinkStream::status() const { return config_.read(*block_ + 4); }

void IdeLinkStream::put_back() const {
  if (block_) config_.write(*block_, control_);
}

IdeLinkStream::~IdeLinkStream() { put_back(); }

}  // namespace teeio::serve::validate
