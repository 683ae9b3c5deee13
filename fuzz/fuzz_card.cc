// Links: device
#include <array>

#include "device/dma_engine_card.h"
#include "device/tdi.h"
#include "fuzzer.h"
#include "object/trace.h"

// The input is a sequence of steps: one byte says which, the next which function,
// then the step's operands. Whatever a host does, no check may fail.
namespace teeio::fuzz {
namespace {

class NoMemory final : public hw::DmaPort {
 public:
  Result<void> dma_read(hw::Requester, hw::TBit, Iova address, std::span<std::byte> out) override {
    if ((raw(address) & 0x1000U) != 0) return fail(Errno::kFault, "every other page is a hole");
    std::ranges::fill(out, static_cast<std::byte>(raw(address) >> 4U));
    return {};
  }
  Result<void> dma_write(hw::Requester, hw::TBit, Iova address, ByteView) override {
    if ((raw(address) & 0x1000U) != 0) return fail(Errno::kFault, "every other page is a hole");
    return {};
  }
};

constexpr std::size_t kMaxSteps = 512;

/// Sends `object` through the PF's mailbox, at config offset `doe`.
void exchange(hw::PciFunction& pf, std::uint16_t doe, ByteView object) {
  const auto put = [&](unsigned reg, std::uint32_t value) {
    pf.config_write(static_cast<std::uint16_t>(doe + reg), 4, value);
  };
  put(0x08, 1);  // abort whatever was under way
  Reader r(object);
  while (r.rest().size() >= 4) put(0x10, r.le<std::uint32_t>());
  put(0x08, 0x8000'0000);
}

std::uint16_t find_doe(hw::PciFunction& pf) {
  std::uint32_t at = 0x100;
  while ((pf.config_read(static_cast<std::uint16_t>(at), 4) & 0xffffU) != 0x2e)
    at = pf.config_read(static_cast<std::uint16_t>(at), 4) >> 20U;
  return static_cast<std::uint16_t>(at);
}

void step(Reader& r, hw::PciFunction& pf, hw::PciFunction& function, std::uint16_t doe,
          unsigned what) {
  switch (what % 5) {
    case 0: {
      const unsigned size = 1U << r.le<std::uint8_t>() % 3;
      const auto offset = static_cast<std::uint16_t>(r.le<std::uint16_t>() % 4096 / size * size);
      function.config_write(offset, size, r.le<std::uint32_t>());
      (void)function.config_read(offset, size);
      return;
    }
    case 1:
      return exchange(pf, doe,
                      r.take(std::min<std::size_t>(r.le<std::uint8_t>(), r.rest().size())));
    case 2:
    case 3: {
      const std::size_t number = r.le<std::uint8_t>() % 3 * 2U;
      const hw::Bar& bar = function.bars().at(number);
      const std::size_t size = std::size_t{1} << r.le<std::uint8_t>() % 4;
      const std::uint64_t offset = r.le<std::uint32_t>() % (bar.size / size) * size;
      hw::MmioTarget& target = what % 5 == 2 ? *bar.target : *function.private_bar(number);
      std::array<std::byte, 8> data{};
      target.mmio_read(offset, std::span(data).first(size));
      std::ranges::copy(r.take(std::min(size, r.rest().size())), data.begin());
      target.mmio_write(offset, std::span(data).first(size));
      return;
    }
    default:
      function.reset(r.le<std::uint8_t>() % 2 == 0 ? hw::ResetKind::kFunctionLevel
                                                   : hw::ResetKind::kHot);
  }
}

}  // namespace

void run(ByteView input) {
  object::Trace trace;
  NoMemory port;
  device::DmaEngineCard card(trace, {.pf = {0, 1, 0, 0}, .vfs = 1, .window = Hpa{0x20'0000'0000}});
  const auto functions = card.functions();
  for (hw::PciFunction* function : functions) function->attach(port);
  const std::uint16_t doe = find_doe(*functions[0]);
  Reader r(input);
  for (std::size_t i = 0; i < kMaxSteps && !r.rest().empty(); ++i) {
    const auto what = r.le<std::uint8_t>();
    step(r, *functions[0], *functions[what >> 7U], doe, what & 0x7fU);
  }
}

}  // namespace teeio::fuzz
