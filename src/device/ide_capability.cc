#include "device/ide_capability.h"

#include "base/check.h"

namespace teeio::device {
namespace {

constexpr std::uint16_t kId = 0x30;
constexpr unsigned kBlocks = 0x0c;     // no link stream blocks come before
constexpr unsigned kBlockSize = 0x20;  // capability, control, status, RID 1–2, one address block
constexpr unsigned kBlockControl = 0x04;
constexpr unsigned kBlockStatus = 0x08;
constexpr unsigned kBlockRid1 = 0x0c;
constexpr unsigned kBlockRid2 = 0x10;
constexpr unsigned kBlockAddress1 = 0x14;
constexpr unsigned kBlockAddress2 = 0x18;
constexpr unsigned kBlockAddress3 = 0x1c;

constexpr std::uint32_t kSelective = 1U << 1U;
constexpr std::uint32_t kIdeKm = 1U << 6U;
constexpr std::uint32_t kTeeLimited = 1U << 24U;
constexpr std::uint32_t kControlEnable = 1;
// Enable, configuration requests, TC, default stream, TEE-limited, stream ID; what
// the capability register does not offer (aggregation, PCRC, partial header
// encryption, other algorithms) reads zero.
constexpr std::uint32_t kControlWritable = 0xffc0'0001 | 0x7U << 19U;
constexpr std::uint32_t kStatusInsecure = 0;
constexpr std::uint32_t kStatusSecure = 2;
constexpr unsigned kMaxSlots = 8;  // what fits behind the other capabilities

}  // namespace

IdeCapability::IdeCapability(hw::ConfigSpace& config, unsigned slots)
    : config_(config), slots_(slots) {
  TEEIO_CHECK(slots >= 1 && slots <= kMaxSlots, "number of IDE stream slots");
  offset_ = config.add_extended_capability(
      kId, 1, static_cast<std::uint16_t>(kBlocks + slots * kBlockSize));
  const std::uint32_t capability = kSelective | kIdeKm | kTeeLimited | (slots - 1) << 16U;
  config.set(static_cast<std::uint16_t>(offset_ + 4), 4, capability);
  for (unsigned slot = 0; slot < slots; ++slot) {
    config.set(block(slot, 0), 4, 1);  // one address association block
    config.set_writable(block(slot, kBlockControl), 4, kControlWritable);
    config.set_writable(block(slot, kBlockRid1), 4, 0x00ff'ff00);
    config.set_writable(block(slot, kBlockRid2), 4, 0xffff'ff01);
    config.set_writable(block(slot, kBlockAddress1), 4, 0xffff'ff01);
    config.set_writable(block(slot, kBlockAddress2), 4, 0xffff'ffff);
    config.set_writable(block(slot, kBlockAddress3), 4, 0xffff'ffff);
  }
}

std::uint16_t IdeCapability::block(unsigned slot, unsigned reg) const {
  TEEIO_CHECK(slot < slots_, "IDE stream slot out of range");
  return static_cast<std::uint16_t>(offset_ + kBlocks + slot * kBlockSize + reg);
}

std::uint8_t IdeCapability::stream_id(unsigned slot) const {
  return static_cast<std::uint8_t>(config_.read(block(slot, kBlockControl), 4) >> 24U);
}

bool IdeCapability::enabled(unsigned slot) const {
  return (config_.read(block(slot, kBlockControl), 4) & kControlEnable) != 0;
}

std::optional<unsigned> IdeCapability::slot_of(std::uint8_t id) const {
  for (unsigned slot = 0; slot < slots_; ++slot)
    if (stream_id(slot) == id) return slot;
  return std::nullopt;
}

void IdeCapability::set_secure(unsigned slot, bool secure) {
  config_.set(block(slot, kBlockStatus), 4, secure ? kStatusSecure : kStatusInsecure);
}

bool IdeCapability::secure(unsigned slot) const {
  return config_.read(block(slot, kBlockStatus), 4) == kStatusSecure;
}

void IdeCapability::reset() {
  for (unsigned slot = 0; slot < slots_; ++slot)
    for (unsigned reg = kBlockControl; reg < kBlockSize; reg += 4)
      config_.set(block(slot, reg), 4, 0);
}

bool IdeCapability::contains(std::uint16_t offset) const {
  return offset >= offset_ && offset < offset_ + kBlocks + slots_ * kBlockSize;
}

std::vector<std::uint32_t> IdeCapability::registers() const {
  std::vector<std::uint32_t> values;
  for (unsigned at = 4; at < kBlocks + slots_ * kBlockSize; at += 4)
    values.push_back(config_.read(static_cast<std::uint16_t>(offset_ + at), 4));
  return values;
}

}  // namespace teeio::device
