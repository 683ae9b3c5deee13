#include "hw/interrupts.h"

#include <optional>

#include "base/check.h"

namespace teeio::hw {
namespace {

// Address: 31:20 0xfee, 19:5 handle 14:0, 4 remappable, 3 sub-handle valid,
// 2 handle 15. The data is the sub-handle, which is not used.
constexpr std::uint64_t kBase = 0xfee0'0000;
constexpr std::uint64_t kBaseMask = 0xffff'ffff'fff0'0000;
constexpr std::uint64_t kRemappable = 0x10;

InterruptMessage message_of(std::uint32_t handle) {
  return {.address = kBase | (handle & 0x7fffU) << 5U | kRemappable | (handle >> 15U) << 2U,
          .data = 0};
}

std::optional<std::uint32_t> handle_of(std::uint64_t address) {
  if ((address & kBaseMask) != kBase || (address & kRemappable) == 0) return std::nullopt;
  return static_cast<std::uint32_t>((address >> 5U & 0x7fffU) | (address >> 2U & 1U) << 15U);
}

}  // namespace

Result<InterruptMessage> InterruptRemapping::connect(std::uint16_t rid, InterruptHandler& handler) {
  const schedule::Section section(mutex_);
  std::uint32_t handle = 0;
  for (auto at = entries_.begin(); at != entries_.end() && at->first == handle; ++at) ++handle;
  if (handle == kEntries) return fail(Errno::kNoSpc, "the interrupt remapping table is full");
  entries_.emplace(handle, Entry{.rid = rid, .handler = &handler});
  return message_of(handle);
}

void InterruptRemapping::disconnect(const InterruptMessage& message) {
  const schedule::Section section(mutex_);
  const auto handle = handle_of(message.address);
  TEEIO_CHECK(handle && entries_.erase(*handle) == 1, "an interrupt is disconnected twice");
}

void InterruptRemapping::message_signalled(std::uint16_t rid, std::uint64_t address,
                                           std::uint32_t) {
  const schedule::Section section(mutex_);
  const auto handle = handle_of(address);
  const auto entry = handle ? entries_.find(*handle) : entries_.end();
  if (entry == entries_.end() || entry->second.rid != rid) {
    ++blocked_;
    return;
  }
  entry->second.handler->interrupt();
}

std::uint64_t InterruptRemapping::blocked() const {
  const schedule::Section section(mutex_);
  return blocked_;
}

}  // namespace teeio::hw
