#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <span>

#include "base/bytes.h"
#include "device/nvme/spec.h"

namespace teeio::nvme {

/// What a step of a command gives, or the status with which it fails.
template <class T>
using Outcome = std::expected<T, Status>;

/// An entry of a submission queue. Source: NVMe 1.4, 4.2, figure 104.
struct Command {
  std::uint8_t opcode = 0;
  std::uint8_t flags = 0;  ///< FUSE 1:0, PSDT 7:6
  std::uint16_t id = 0;
  std::uint32_t nsid = 0;
  std::uint64_t prp1 = 0;
  std::uint64_t prp2 = 0;
  std::uint32_t cdw10 = 0, cdw11 = 0, cdw12 = 0, cdw13 = 0, cdw14 = 0, cdw15 = 0;

  [[nodiscard]] static Command decode(std::span<const std::byte, kSqEntryBytes> in);
  /// Neither fused nor with SGLs, which the controller does not offer.
  [[nodiscard]] bool is_plain() const { return flags == 0; }
};

/// An entry of a completion queue. Source: NVMe 1.4, 4.6, figure 121.
struct Completion {
  std::uint32_t result = 0;  ///< dword 0
  std::uint16_t sq_head = 0;
  std::uint16_t sq_id = 0;
  std::uint16_t command_id = 0;
  Status status = Status::kSuccess;

  [[nodiscard]] std::array<std::byte, kCqEntryBytes> encode(bool phase) const;
  /// Bits 31:17 of dword 3, as the error log has them too.
  [[nodiscard]] std::uint16_t status_field() const;
};

}  // namespace teeio::nvme
