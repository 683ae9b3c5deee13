// The device's registers (BAR0) and descriptors, as its data sheet has them:
// docs/devices/dma-engine.md.
#pragma once

#include <cstdint>

namespace dma {

constexpr std::uint64_t kId = 0x00;
constexpr std::uint64_t kControl = 0x08;  // bit 0 enable, bit 1 reset
constexpr std::uint64_t kRingBaseLow = 0x10;
constexpr std::uint64_t kRingBaseHigh = 0x14;
constexpr std::uint64_t kRingSize = 0x18;     // descriptors, a power of two
constexpr std::uint64_t kRingControl = 0x1c;  // bit 0: the ring itself is private memory
constexpr std::uint64_t kDoorbell = 0x24;     // index behind the last descriptor
constexpr std::uint64_t kErrorCode = 0x28;
constexpr std::uint64_t kCompleted = 0x30;

constexpr std::uint32_t kIdValue = 0x3141'4d44;
constexpr std::uint32_t kEnable = 1;
constexpr std::uint32_t kReset = 2;

struct Descriptor {
  std::uint32_t flags;  // memory to memory, unless said otherwise
  std::uint32_t length;
  std::uint64_t source;
  std::uint64_t destination;
  std::uint32_t status;
  std::uint32_t reserved;
};
static_assert(sizeof(Descriptor) == 32);
constexpr std::uint32_t kTrusted = 1U << 8;  // T bit of both transfers
constexpr std::uint32_t kDone = 1;

}  // namespace dma
