#include "schedule/run_heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "schedule/sanitized.h"

namespace teeio::schedule {
namespace {

/// While it lives, this thread allocates from the run heap.
struct Inside {
  Inside() { detail::t_in_run_heap = true; }
  ~Inside() { detail::t_in_run_heap = false; }
};

class RunHeapTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a sanitizer has the heap";
    heap = RunHeap::take();
    ASSERT_NE(heap, nullptr);
  }
  std::unique_ptr<RunHeap> heap;
};

using Book = std::map<int, std::string>;

std::string long_text(char letter) { return std::string(100, letter); }

TEST_F(RunHeapTest, GoesBackToWhatWasSaved) {
  Book* book = nullptr;
  {
    const Inside inside;
    book = new Book{{1, long_text('a')}, {2, long_text('b')}};
  }
  heap->save();
  for (int time = 0; time < 3; ++time) {
    {
      const Inside inside;
      book->erase(1);
      for (int i = 3; i < 300; ++i) (*book)[i] = long_text('c');
      (*book)[2] += "changed";
    }
    heap->go_back();
    EXPECT_EQ(*book, (Book{{1, long_text('a')}, {2, long_text('b')}})) << time;
  }
}

TEST_F(RunHeapTest, WhatIsFreedIsGivenOutAgain) {
  const Inside inside;
  auto first = std::make_unique<std::string>(long_text('a'));
  const void* const was = first.get();
  first.reset();
  EXPECT_EQ(std::make_unique<std::string>().get(), was);
}

TEST_F(RunHeapTest, BlocksOfAllSizesDoNotOverlap) {
  const Inside inside;
  std::vector<std::vector<unsigned char>> blocks;
  for (std::size_t size = 1; size < 20'000; size += size / 3 + 1)
    blocks.emplace_back(size, static_cast<unsigned char>(size));
  for (const auto& block : blocks) {
    EXPECT_GE(usable_bytes(const_cast<unsigned char*>(block.data())), block.size());
    for (const unsigned char byte : block)
      ASSERT_EQ(byte, static_cast<unsigned char>(block.size()));
  }
}

TEST_F(RunHeapTest, WhatIsMadeOutsideStays) {
  Book* book = nullptr;
  {
    const Inside inside;
    const OutsideRunHeap outside;
    book = new Book;
  }
  heap->save();
  {
    const Inside inside;
    const OutsideRunHeap outside;
    (*book)[1] = long_text('a');
  }
  heap->go_back();
  EXPECT_EQ(book->at(1), long_text('a'));
  delete book;
}

const std::string& made_once() {
  static const std::string text = long_text('s');
  return text;
}

TEST_F(RunHeapTest, AFunctionsStaticIsNoRuns) {
  heap->save();
  {
    const Inside inside;
    EXPECT_EQ(made_once(), long_text('s'));
    EXPECT_NE(RunHeap::current(), nullptr) << "it is over";
  }
  heap->go_back();
  {
    const Inside inside;
    const std::string other = long_text('x');  // lies where a run's static would
    EXPECT_EQ(made_once(), long_text('s'));
  }
}

TEST_F(RunHeapTest, ZeroedBuffersAreZeroAlsoWhereSomethingWas) {
  const Inside inside;
  constexpr std::size_t kBytes = 5000;
  std::byte* buffer = allocate_zeroed(kBytes);
  std::memset(buffer, 0xff, kBytes);
  free_zeroed(buffer);
  buffer = allocate_zeroed(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(buffer[i], std::byte{0});
  free_zeroed(buffer);
}

struct Part final : RolledBack {
  void save() override { saved = value; }
  void go_back() override { value = saved; }
  void forget() override { forgotten = true; }
  int value = 1, saved = 0;
  bool forgotten = false;
};

TEST_F(RunHeapTest, PartsBesideItGoBackWithIt) {
  Part before, since;
  heap->add(before);
  heap->add(before);  // changes nothing
  heap->save();
  before.value = 2;
  heap->add(since);
  heap->go_back();
  EXPECT_EQ(before.value, 1);
  EXPECT_FALSE(before.forgotten);
  EXPECT_TRUE(since.forgotten) << "it was not there before";
  heap.reset();
  EXPECT_TRUE(before.forgotten);
}

TEST_F(RunHeapTest, ThereIsOne) { EXPECT_EQ(RunHeap::take(), nullptr); }

}  // namespace
}  // namespace teeio::schedule
