// Intel's IOMMU and its driver together. Goals: a nested walk with a warm IOTLB >= 30 M/s;
// the dirty bits of 64 GiB of 4-KiB pages in <= 20 ms.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "host/iommu/user_data.h"
#include "host/iommu/virtual_iommu.h"
#include "host/iommu/vtd/driver.h"

namespace teeio::vtd {
namespace {

constexpr Bdf kFunction{.domain = 0, .bus = 1, .device = 0, .function = 0};
constexpr std::uint64_t kPages = 512;
constexpr Iova kVa{0x7000'0000'0000};

/// struct iommu_hwpt_vtd_s1.
struct FirstStage final : iommu::UserData {
  explicit FirstStage(std::uint64_t table) : UserData(1, sizeof(words), 1), words{0, table, 48} {}
  Result<void> read(std::uint32_t, std::uint32_t offset, std::span<std::byte> out) override {
    std::ranges::copy(std::as_bytes(std::span(words)).subspan(offset, out.size()), out.begin());
    return {};
  }
  Result<void> write(ByteView) override { return {}; }
  std::uint64_t words[3];
};

struct Host {
  explicit Host(std::uint64_t ram) : memory(ram) {
    (void)driver->probe(kFunction, 1);
    (void)driver->claim_dma_owner(1, this);
  }
  ~Host() { driver->detach(1); }
  std::unique_ptr<iommu::Domain> domain(iommu::Domain::Kind kind) {
    return std::move(*driver->alloc_paging_domain(
        iommu::PagingRequest{.group = 1, .kind = kind, .dirty_tracking = true}));
  }
  hw::PhysicalMemory memory;
  object::Trace trace;
  hw::VtdIommu iommu{memory, trace, 0};
  std::unique_ptr<Driver> driver = *Driver::create(memory, iommu, DefaultDomain::kTranslated);
};

/// A guest's first stage of kPages pages from kVa on, over a parent.
void BM_NestedWarm(benchmark::State& state) {
  Host host(std::uint64_t{64} << 20U);
  auto parent = host.domain(iommu::Domain::Kind::kNestParent);
  std::vector<Hpa> tables;
  for (std::uint64_t i = 0; i < 4; ++i) {
    tables.push_back(*host.memory.alloc_page());
    (void)parent->map(Iova{i * kPageSize}, tables.back(), kPageSize, Prot::kReadWrite);
  }
  for (std::uint64_t level = 0; level < 3; ++level)
    (void)host.memory.write_u64(tables[level] + (raw(kVa) >> (39 - 9 * level) & 0x1ffU) * 8,
                                (level + 1) * kPageSize | 7U);
  constexpr std::uint64_t kMemory = std::uint64_t{1} << 30U;
  (void)parent->map(Iova{kMemory}, Hpa{0x200'0000'0000}, kMemory, Prot::kReadWrite);
  for (std::uint64_t i = 0; i < kPages; ++i)
    (void)host.memory.write_u64(tables[3] + 8 * i, (kMemory + i * kPageSize) | 7U);
  FirstStage config(0);
  auto nested = std::move(*host.driver->alloc_nested(1, *parent, 0, config));
  (void)host.driver->attach(1, *nested);
  const auto access = [&](std::uint64_t n) {
    return host.iommu.translate(kFunction.rid(), hw::TBit::kShared, kVa + n % kPages * kPageSize,
                                hw::DmaAccess::kWrite);
  };
  if (!access(0)) state.SkipWithError("the nested walk fails");
  std::uint64_t n = 0;
  for (auto _ : state) benchmark::DoNotOptimize(access(n++));
  state.SetItemsProcessed(state.iterations());
  host.driver->detach(1);
}
BENCHMARK(BM_NestedWarm);

struct Bitmap final : iommu::DirtyTracking::Visitor {
  explicit Bitmap(std::uint64_t pages) : bits(pages / 64) {}
  void dirty(std::uint64_t first, std::uint64_t length) override {
    const std::uint64_t end = (first + length) >> kPageShift;
    for (std::uint64_t page = first >> kPageShift; page < end;) {
      if (page % 64 == 0 && page + 64 <= end) {
        bits[page / 64] = ~std::uint64_t{0};
        page += 64;
      } else {
        bits[page / 64] |= std::uint64_t{1} << (page % 64);
        ++page;
      }
    }
  }
  std::vector<std::uint64_t> bits;
};

/// 64 GiB of pages of which one in `range(0)` is dirty (0: none).
void BM_DirtyBitmap64GiB(benchmark::State& state) {
  constexpr std::uint64_t kBytes = std::uint64_t{64} << 30U;
  Host host(std::uint64_t{160} << 20U);
  auto domain = host.domain(iommu::Domain::Kind::kPlain);
  // An odd page of memory behind each: no large page fits.
  (void)domain->map(Iova{0}, Hpa{0x200'0000'1000}, kBytes, Prot::kReadWrite);
  (void)domain->dirty_tracking()->set_dirty_tracking(true);
  (void)host.driver->attach(1, *domain);
  const auto every = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t at = 0; every != 0 && at < kBytes; at += every * kPageSize)
    (void)host.iommu.translate(kFunction.rid(), hw::TBit::kShared, Iova{at}, hw::DmaAccess::kWrite);
  Bitmap bitmap(kBytes >> kPageShift);
  for (auto _ : state)
    domain->dirty_tracking()->read_dirty(0, kBytes, iommu::DirtyTracking::Clear::kNo, bitmap);
  host.driver->detach(1);
  (void)domain->unmap(Iova{0}, kBytes);
}
BENCHMARK(BM_DirtyBitmap64GiB)->Arg(0)->Arg(1024)->Arg(64)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace teeio::vtd
