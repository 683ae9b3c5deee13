#include "device/nvme/command.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace teeio::nvme {
namespace {

constexpr std::uint16_t kDoNotRetry = 1U << 14U;

void put(std::span<std::byte> out, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
}

}  // namespace

/// Once for each command: as words, not field by field.
Command Command::decode(std::span<const std::byte, kSqEntryBytes> in) {
  static_assert(std::endian::native == std::endian::little, "entries are little-endian");
  std::array<std::uint32_t, kSqEntryBytes / 4> words{};
  std::ranges::copy(in, std::as_writable_bytes(std::span(words)).begin());
  const auto pair = [&](std::size_t at) {
    return words.at(at) | std::uint64_t{words.at(at + 1)} << 32U;
  };
  // Words 2 to 5: reserved, and the metadata pointer; no format has metadata.
  return {.opcode = static_cast<std::uint8_t>(words[0]),
          .flags = static_cast<std::uint8_t>(words[0] >> 8U),
          .id = static_cast<std::uint16_t>(words[0] >> 16U),
          .nsid = words[1],
          .prp1 = pair(6),
          .prp2 = pair(8),
          .cdw10 = words[10],
          .cdw11 = words[11],
          .cdw12 = words[12],
          .cdw13 = words[13],
          .cdw14 = words[14],
          .cdw15 = words[15]};
}

std::uint16_t Completion::status_field() const {
  const auto code = std::to_underlying(status);
  return static_cast<std::uint16_t>(code | (may_be_retried(status) ? 0U : kDoNotRetry));
}

std::array<std::byte, kCqEntryBytes> Completion::encode(bool phase) const {
  std::array<std::byte, kCqEntryBytes> out{};
  const std::span<std::byte> all(out);
  put(all.first(4), result);
  put(all.subspan(8, 4), sq_head | std::uint32_t{sq_id} << 16U);
  put(all.subspan(12, 4),
      command_id | (phase ? 1U : 0U) << 16U | std::uint32_t{status_field()} << 17U);
  return out;
}

}  // namespace teeio::nvme
