#include "schedule/run_heap.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "schedule/sanitized.h"
#include "unit/schedule/checks.h"
#include "unit/schedule/explored.h"

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

bool g_threw = false;
const std::string& made_at_the_second_try() {
  static const std::string text = [] {
    if (!std::exchange(g_threw, true)) throw std::runtime_error("not yet");
    return long_text('t');
  }();
  return text;
}
bool g_failed = false;
const std::string& made_after_a_failed_check() {
  static const std::string text = [] {
    if (!std::exchange(g_failed, true)) check_failed("not yet");
    return long_text('f');
  }();
  return text;
}
const std::string& made_next() {
  static const std::string text = long_text('n');
  return text;
}

TEST_F(RunHeapTest, AStaticThatThrowsIsMadeOutsideAtTheNextTry) {
  heap->save();
  {
    const Inside inside;
    EXPECT_THROW((void)made_at_the_second_try(), std::runtime_error);
    EXPECT_NE(RunHeap::current(), nullptr);
    EXPECT_EQ(made_at_the_second_try(), long_text('t'));
    EXPECT_NE(RunHeap::current(), nullptr);
  }
  heap->go_back();
  const Inside inside;
  const std::string other = long_text('x');
  EXPECT_EQ(made_at_the_second_try(), long_text('t'));
}

// The task is frozen in the middle of it: neither made nor thrown out of.
TEST_F(RunHeapTest, AStaticWhoseCheckFailsLeavesNothingBehind) {
  EXPECT_EQ(test::finding_of([] { (void)made_after_a_failed_check(); }), "not yet");
  EXPECT_EQ(RunHeap::current(), nullptr);
  heap->save();
  {
    const Inside inside;
    EXPECT_EQ(made_next(), long_text('n'));
    EXPECT_EQ(made_after_a_failed_check(), long_text('f'));
  }
  heap->go_back();
  const Inside inside;
  const std::string one = long_text('x'), two = long_text('y');
  EXPECT_EQ(made_next(), long_text('n'));
  EXPECT_EQ(made_after_a_failed_check(), long_text('f'));
}

/// Pages of a buffer that take memory.
std::size_t resident_pages(const std::byte* buffer, std::size_t bytes) {
  constexpr std::uintptr_t kPage = 4096;
  const auto first = reinterpret_cast<std::uintptr_t>(buffer) / kPage * kPage;
  std::vector<unsigned char> in_memory((bytes + kPage - 1) / kPage);
  EXPECT_EQ(mincore(reinterpret_cast<void*>(first), bytes, in_memory.data()), 0);
  return static_cast<std::size_t>(
      std::ranges::count_if(in_memory, [](unsigned char page) { return (page & 1U) != 0; }));
}

TEST_F(RunHeapTest, LargeZeroedBuffersTakeNoMemoryUntilTheyAreWritten) {
  constexpr std::size_t kBytes = std::size_t{32} << 20U;
  constexpr std::size_t kFew = 4;
  std::byte* buffer = nullptr;
  {
    const Inside inside;
    buffer = allocate_zeroed(kBytes);
    std::memset(buffer, 0xff, kBytes);
    free_zeroed(buffer);
    EXPECT_EQ(allocate_zeroed(kBytes), buffer) << "it is the same again";
  }
  EXPECT_LE(resident_pages(buffer, kBytes), kFew);
  buffer[kBytes / 2] = std::byte{7};
  heap->save();
  buffer[100] = std::byte{8};
  std::memset(buffer + kBytes / 4, 0xee, kBytes / 2);
  heap->go_back();
  constexpr std::size_t kPagesOfAPart = 64 + kFew;
  EXPECT_LE(resident_pages(buffer, kBytes), 2 * kPagesOfAPart);
  for (std::size_t i = 0; i < kBytes; ++i)
    ASSERT_EQ(buffer[i], i == kBytes / 2 ? std::byte{7} : std::byte{0}) << i;
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

TEST_F(RunHeapTest, APartMayGoBeforeTheHeapIsSavedOrIfItCameSince) {
  Part before, since, stranger;
  heap->add(before);
  heap->remove(before);
  heap->add(before);
  heap->save();
  heap->add(since);
  heap->remove(since);
  since.value = 5;
  before.value = 2;
  heap->go_back();
  EXPECT_EQ(before.value, 1);
  EXPECT_EQ(since.value, 5);
  EXPECT_FALSE(since.forgotten);
  EXPECT_EQ(test::failed_check([&] { heap->remove(stranger); }),
            "a run destroys a part that it did not add");
  EXPECT_EQ(test::failed_check([&] { heap->remove(before); }), "a run destroys what is to go back");
  heap.reset();
  EXPECT_TRUE(before.forgotten);
}

TEST_F(RunHeapTest, ThereIsOne) { EXPECT_EQ(RunHeap::take(), nullptr); }

}  // namespace
}  // namespace teeio::schedule
