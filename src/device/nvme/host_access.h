#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace teeio::nvme {

/// What a controller needs from the function that it is in. Called with the card's lock held.
class HostAccess {
 public:
  virtual ~HostAccess() = default;
  /// Memory requests may be issued now: bus mastering is on, the power state is D0, and the
  /// TDI's state allows them.
  [[nodiscard]] virtual bool may_issue() const = 0;
  /// With T=1 while the TDI is in RUN, else T=0. Errors: the IOMMU's or the memory's.
  virtual Result<void> read(std::uint64_t address, std::span<std::byte> out) = 0;
  virtual Result<void> write(std::uint64_t address, ByteView in) = 0;
  virtual void interrupt(std::uint16_t vector) = 0;
};

}  // namespace teeio::nvme
