#include "device/bar_targets.h"

#include <algorithm>

namespace teeio::device {

bool PlainMemoryTarget::answers(std::uint64_t offset, std::uint64_t size) const {
  if (!enabled_.load()) return false;
  if (!bar_) return t_ == hw::TBit::kShared;
  return bar_->tdi.peek().answers(t_, bar_->layout.touched(bar_->number, offset, size));
}

bool PlainMemoryTarget::peer_read(std::uint64_t offset, std::span<std::byte> out) {
  bool answered = false;
  memory_.with_bytes([&](std::span<const std::byte> bytes) {
    answered = answers(offset, out.size());
    if (answered) std::ranges::copy(bytes.subspan(offset, out.size()), out.begin());
  });
  return answered;
}

bool PlainMemoryTarget::peer_write(std::uint64_t offset, ByteView in) {
  bool answered = false;
  memory_.with_bytes([&](std::span<std::byte> bytes) {
    answered = answers(offset, in.size());
    if (answered) std::ranges::copy(in, bytes.subspan(offset).begin());
  });
  return answered;
}

void PlainMemoryTarget::mmio_read(std::uint64_t offset, std::span<std::byte> out) {
  if (!peer_read(offset, out)) std::ranges::fill(out, std::byte{0xff});
}

void PlainMemoryTarget::mmio_write(std::uint64_t offset, ByteView in) {
  (void)peer_write(offset, in);
}

}  // namespace teeio::device
