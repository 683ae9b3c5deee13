// Links: serve/secure_processor
// The mailbox function of the secure processor with a host that writes what it likes into
// registers and memory: commands with buffers of any content, RMPUPDATE of any page, a port's
// config space, the core's calls.

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "fuzzer.h"
#include "object/trace.h"
#include "serve/secure_processor/card.h"

namespace teeio::secure_processor {
namespace {

constexpr std::uint64_t kRegion = 32 * kPageSize;  ///< of memory, that is written

std::vector<std::unique_ptr<hw::RootPort>> one_port(object::Trace& trace) {
  std::vector<std::unique_ptr<hw::RootPort>> ports;
  ports.push_back(std::make_unique<hw::RootPort>(
      trace, hw::RootPort::Options{.bdf = {.device = 1},
                                   .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                              .primary = 0,
                                              .secondary = 1,
                                              .subordinate = 1,
                                              .memory = {},
                                              .io = {},
                                              .prefetchable = {}},
                                   .ide_streams = 2,
                                   .tee_io = true}));
  return ports;
}

struct Host {
  object::Trace trace;
  Card card{trace, Bdf{.device = 8}, one_port(trace), {}};
  hw::PciFunction& function = card.function();
  std::uint64_t base = 0;

  Host() {
    function.config_write(hw::kCommand, 2, 2);
    base = get(Register::kMemoryLow) | std::uint64_t{get(Register::kMemoryHigh)} << 32U;
    TEEIO_CHECK(get(Register::kIdentity) == kIdentityValue, "the function does not answer");
  }
  std::uint32_t get(Register reg) {
    std::array<std::byte, 4> bytes{};
    function.bars()[0].target->mmio_read(static_cast<std::uint64_t>(reg), bytes);
    return Reader(bytes).le<std::uint32_t>();
  }
  void put(std::uint64_t offset, ByteView in) { function.bars()[0].target->mmio_write(offset, in); }
  void put(Register reg, std::uint32_t value) {
    put(static_cast<std::uint64_t>(reg), Writer().le(value).take());
  }
  void poke(std::uint64_t offset, ByteView in) {
    function.bars()[2].target->mmio_write(offset, in);
  }
  /// One of the pages that are written; with luck one that commands need.
  [[nodiscard]] std::uint64_t page(std::uint8_t which) const {
    return base + which % (kRegion / kPageSize) * kPageSize;
  }
  void name_page(Register low, std::uint8_t which) {
    const std::uint64_t at = page(which);
    put(low, static_cast<std::uint32_t>(at));
    put(Register{static_cast<std::uint32_t>(low) + 4}, static_cast<std::uint32_t>(at >> 32U));
  }
};

/// A command's buffer, in which words may become addresses of pages.
void run_command(Host& host, Reader& in) {
  const auto number = in.le<std::uint8_t>();
  const auto where = in.le<std::uint8_t>();
  const auto length = in.le<std::uint8_t>() % 128U;
  const ByteView given = in.take(std::min<std::size_t>(in.rest().size(), length));
  Bytes buffer(128);
  std::ranges::copy(given, buffer.begin());
  const auto points = in.le<std::uint16_t>();
  for (std::size_t n = 0; n < 16; ++n)
    if ((points >> n & 1U) != 0) {
      const auto at = static_cast<std::ptrdiff_t>(8 * n);
      const Bytes address =
          Writer().le(host.page(std::to_integer<std::uint8_t>(buffer[8 * n]))).take();
      std::ranges::copy(address, buffer.begin() + at);
    }
  host.poke(host.page(where) - host.base, buffer);
  host.name_page(Register::kBufferLow, where);
  host.put(Register::kCommand, (0x80U + number % 0x70U) << kCommandShift);
  TEEIO_CHECK((host.get(Register::kCommand) & kResponse) != 0, "a command has no response");
}

void step(Host& host, Reader& in) {
  switch (in.le<std::uint8_t>() % 7) {
    case 0:
    case 1:
      return run_command(host, in);
    case 2:
      host.name_page(Register::kPageLow, in.le<std::uint8_t>());
      host.put(Register::kRmpUpdate, in.le<std::uint8_t>() % 16);
      return;
    case 3: {
      const auto offset = in.le<std::uint32_t>() % kRegion;
      const auto size = std::min<std::size_t>(in.rest().size(), in.le<std::uint8_t>());
      return host.poke(offset, in.take(size));
    }
    case 4: {
      const auto offset = in.le<std::uint16_t>() % kRegisterBytes;
      const auto size = std::min<std::size_t>(in.rest().size(), in.le<std::uint8_t>() % 9);
      return host.put(offset, in.take(size));
    }
    case 5: {
      Bytes out(in.le<std::uint8_t>());
      host.function.bars()[2].target->mmio_read(in.le<std::uint32_t>() % kRegion, out);
      return;
    }
    default:
      host.function.reset(in.le<std::uint8_t>() % 2 == 0 ? hw::ResetKind::kHot
                                                         : hw::ResetKind::kFunctionLevel);
      host.function.config_write(hw::kCommand, 2, 2);
  }
}

}  // namespace
}  // namespace teeio::secure_processor

void teeio::fuzz::run(ByteView input) {
  using namespace teeio::secure_processor;
  Host host;
  Reader in(input);
  for (int steps = 0; steps < 64 && !in.rest().empty(); ++steps) step(host, in);
}
