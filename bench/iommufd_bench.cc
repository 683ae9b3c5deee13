// IOAS_MAP and IOAS_UNMAP in-process, without a HWPT, while a million areas are
// live, beside the same on a bare std::map: the ratio is what iommufd costs.

#include <benchmark/benchmark.h>

#include <map>
#include <random>
#include <vector>

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/mm/plain_memory.h"

namespace teeio::iommufd {
namespace {

constexpr std::uint64_t kLive = 1'000'000;
constexpr std::uint32_t kFlags = Context::kMapFixedIova | Context::kMapReadable;

struct Bench {
  hw::PhysicalMemory memory{std::uint64_t{1} << 20U};
  object::Trace trace;
  Environment environment{memory, trace, nullptr, {}};
  object::Ref<Context> ctx = Context::open(environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  mm::PlainMemory program;
  std::uint64_t buffer = program.map(kPageSize, mm::Access::kRead);

  void map(std::uint64_t page, std::uint32_t flags = kFlags) {
    const auto mapped = ctx->ioas_map(program, {ioas, flags, kPageSize, page * kPageSize}, buffer);
    TEEIO_CHECK(mapped.has_value(), "the benchmark maps");
  }
  void unmap(std::uint64_t page) {
    const auto unmapped = ctx->ioas_unmap(ioas, page * kPageSize, kPageSize);
    TEEIO_CHECK(unmapped.has_value(), "the benchmark unmaps");
  }
};

/// Every second page of twice the space, in random order.
std::vector<std::uint64_t> shuffled_pages() {
  std::vector<std::uint64_t> pages(kLive);
  for (std::uint64_t i = 0; i < kLive; ++i) pages[i] = 2 * i + 1;
  std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
  return pages;
}

void AppendFixed(benchmark::State& state) {
  Bench bench;
  std::uint64_t next = 1;
  for (; next <= kLive; ++next) bench.map(next);
  for (auto _ : state) {
    bench.map(next);
    bench.unmap(next - kLive);
    ++next;
  }
  state.SetItemsProcessed(state.iterations());
}

void AppendAllocated(benchmark::State& state) {
  Bench bench;
  for (std::uint64_t i = 0; i < kLive; ++i) bench.map(0, Context::kMapReadable);
  std::uint64_t page = 1;
  for (auto _ : state) {
    bench.unmap(page++ % kLive + 1);
    bench.map(0, Context::kMapReadable);
  }
  state.SetItemsProcessed(state.iterations());
}

void RandomFixed(benchmark::State& state) {
  Bench bench;
  const auto pages = shuffled_pages();
  for (const std::uint64_t page : pages) bench.map(page);
  std::size_t i = 0;
  for (auto _ : state) {
    bench.unmap(pages[i]);
    bench.map(pages[i]);
    i = (i + 1) % kLive;
  }
  state.SetItemsProcessed(state.iterations());
}

void FloorAppend(benchmark::State& state) {
  std::map<std::uint64_t, std::uint64_t> tree;
  std::uint64_t next = 1;
  for (; next <= kLive; ++next) tree.emplace_hint(tree.end(), next, next);
  for (auto _ : state) {
    tree.emplace(next, next);
    tree.erase(next - kLive);
    ++next;
  }
  state.SetItemsProcessed(state.iterations());
}

void FloorRandom(benchmark::State& state) {
  std::map<std::uint64_t, std::uint64_t> tree;
  const auto pages = shuffled_pages();
  for (const std::uint64_t page : pages) tree.emplace(page, page);
  std::size_t i = 0;
  for (auto _ : state) {
    tree.erase(pages[i]);
    tree.emplace(pages[i], i);
    i = (i + 1) % kLive;
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(FloorAppend);
BENCHMARK(AppendFixed);
BENCHMARK(AppendAllocated);
BENCHMARK(FloorRandom);
BENCHMARK(RandomFixed);

}  // namespace
}  // namespace teeio::iommufd
