// The RAM of explored machines, which goes back with their run's heap.

#include "hw/ram.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "schedule/run_heap.h"

namespace teeio::hw {
namespace {

constexpr Hpa kBase{0x10'0000};
constexpr std::uint64_t kSize = std::uint64_t{64} << 20U;  ///< an explored machine's

bool is_filled(Ram& ram, Hpa page, std::byte with) {
  return std::ranges::all_of(ram.bytes(page), [&](std::byte byte) { return byte == with; });
}

class RamInRun : public testing::Test {
 protected:
  void SetUp() override {
    heap = schedule::RunHeap::take();
    if (heap == nullptr) GTEST_SKIP() << "a sanitizer has the heap";
  }
  template <class Action>
  static void inside(Action action) {
    schedule::detail::t_in_run_heap = true;
    action();
    schedule::detail::t_in_run_heap = false;
  }
  std::unique_ptr<schedule::RunHeap> heap;
};

TEST_F(RamInRun, HasTheFramesOfTheCheckpointAgainAndNoOthers) {
  Ram* ram = nullptr;
  Hpa kept{}, freed{};
  inside([&] {
    ram = new Ram(kBase, kSize);
    kept = *ram->alloc();
    freed = *ram->alloc();
    std::ranges::fill(ram->bytes(kept), std::byte{0x11});
    std::ranges::fill(ram->bytes(freed), std::byte{0x22});
    ram->give(kept, KeyId{3}, Content::kLost);  // it is wiped
    std::ranges::fill(ram->bytes(kept), std::byte{0x33});
  });
  heap->save();
  for (int run = 0; run < 3; ++run) {
    inside([&] {
      ram->free(freed);
      ram->give(kept, KeyId::kShared, Content::kLost);
      std::ranges::fill(ram->bytes(kept), std::byte{0x44});
      for (int i = 0; i < 100; ++i) {
        const Hpa page = *ram->alloc();
        ASSERT_TRUE(is_filled(*ram, page, std::byte{0})) << "run " << run << ", page " << i;
        std::ranges::fill(ram->bytes(page), std::byte{0x55});
      }
    });
    heap->go_back();
    EXPECT_EQ(ram->in_use(), 2U);
    EXPECT_EQ(ram->key_of(kept), KeyId{3});
    EXPECT_TRUE(is_filled(*ram, kept, std::byte{0x33})) << run;
    EXPECT_TRUE(is_filled(*ram, freed, std::byte{0x22})) << run;
    EXPECT_FALSE(ram->has(kBase + 2 * kPageSize));
  }
}

TEST_F(RamInRun, LeavesZeroedMemoryToTheNextMachineWhenTheHeapGoes) {
  inside([&] {
    auto* const ram = new Ram(kBase, kSize);
    for (int i = 0; i < 3; ++i) std::ranges::fill(ram->bytes(*ram->alloc()), std::byte{0x66});
    heap->save();
    std::ranges::fill(ram->bytes(*ram->alloc()), std::byte{0x77});
  });
  heap.reset();
  Ram next(kBase, kSize);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(is_filled(next, *next.alloc(), std::byte{0})) << i;
}

TEST_F(RamInRun, OneThatWasMadeSinceAndIsDestroyedIsForgotten) {
  heap->save();
  inside([] {
    Ram ram(kBase, kSize);
    std::ranges::fill(ram.bytes(*ram.alloc()), std::byte{0x88});
  });
  heap->go_back();
  Ram next(kBase, kSize);
  EXPECT_TRUE(is_filled(next, *next.alloc(), std::byte{0}));
}

// What machines of this process left behind is no memory of a fork's.
TEST(RamInFork, IsItsOwn) {
  {
    Ram left(kBase, kSize);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    Ram own(kBase, kSize);
    std::ranges::fill(own.bytes(*own.alloc()), std::byte{0x99});
    ::_exit(7);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
}

}  // namespace
}  // namespace teeio::hw
