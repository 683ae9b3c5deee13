#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace teeio::wire {

/// The IDE extended capability of a port from its offset 4, as QUERY_RESP
/// carries it. Source: PCIe Base Spec 7.9.26; bits as Linux
/// include/uapi/linux/pci_regs.h has them (PCI_IDE_*).

// Of a stream's block, link or selective.
inline constexpr std::uint32_t kIdeStreamEnable = 1;  ///< control
inline constexpr unsigned kIdeStreamIdShift = 24;
inline constexpr std::uint32_t kIdeStreamState = 0xf;  ///< status
inline constexpr std::uint32_t kIdeStateSecure = 2;

/// One traffic class's block of link IDE, and what selective blocks have, too.
struct IdeLinkBlock {
  std::uint32_t control = 0;
  std::uint32_t status = 0;
  [[nodiscard]] std::uint8_t stream_id() const {
    return static_cast<std::uint8_t>(control >> kIdeStreamIdShift);
  }
  [[nodiscard]] bool enabled() const { return (control & kIdeStreamEnable) != 0; }
  [[nodiscard]] bool secure() const { return (status & kIdeStreamState) == kIdeStateSecure; }
  bool operator==(const IdeLinkBlock&) const = default;
};

/// Which addresses go through a selective stream.
struct IdeAddressBlock {
  std::uint32_t association1 = 0;  ///< valid bit, base and limit 31:20
  std::uint32_t association2 = 0;  ///< limit 63:32
  std::uint32_t association3 = 0;  ///< base 63:32
  [[nodiscard]] bool valid() const { return (association1 & 1U) != 0; }
  [[nodiscard]] std::uint64_t base() const;   ///< of 1 MiB granularity
  [[nodiscard]] std::uint64_t limit() const;  ///< last byte
  bool operator==(const IdeAddressBlock&) const = default;
};

/// One selective stream's block.
struct IdeSelectiveBlock : IdeLinkBlock {
  static constexpr std::size_t kMaxAddresses = 15;
  std::uint32_t rid1 = 0;  ///< limit in 23:8
  std::uint32_t rid2 = 0;  ///< valid bit, base in 23:8, segment in 31:24
  std::vector<IdeAddressBlock> addresses;
  bool operator==(const IdeSelectiveBlock&) const = default;
};

struct IdeRegisters {
  static constexpr std::uint32_t kLink = 1U << 0U;  ///< of `capability`
  static constexpr std::uint32_t kSelective = 1U << 1U;
  static constexpr std::uint32_t kIdeKm = 1U << 6U;
  std::uint32_t capability = 0;
  std::uint32_t control = 0;
  std::vector<IdeLinkBlock> links;
  std::vector<IdeSelectiveBlock> streams;

  /// How many blocks there are is in `capability`; registers behind them are
  /// ignored. Errors: EINVAL when there are fewer than it says.
  static Result<IdeRegisters> decode(std::span<const std::uint32_t> registers);
  /// `capability` with the counts of `links` and `streams` put in. Precondition:
  /// at most 8 links, 256 streams and kMaxAddresses each.
  [[nodiscard]] std::vector<std::uint32_t> encode() const;
  bool operator==(const IdeRegisters&) const = default;
};

}  // namespace teeio::wire
