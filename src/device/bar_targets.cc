#include "device/bar_targets.h"

#include <algorithm>

namespace teeio::device {

bool PlainMemoryTarget::answers() const {
  if (!enabled_.load()) return false;
  return tdi_ != nullptr ? tdi_->peek().answers(t_, MmioPart::kUpdatable) : t_ == hw::TBit::kShared;
}

void PlainMemoryTarget::mmio_read(std::uint64_t offset, std::span<std::byte> out) {
  memory_.with_bytes([&](std::span<const std::byte> bytes) {
    if (answers())
      std::ranges::copy(bytes.subspan(offset, out.size()), out.begin());
    else
      std::ranges::fill(out, std::byte{0xff});
  });
}

void PlainMemoryTarget::mmio_write(std::uint64_t offset, ByteView in) {
  memory_.with_bytes([&](std::span<std::byte> bytes) {
    if (answers()) std::ranges::copy(in, bytes.subspan(offset).begin());
  });
}

std::span<std::byte> PlainMemoryTarget::direct() {
  return answers() ? memory_.memory() : std::span<std::byte>{};
}

}  // namespace teeio::device
