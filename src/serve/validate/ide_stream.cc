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

}  // namespace

IdeStream::IdeStream(const ConfigFile& config, std::uint8_t stream_id)
    : config_(config), stream_id_(stream_id) {
  const auto ide = config.find_extended(kIde);
  if (!ide) return;
  const std::uint32_t capability = config.read(*ide + kCapability);
  if ((capability & IdeRegisters::kSelective) == 0) return;
  const std::uint32_t links =
      (capability & IdeRegisters::kLink) != 0 ? (capability >> 13U & 7U) + 1 : 0;
  const std::uint32_t streams = (capability >> 16U & 0xffU) + 1;
  std::uint32_t at = *ide + kFirstBlock + links * kLinkBlockBytes;
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
  const std::uint32_t wanted = std::uint32_t{stream_id_} << wire::kIdeStreamIdShift | bits;
  config_.write(*block_ + kControl, wanted);
  config_.write(*block_ + kControl, wanted | wire::kIdeStreamEnable);
  return config_.read(*block_ + kControl);
}

std::uint32_t IdeStream::status() const { return config_.read(*block_ + kStatus); }

IdeStream::~IdeStream() {
  if (!block_) return;
  config_.write(*block_ + kControl, control_);
  config_.write(*block_ + kRid1, rid1_);
  config_.write(*block_ + kRid2, rid2_);
}

}  // namespace teeio::serve::validate
