#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "hw/dma.h"

namespace teeio::device {

/// What the ERROR register and a descriptor's status say.
enum class DmaError : std::uint8_t {
  kNone = 0,
  kRing = 1,        ///< ring base, size or doorbell make no sense
  kFetch = 2,       ///< a descriptor could not be read
  kMalformed = 3,   ///< reserved bits, kind or length of a descriptor
  kTrusted = 4,     ///< T=1 asked for outside of RUN
  kNoDma = 5,       ///< bus mastering off, not D0, or the TDI is locked or in ERROR
  kRead = 6,        ///< source could not be read
  kWrite = 7,       ///< destination could not be written
  kLocalRange = 8,  ///< local memory address outside of BAR2
  kWriteBack = 9,   ///< status could not be written back
  kPasid = 10,      ///< a PASID that the function may not name
};

/// One entry of the ring, 32 bytes, little-endian; docs/devices/dma-engine.md.
struct DmaDescriptor {
  static constexpr std::size_t kSize = 32;
  static constexpr std::size_t kStatusOffset = 24;
  static constexpr std::uint32_t kMaxLength = 1U << 20U;  ///< bytes: bounds one doorbell's work
  static constexpr std::uint32_t kStatusDone = 1;
  static constexpr std::uint32_t kStatusError = 0x8000'0000;  ///< with a DmaError in 7:0

  enum class Source : std::uint8_t { kMemory = 0, kLocal = 1, kFill = 2 };
  enum class Destination : std::uint8_t { kMemory = 0, kLocal = 1 };
  static constexpr std::uint32_t kFlagTrusted = 1U << 8U;
  static constexpr std::uint32_t kFlagInterrupt = 1U << 9U;
  static constexpr std::uint32_t kFlagPasid = 1U << 10U;

  Source source_kind = Source::kMemory;
  Destination destination_kind = Destination::kMemory;
  hw::TBit t = hw::TBit::kShared;
  bool interrupt = false;
  std::uint32_t length = 0;          ///< bytes
  std::uint64_t source = 0;          ///< IOVA, offset in BAR2, or 8 bytes to repeat
  std::uint64_t destination = 0;     ///< IOVA or offset in BAR2
  std::optional<hw::Pasid> pasid{};  ///< of its memory requests

  /// Errors: kMalformed. Precondition: `in` has kSize bytes.
  static std::expected<DmaDescriptor, DmaError> decode(ByteView in);
  /// Status zero: not carried out yet.
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] bool uses_memory() const {
    return source_kind == Source::kMemory || destination_kind == Destination::kMemory;
  }
};

}  // namespace teeio::device
