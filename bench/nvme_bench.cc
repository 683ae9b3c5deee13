// What a command costs in the NVMe card itself, one at a time: a driver's side and the card's in
// one task, over memory. Held against a bare loop that moves the same bytes for the same driver
// and looks at nothing. Goal: ≥ 50 % of the bare loop's commands.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "device/nvme/nvme_card.h"
#include "device/nvme/spec.h"
#include "object/trace.h"

namespace teeio::nvme {
namespace {

constexpr std::size_t kMemory = 1 << 20;
constexpr std::uint64_t kAdminSq = 0x1000, kAdminCq = 0x2000, kIoSq = 0x3000, kIoCq = 0x4000,
                        kData = 0x1'0000;
constexpr std::uint32_t kEntries = 64;
constexpr std::uint8_t kReadOpcode = 2;
constexpr std::uint32_t kBlocksOf4KiB = 8;

/// The host's memory, and its count of messages.
class Port final : public hw::DmaPort {
 public:
  Result<void> dma_read(hw::Requester, hw::TBit, Iova address, std::span<std::byte> out) override {
    if (raw(address) > kMemory - out.size()) return fail(Errno::kFault, "no memory there");
    std::memcpy(out.data(), memory.data() + raw(address), out.size());
    return {};
  }
  Result<void> dma_write(hw::Requester, hw::TBit, Iova address, ByteView in) override {
    if (raw(address) >= kMemory) return ++messages, Result<void>{};
    std::memcpy(memory.data() + raw(address), in.data(), in.size());
    return {};
  }
  Bytes memory = Bytes(kMemory);
  std::uint64_t messages = 0;
};

/// The driver's half of a queue pair: puts commands, takes completions.
class Driver {
 public:
  Driver(Port& port, std::uint64_t sq, std::uint64_t cq) : port_(port), sq_(sq), cq_(cq) {}

  /// The new tail.
  std::uint32_t put(const std::array<std::uint32_t, 16>& command) {
    std::memcpy(port_.memory.data() + sq_ + std::uint64_t{tail_} * 64, command.data(), 64);
    tail_ = (tail_ + 1) % kEntries;
    return tail_;
  }
  /// The new head; aborts unless a good completion is there.
  std::uint32_t take() {
    std::uint16_t status = 0;
    std::memcpy(&status, port_.memory.data() + cq_ + std::uint64_t{head_} * 16 + 14, 2);
    TEEIO_CHECK(status == (phase_ ? 1 : 0), "a command was not completed well");
    head_ = (head_ + 1) % kEntries;
    if (head_ == 0) phase_ = !phase_;
    return head_;
  }

 private:
  Port& port_;
  const std::uint64_t sq_, cq_;
  std::uint32_t tail_ = 0, head_ = 0;
  bool phase_ = true;
};

std::array<std::uint32_t, 16> read_of(std::uint32_t lba) {
  std::array<std::uint32_t, 16> command{kReadOpcode, 1};
  command[6] = kData;
  command[10] = lba;
  command[12] = kBlocksOf4KiB - 1;
  return command;
}

std::vector<std::vector<NameSpace>> one_space() {
  std::vector<std::vector<NameSpace>> spaces(1);
  spaces[0].push_back(NameSpace::in_memory(16 << 20).value());
  return spaces;
}

struct Card {
  Card() {
    function.attach(port);
    function.config_write(0x04, 2, 6);
    reg(0x24, (kEntries - 1) | (kEntries - 1) << 16U);
    reg(0x28, kAdminSq), reg(0x30, kAdminCq);
    reg(0x14, 6U << 16U | 4U << 20U | 1U);
    admin({5, 0, 0, 0, 0, 0, kIoCq, 0, 0, 0, 1U | (kEntries - 1) << 16U, 3U | 1U << 16U});
    admin({1, 0, 0, 0, 0, 0, kIoSq, 0, 0, 0, 1U | (kEntries - 1) << 16U, 1U | 1U << 16U});
  }
  void reg(std::uint64_t offset, std::uint64_t value) {
    bar.mmio_write(offset, bytes_of(static_cast<std::uint32_t>(value)));
  }
  void admin(const std::array<std::uint32_t, 16>& command) {
    reg(0x1000, admin_queue.put(command));
    reg(0x1004, admin_queue.take());
  }
  Port port;
  object::Trace trace;
  NvmeCard card{trace, {.pf = {.bus = 1}}, one_space()};
  hw::PciFunction& function = *card.functions().front();
  hw::MmioTarget& bar = *function.bars()[0].target;
  Driver admin_queue{port, kAdminSq, kAdminCq};
};

void nvme_read_depth_1(benchmark::State& state) {
  Card card;
  Driver driver(card.port, kIoSq, kIoCq);
  std::uint32_t lba = 0;
  for (auto _ : state) {
    card.reg(0x1008, driver.put(read_of(lba)));
    card.reg(0x100c, driver.take());
    lba = (lba + kBlocksOf4KiB) % 0x4000;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(nvme_read_depth_1);

/// The same driver; a command is fetched, its block copied twice as the card does (out of the
/// namespace, into the host's memory), and a completion written.
void bare_read_depth_1(benchmark::State& state) {
  Port port;
  Driver driver(port, kIoSq, kIoCq);
  const Bytes space(16 << 20, std::byte{1});
  Bytes room(4096);
  std::uint32_t lba = 0, sq_head = 0, cq_tail = 0;
  bool phase = true;
  for (auto _ : state) {
    benchmark::DoNotOptimize(driver.put(read_of(lba)));
    std::array<std::uint32_t, 16> command{};
    std::memcpy(command.data(), port.memory.data() + kIoSq + std::uint64_t{sq_head} * 64, 64);
    sq_head = (sq_head + 1) % kEntries;
    std::memcpy(room.data(), space.data() + std::uint64_t{command[10]} * 512, room.size());
    std::memcpy(port.memory.data() + command[6], room.data(), room.size());
    const std::array<std::uint32_t, 4> entry{0, 0, sq_head | 1U << 16U, phase ? 1U << 16U : 0U};
    std::memcpy(port.memory.data() + kIoCq + std::uint64_t{cq_tail} * 16, entry.data(), 16);
    if (cq_tail = (cq_tail + 1) % kEntries; cq_tail == 0) phase = !phase;
    benchmark::DoNotOptimize(driver.take());
    lba = (lba + kBlocksOf4KiB) % 0x4000;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(bare_read_depth_1);

}  // namespace
}  // namespace teeio::nvme
