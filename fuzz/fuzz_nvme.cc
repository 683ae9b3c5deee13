// Links: device/nvme
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "device/nvme/nvme_card.h"
#include "device/nvme/spec.h"
#include "fuzzer.h"
#include "object/trace.h"

// The input is a sequence of steps of a hostile driver: register writes of any kind, commands
// of any content in queues that exist, doorbells, resets, and memory that changes meanwhile.
// Whatever it does, no check may fail and nothing outside of the namespace is reached.
namespace teeio::fuzz {
namespace {

constexpr std::uint64_t kAdminSq = 0x1000, kAdminCq = 0x2000, kIoSq = 0x3000, kIoCq = 0x4000;
constexpr std::uint32_t kEntries = 8;
constexpr std::size_t kMaxSteps = 256;

/// 64 KiB from address 0, and nothing else.
class SmallMemory final : public hw::DmaPort {
 public:
  Result<void> dma_read(hw::Requester, hw::TBit, Iova address, std::span<std::byte> out) override {
    if (raw(address) > bytes.size() || out.size() > bytes.size() - raw(address))
      return fail(Errno::kFault, "there is no memory");
    std::ranges::copy(ByteView(bytes).subspan(raw(address), out.size()), out.begin());
    return {};
  }
  Result<void> dma_write(hw::Requester, hw::TBit, Iova address, ByteView in) override {
    if (raw(address) > bytes.size() || in.size() > bytes.size() - raw(address))
      return fail(Errno::kFault, "there is no memory");
    std::ranges::copy(in, bytes.begin() + static_cast<std::ptrdiff_t>(raw(address)));
    return {};
  }
  Bytes bytes = Bytes(64 * 1024);
};

class Driver {
 public:
  Driver(hw::PciFunction& function, SmallMemory& memory) : function_(function), memory_(memory) {
    function.attach(memory);
    enable();
  }

  void step(Reader& r) {
    switch (r.le<std::uint8_t>() % 8) {
      case 0:
        return set(r.le<std::uint16_t>() % 0x4000U & ~3U, r.le<std::uint32_t>());
      case 1:
        return set(0x1000 + r.le<std::uint8_t>() % 40 * 4U, r.le<std::uint8_t>() % 12);
      case 2:
        return put(r.le<std::uint16_t>(), r.take(std::min<std::size_t>(16, r.rest().size())));
      case 3:
        return function_.reset(hw::ResetKind::kFunctionLevel), enable();
      case 4:
        return set(0x14, 0), enable();
      case 5:
        return function_.config_write(0x04, 2, r.le<std::uint8_t>());
      case 6:
        return command(r, 0);
      default:
        return command(r, 1);
    }
  }

 private:
  void set(std::uint64_t offset, std::uint32_t value) {
    function_.bars().at(0).target->mmio_write(offset, bytes_of(value));
  }
  void put(std::uint64_t at, ByteView bytes) {
    const std::size_t room = memory_.bytes.size() - at;
    std::ranges::copy(bytes.first(std::min(room, bytes.size())),
                      memory_.bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }
  /// A command whose opcode and flags are the input's, and whose other fields are small or
  /// the input's, as its next byte says.
  void command(Reader& r, std::uint16_t sq) {
    const auto shape = r.le<std::uint8_t>();
    const auto number = [&](unsigned bit) -> std::uint32_t {
      return (shape >> bit & 1U) != 0 ? r.le<std::uint32_t>() : r.le<std::uint8_t>();
    };
    const auto opcode = r.le<std::uint8_t>();
    const std::uint8_t flags = (shape >> 7U) != 0 ? r.le<std::uint8_t>() : std::uint8_t{0};
    const std::uint64_t prp1 = r.le<std::uint16_t>() & ((shape & 1U) != 0 ? ~0U : ~0xfffU);
    const std::uint64_t prp2 = r.le<std::uint16_t>() & ((shape & 2U) != 0 ? ~0U : ~0xfffU);
    Writer out;
    out.le(opcode).le(flags).le(std::uint16_t{r.le<std::uint8_t>()}).le(number(2)).zeros(16);
    out.le(prp1).le(prp2).le(number(3)).le(number(4)).le(number(5)).le(number(6)).zeros(8);
    put((sq == 0 ? kAdminSq : kIoSq) + tails_.at(sq) * 64U, out.take());
    tails_.at(sq) = (tails_.at(sq) + 1) % kEntries;
    set(0x1000 + sq * 8U, tails_.at(sq));
    // Completions are taken as they come, most of the time.
    if (shape % 5 != 0) set(0x1004 + sq * 8U, tails_.at(sq));
  }
  void enable() {
    tails_ = {};
    function_.config_write(0x04, 2, 0x0006);
    set(0x24, (kEntries - 1) | (kEntries - 1) << 16U);
    set(0x28, kAdminSq), set(0x2c, 0), set(0x30, kAdminCq), set(0x34, 0);
    set(0x14, 6U << 16U | 4U << 20U | 1U);
    create(nvme::AdminOpcode::kCreateCq, kIoCq, 3U | 1U << 16U);
    create(nvme::AdminOpcode::kCreateSq, kIoSq, 1U | 1U << 16U);
  }
  void create(nvme::AdminOpcode opcode, std::uint64_t base, std::uint32_t cdw11) {
    put(kAdminSq + tails_[0] * 64U, Writer()
                                        .le(std::to_underlying(opcode))
                                        .zeros(23)
                                        .le(base)
                                        .zeros(8)
                                        .le(1U | (kEntries - 1) << 16U)
                                        .le(cdw11)
                                        .zeros(16)
                                        .take());
    ++tails_[0];
    set(0x1000, tails_[0]);
    set(0x1004, tails_[0]);
  }

  hw::PciFunction& function_;
  SmallMemory& memory_;
  std::array<std::uint32_t, 2> tails_{};
};

}  // namespace

void run(ByteView input) {
  object::Trace trace;
  SmallMemory memory;
  std::vector<std::vector<nvme::NameSpace>> spaces(1);
  auto space = nvme::NameSpace::in_memory(1 << 20);
  if (!space) return;
  spaces[0].push_back(std::move(*space));
  nvme::NvmeCard card(trace, {.pf = {0, 1, 0, 0}, .vfs = 0, .window = Hpa{0x20'0000'0000}},
                      std::move(spaces));
  Driver driver(*card.functions().front(), memory);
  Reader r(input);
  for (std::size_t i = 0; i < kMaxSteps && !r.rest().empty(); ++i) driver.step(r);
}

}  // namespace teeio::fuzz
