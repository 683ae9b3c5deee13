// How fast the modelled hardware is. Goals: a warm translation ≥ 50 M/s; a DMA
// copy of 64 KiB at ≥ 70 % of memcpy; windows at 1 M live ones ≥ 1 M/s in order
// and ≥ 0.5 M/s at random.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "hw/host_bridge.h"
#include "hw/interrupts.h"
#include "hw/vtd/vtd_iommu.h"
#include "schedule/task.h"

namespace teeio::hw {
namespace {

constexpr Bdf kFunction{.domain = 0, .bus = 0, .device = 2, .function = 0};
constexpr Iova kIova{0x10'0000'0000};
constexpr std::uint64_t kBuffer = 64 * 1024;
constexpr std::uint64_t kPages = 1024;

/// File-backed memory, as a VMM's guest RAM.
class SharedFile final : public WindowTarget {
 public:
  explicit SharedFile(std::uint64_t size) : size_(size) {
    bytes_ = static_cast<std::byte*>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    std::memset(bytes_, 1, size);
  }
  ~SharedFile() override { munmap(bytes_, size_); }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  Result<void> read(std::uint64_t, std::span<std::byte>) override { return {}; }
  Result<void> write(std::uint64_t, ByteView) override { return {}; }
  std::span<std::byte> direct() override { return {bytes_, size_}; }

 private:
  std::byte* bytes_;
  const std::uint64_t size_;
};

class Function final : public PciFunction {
 public:
  Bdf bdf() const override { return kFunction; }
  std::uint32_t config_read(std::uint16_t, unsigned) override { return 0; }
  void config_write(std::uint16_t, unsigned, std::uint32_t) override {}
  const std::array<Bar, kBarCount>& bars() const override { return bars_; }
  void reset(ResetKind) override {}
  PciFunction* physical_function() override { return nullptr; }
  void attach(DmaPort& port) override { dma = &port; }
  DmaPort* dma = nullptr;

 private:
  const std::array<Bar, kBarCount> bars_{};
};

/// One function behind an IOMMU, with kPages pages of program memory mapped.
struct Machine {
  Machine() {
    bridge.add_function(function, iommu);
    const Hpa root = page(), context = page(), directory = page(), pasid = page();
    const Hpa stage = page(), level3 = page(), level2 = page();
    set(root, raw(context) | 1);
    set(context + (kFunction.rid() & 0x7fU) * 32U, raw(directory) | 1);
    set(directory, raw(pasid) | 1);
    set(pasid + 8, 1);
    set(pasid, raw(stage) | 2U << 6U | 2U << 2U | 1U);
    set(stage + (raw(kIova) >> 39U & 0x1ffU) * 8, raw(level3) | 3);
    set(level3 + (raw(kIova) >> 30U & 0x1ffU) * 8, raw(level2) | 3);
    const Hpa base = *memory.map_window(file, kPages * kPageSize);
    Hpa leaf{0};
    for (std::uint64_t n = 0; n < kPages; ++n) {
      if (n % 512 == 0) {
        leaf = page();
        set(level2 + n / 512 * 8, raw(leaf) | 3);
      }
      set(leaf + n % 512 * 8, raw(base + n * kPageSize) | 3);
    }
    iommu.set_root(TBit::kShared, root);
  }
  Hpa page() { return *memory.alloc_page(); }
  void set(Hpa entry, std::uint64_t value) { (void)memory.write_u64(entry, value); }

  PhysicalMemory memory{std::uint64_t{64} << 20U};
  object::Trace trace;
  VtdIommu iommu{memory, trace, 0};
  InterruptRemapping interrupts;
  Function function;
  HostBridge bridge{memory, trace, interrupts};
  SharedFile file{kPages * kPageSize};
};

void BM_TranslateWarm(benchmark::State& state) {
  Machine machine;
  std::uint64_t n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(machine.iommu.translate(
        kFunction.rid(), TBit::kShared, kIova + n % kPages * kPageSize, DmaAccess::kRead));
    ++n;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TranslateWarm);

void BM_TranslateCold(benchmark::State& state) {
  Machine machine;
  for (auto _ : state) {
    machine.iommu.invalidate_range(TBit::kShared, 1, kIova, kPageSize);
    benchmark::DoNotOptimize(
        machine.iommu.translate(kFunction.rid(), TBit::kShared, kIova, DmaAccess::kRead));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TranslateCold);

/// Copies by DMA and by memcpy in turns, so that both see the same machine.
void BM_DmaCopy64KiB(benchmark::State& state) {
  Machine machine;
  const std::vector<std::byte> device(kBuffer, std::byte{3});
  std::uint64_t dma_ns = 0;
  std::uint64_t memcpy_ns = 0;
  std::uint64_t n = 0;
  for (auto _ : state) {
    const std::uint64_t offset = n++ % (kPages * kPageSize / kBuffer) * kBuffer;
    const std::uint64_t start = schedule::now_ns();
    std::memcpy(machine.file.direct().data() + offset, device.data(), kBuffer);
    benchmark::ClobberMemory();
    const std::uint64_t middle = schedule::now_ns();
    const auto done =
        machine.function.dma->dma_write(kFunction.rid(), TBit::kShared, kIova + offset, device);
    benchmark::ClobberMemory();
    const std::uint64_t end = schedule::now_ns();
    if (!done) state.SkipWithError("DMA was refused");
    memcpy_ns += middle - start;
    dma_ns += end - middle;
    state.SetIterationTime(static_cast<double>(end - middle) * 1e-9);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBuffer));
  state.counters["of_memcpy"] = static_cast<double>(memcpy_ns) / static_cast<double>(dma_ns);
}
BENCHMARK(BM_DmaCopy64KiB)->UseManualTime();

constexpr std::size_t kLiveWindows = 1'000'000;

struct ManyWindows {
  ManyWindows() {
    bases.reserve(kLiveWindows);
    for (std::size_t n = 0; n < kLiveWindows; ++n)
      bases.push_back(*memory.map_window(file, kPageSize));
  }
  PhysicalMemory memory{kPageSize};
  SharedFile file{kPageSize};
  std::vector<Hpa> bases;
};

/// The oldest window goes, a new one comes: 1 M live all the time.
void BM_WindowsInOrder(benchmark::State& state) {
  ManyWindows windows;
  std::size_t n = 0;
  for (auto _ : state) {
    Hpa& oldest = windows.bases[n++ % kLiveWindows];
    windows.memory.unmap_window(oldest);
    oldest = *windows.memory.map_window(windows.file, kPageSize);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_WindowsInOrder);

void BM_WindowsAtRandom(benchmark::State& state) {
  ManyWindows windows;
  std::mt19937_64 random(1);
  for (auto _ : state) {
    Hpa& one = windows.bases[random() % kLiveWindows];
    windows.memory.unmap_window(one);
    one = *windows.memory.map_window(windows.file, kPageSize);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_WindowsAtRandom);

void BM_WindowAccessAtRandom(benchmark::State& state) {
  ManyWindows windows;
  std::mt19937_64 random(1);
  for (auto _ : state)
    benchmark::DoNotOptimize(windows.memory.read_u64(windows.bases[random() % kLiveWindows]));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_WindowAccessAtRandom);

}  // namespace
}  // namespace teeio::hw
