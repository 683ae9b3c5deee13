#include "serve/validate/ide_stream.h"

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

}  // namespace

IdeStream::IdeStream(const ConfigFile& config, std::uint8_t stream_id)
    : config_(config), stream_id_(stream_id) {
  const auto ide = config.find_extended(kIde);
  if (!ide) return;
  const std::uint32_t capability = config.read(*ide + kCapability);
  if ((capability & IdeRegisters::kSelective) == 0) return;
  const std::uint32_t streams = (capability >> 16U & 0xffU) + 1;
  std::uint32_t at = *ide + kFirstBlock + link_blocks(capability) * kLinkBlockBytes;
  for (std::uint32_t i = 0; i < streams && at + kSelectiveBytes <= kConfigBytes; ++i) {
    const std::uint32_t control = config.read(at + kControl);
    const bool enabled = (control & wire::kIdeStreamEnable) != 0;
    if (enabled && control >> wire::kIdeStreamIdShift == stream_id) {
      block_.reset();
      return;
    }
    if (!enabled && !block_) block_ = at;
    at += kSelectiveBytes + (config.read(at) & 0xfU) * kAddressBytes;
  }
  if (!block_) return;
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
  for (std::uint32_t n = 0; n < link_blocks(capability_) && !block_; ++n) {
    const std::uint32_t at = *ide + kFirstBlock + n * kLinkBlockBytes;
    control_ = config.read(at);
    if ((control_ & wire::kIdeStreamEnable) == 0) block_ = at;
  }
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
