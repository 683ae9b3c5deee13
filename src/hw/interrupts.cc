#include "hw/interrupts.h"

#include <optional>

#include "base/check.h"

namespace teeio::hw {
namespace {

// Address: 31:20 0xfee, 19:5 handle 14:0, 4 remappable, 3 sub-handle valid,
// 2 handle 15. Bits 15:0 of the data are the sub-handle, which counts where it is valid.
constexpr std::uint64_t kBase = 0xfee0'0000;
constexpr std::uint64_t kBaseMask = 0xffff'ffff'fff0'0000;
constexpr std::uint64_t kRemappable = 0x10;
constexpr std::uint64_t kSubHandleValid = 0x08;
constexpr std::uint32_t kSubHandle = 0xffff;

InterruptMessage message_of(std::uint32_t handle) {
  return {.address = kBase | (handle & 0x7fffU) << 5U | kRemappable | (handle >> 15U) << 2U,
          .data = 0};
}

std::optional<std::uint32_t> handle_of(std::uint64_t address, std::uint32_t data) {
  if ((address & kBaseMask) != kBase || (address & kRemappable) == 0) return std::nullopt;
  const auto handle =
      static_cast<std::uint32_t>((address >> 5U & 0x7fffU) | (address >> 2U & 1U) << 15U);
  return (address & kSubHandleValid) == 0 ? handle : handle + (data & kSubHandle);
}

}  // namespace

std::uint32_t InterruptRemapping::lowest_free(std::uint32_t count) const {
  std::uint32_t first = 0;
  for (const auto& [handle, entry] : entries_) {
    if (handle - first >= count) break;
    first = handle + 1;
  }
  return first;
}

Result<InterruptMessage> InterruptRemapping::connect(std::uint16_t rid, InterruptHandler& handler) {
  const schedule::Section section(mutex_);
  const std::uint32_t handle = lowest_free(1);
  if (handle == kEntries) return fail(Errno::kNoSpc, "the interrupt remapping table is full");
  entries_.emplace(handle, Entry{.rid = rid, .handler = &handler});
  return message_of(handle);
}

void InterruptRemapping::disconnect(const InterruptMessage& message) {
  const schedule::Section section(mutex_);
  const auto handle = handle_of(message.address, message.data);
  TEEIO_CHECK(handle && entries_.erase(*handle) == 1, "an interrupt is disconnected twice");
}

Result<InterruptMessage> InterruptRemapping::reserve(std::uint16_t rid, std::uint32_t count) {
  const schedule::Section section(mutex_);
  const std::uint32_t first = lowest_free(count);
  if (first + count > kEntries) return fail(Errno::kNoSpc, "the interrupt remapping table is full");
  for (std::uint32_t i = 0; i < count; ++i)
    entries_.emplace(first + i, Entry{.rid = rid, .handler = nullptr});
  InterruptMessage message = message_of(first);
  message.address |= kSubHandleValid;
  return message;
}

void InterruptRemapping::handle(const InterruptMessage& first, std::uint32_t index,
                                InterruptHandler* handler) {
  const schedule::Section section(mutex_);
  const auto handle = handle_of(first.address, index);
  const auto at = handle ? entries_.find(*handle) : entries_.end();
  TEEIO_CHECK(at != entries_.end(), "an interrupt was not reserved");
  at->second.handler = handler;
}

void InterruptRemapping::release(const InterruptMessage& first, std::uint32_t count) {
  const schedule::Section section(mutex_);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto handle = handle_of(first.address, i);
    TEEIO_CHECK(handle && entries_.erase(*handle) == 1, "an interrupt is released twice");
  }
}

void InterruptRemapping::connect_intx(std::uint16_t rid, IntxHandler& handler) {
  const schedule::Section section(mutex_);
  TEEIO_CHECK(intx_.emplace(rid, &handler).second, "an INTx has two handlers");
}

void InterruptRemapping::disconnect_intx(std::uint16_t rid) {
  const schedule::Section section(mutex_);
  TEEIO_CHECK(intx_.erase(rid) == 1, "an INTx is disconnected twice");
}

bool InterruptRemapping::intx(std::uint16_t rid, bool asserted) {
  if (!asserted) return false;
  const schedule::Section section(mutex_);
  const auto at = intx_.find(rid);
  return at != intx_.end() && at->second->asserted();
}

void InterruptRemapping::message_signalled(std::uint16_t rid, std::uint64_t address,
                                           std::uint32_t data) {
  const schedule::Section section(mutex_);
  const auto handle = handle_of(address, data);
  const auto entry = handle ? entries_.find(*handle) : entries_.end();
  if (entry == entries_.end() || entry->second.rid != rid) {
    ++blocked_;
    return;
  }
  if (entry->second.handler != nullptr) entry->second.handler->interrupt();
}

std::uint64_t InterruptRemapping::blocked() const {
  const schedule::Section section(mutex_);
  return blocked_;
}

}  // namespace teeio::hw
