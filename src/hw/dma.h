#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"

namespace teeio::hw {

/// The T bit of a TLP's IDE prefix: set by a TDI in RUN for trusted traffic.
/// Source: PCIe Base Spec 6.33.
enum class TBit : std::uint8_t { kShared = 0, kTrusted = 1 };

/// A process address space of a function: the 20 bits of a PASID TLP prefix.
/// Source: PCIe Base Spec 6.20.
enum class Pasid : std::uint32_t {};
inline constexpr unsigned kPasidBits = 20;

/// Who a request is from.
struct Requester {
  // Most requests have no PASID, and their requester is a number.
  constexpr Requester(std::uint16_t id) : rid(id) {}  // NOLINT(google-explicit-constructor)
  constexpr Requester(std::uint16_t id, std::optional<Pasid> space) : rid(id), pasid(space) {}
  std::uint16_t rid;
  std::optional<Pasid> pasid;  ///< none: a request without PASID
};

/// What a PCI function's requests go through: root port, IOMMU, memory.
/// Interrupts are writes to 0xfee00000–0xfeefffff, as MSI says.
///
/// Lifetime: outlives the function. Locking: called with the device's lock
/// held (rank kDevice); takes only higher ranks.
class DmaPort {
 public:
  virtual ~DmaPort() = default;
  /// Errors: EFAULT when the IOMMU or the memory refuses (the completion is UR
  /// or CA); nothing is transferred beyond the last good page.
  virtual Result<void> dma_read(Requester from, TBit t, Iova address, std::span<std::byte> out) = 0;
  virtual Result<void> dma_write(Requester from, TBit t, Iova address, ByteView in) = 0;
  /// The messages Assert_INTA and Deassert_INTA (PCIe Base Spec 2.2.8.1). True: whoever handles
  /// the interrupt masks it at once, and the function sets its Interrupt Disable.
  virtual bool intx(std::uint16_t /*rid*/, bool /*asserted*/) { return false; }
};

}  // namespace teeio::hw
