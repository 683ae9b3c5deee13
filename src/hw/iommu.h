#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <utility>

#include "base/types.h"
#include "hw/dma.h"
#include "hw/in_flight.h"
#include "hw/physical_memory.h"

namespace teeio::hw {

enum class DmaAccess : std::uint8_t { kRead, kWrite };

/// Why a translation failed.
struct IommuFault {
  std::uint16_t rid;
  Iova address;
  DmaAccess access;
  TBit t;
  std::uint16_t reason;   ///< a number of the IOMMU's architecture
  std::string_view text;  ///< literal
  std::optional<Pasid> pasid{};
};

/// What a host bridge needs of an IOMMU, whoever made it: a request's address in,
/// where it goes out. How tables, caches and commands look is the model's own.
///
/// Locking: any task.
class Iommu {
 public:
  Iommu() = default;
  virtual ~Iommu() = default;
  Iommu(const Iommu&) = delete;
  Iommu& operator=(const Iommu&) = delete;

  [[nodiscard]] virtual std::uint32_t id() const = 0;

  struct Translation {
    Hpa address;
    std::uint64_t contiguous_bytes;  ///< to the end of the page found, of any size
    std::uint16_t domain;
    bool writable;
    KeyId key = KeyId::kShared;  ///< with which the access reaches memory
    bool shared_half = false;    ///< a trusted request to what its guest calls shared
  };
  /// One address. Without a PASID 0xfee00000–0xfeefffff is never translated: it is the
  /// interrupt range, for writes only.
  virtual std::expected<Translation, IommuFault> translate(Requester from, TBit t, Iova address,
                                                           DmaAccess access) = 0;
  /// As translate(); contiguous_bytes may go on, up to `size_bytes` or more, over
  /// further pages that follow each other in memory too.
  virtual std::expected<Translation, IommuFault> translate_run(Requester from, TBit t, Iova address,
                                                               std::uint64_t size_bytes,
                                                               DmaAccess access) = 0;
  /// Grows whenever software changes what a side translates to.
  [[nodiscard]] virtual std::uint64_t generation(TBit side) const = 0;
  /// Who uses a translation says so from before it asks until its bytes have moved.
  [[nodiscard]] virtual RequestsInFlight& in_flight(TBit side) {
    return in_flight_[std::to_underlying(side)];
  }

 private:
  std::array<RequestsInFlight, 2> in_flight_;
};

inline constexpr Iova kInterruptRangeStart{0xfee00000};
inline constexpr Iova kInterruptRangeLast{0xfeefffff};

}  // namespace teeio::hw
