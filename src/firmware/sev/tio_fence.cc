#include "firmware/sev/tio.h"

// Fences: TIO_ASID_FENCE_CLEAR and TIO_ASID_FENCE_STATUS.

namespace teeio::sev {

/// Lifts what a fault raised. A fence by default stays: only a TDI that runs opens it. With
/// nothing to lift it is no error (model's choice).
Status Tio::fence_clear(TioCall& c) {
  const std::uint32_t root = c.device->port.root;
  if (guard_.fence(root, c.guest->asid) == Fence::kError) guard_.open(root, c.guest->asid);
  return Status::kSuccess;
}

/// DMA in bits 1:0, MMIO in 3:2.
Status Tio::fence_status(TioCall& c) {
  constexpr std::uint64_t kMmioFenced = 3U << 2U;
  const Fence fence = guard_.fence(c.device->port.root, c.in.asid);
  const std::uint64_t answer =
      static_cast<std::uint64_t>(fence) | (fence == Fence::kOpen ? 0 : kMmioFenced);
  if (psp_.write_page(c.in.status_page, Writer().le(answer).take())) return Status::kSuccess;
  return c.call.refuse(Status::kInvalidAddress, "the answer has no place there");
}

}  // namespace teeio::sev
