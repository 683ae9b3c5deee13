#include "device/nvme/log_pages.h"

#include <algorithm>

#include "device/nvme/identify.h"

namespace teeio::nvme {
namespace {

constexpr std::size_t kLogBytes = 512;
constexpr std::uint64_t kUnit = 1000;  // blocks of 512 bytes

Writer& le128(Writer& out, std::uint64_t value) { return out.le(value).zeros(8); }

std::uint8_t warnings(const State& state) {
  const bool read_only = std::ranges::any_of(state.spaces, &NameSpace::failed);
  const bool temperature = state.features.temperature_warning();
  return static_cast<std::uint8_t>((temperature ? 1U << 1U : 0U) |
                                   (read_only ? 1U << 2U | 1U << 3U : 0U));
}

/// Figure 194.
Bytes health(const State& state) {
  const Counters& counters = state.counters;
  Writer out;
  out.le(warnings(state))
      .le(Features::kKelvin)
      .le(std::uint8_t{100})
      .le(std::uint8_t{10})
      .zeros(27);
  for (const std::uint64_t value :
       {(counters.blocks_read + kUnit - 1) / kUnit, (counters.blocks_written + kUnit - 1) / kUnit,
        counters.reads, counters.writes, std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0},
        std::uint64_t{0}, counters.media_errors, state.errors.count()})
    le128(out, value);
  return out.zeros(kLogBytes - out.size()).take();
}

/// Figure 195: slot 1 is active.
Bytes firmware() {
  Writer out;
  out.le(std::uint8_t{1}).zeros(7);
  out.bytes(std::as_bytes(std::span(kFirmwareRevision).first<8>()));
  return out.zeros(kLogBytes - out.size()).take();
}

}  // namespace

Outcome<Bytes> log_page(const State& state, const Command& command) {
  const std::uint32_t page = command.cdw10 & 0xffU;
  if (page < 1 || page > 3) return std::unexpected(Status::kInvalidLogPage);
  if (command.nsid != 0 && command.nsid != kAllNamespaces)
    return std::unexpected(Status::kInvalidField);
  if (page == 1) return state.errors.encode();
  return page == 2 ? health(state) : firmware();
}

}  // namespace teeio::nvme
