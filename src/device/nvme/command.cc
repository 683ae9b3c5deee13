#include "device/nvme/command.h"

#include <utility>

namespace teeio::nvme {
namespace {

constexpr std::uint16_t kDoNotRetry = 1U << 14U;

void put(std::span<std::byte> out, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
}

}  // namespace

Command Command::decode(std::span<const std::byte, kSqEntryBytes> in) {
  Reader r{ByteView(in)};
  Command c;
  c.opcode = r.le<std::uint8_t>();
  c.flags = r.le<std::uint8_t>();
  c.id = r.le<std::uint16_t>();
  c.nsid = r.le<std::uint32_t>();
  r.skip(16);  // reserved, and the metadata pointer: no format has metadata
  c.prp1 = r.le<std::uint64_t>();
  c.prp2 = r.le<std::uint64_t>();
  for (std::uint32_t* word : {&c.cdw10, &c.cdw11, &c.cdw12, &c.cdw13, &c.cdw14, &c.cdw15})
    *word = r.le<std::uint32_t>();
  return c;
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
