#include "run/perf_ring.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/types.h"

namespace teeio::run {
namespace {

// errno is anything after a call that succeeds: FaultRings took it for a thread that had left.
TEST(PerfRing, HasNoErrorWhenItWorks) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.exclude_kernel = 1;
  errno = ESRCH;
  const PerfRing ring(attr, ::getpid(), 0, kPageSize, 0);
  if (!ring.ok()) {
    EXPECT_NE(ring.error(), 0);
    GTEST_SKIP() << "perf_event_open() is refused here";
  }
  EXPECT_EQ(ring.error(), 0);
}

/// A ring as the kernel writes it: downwards from the end of its bytes, records of 16.
struct Ring {
  struct Record {
    perf_event_header header;
    std::uint64_t number;
  };
  /// The bytes first, then the head: between the two somebody may look.
  void begin(std::uint64_t number) {
    const Record record{.header = {.type = PERF_RECORD_SAMPLE, .misc = 0, .size = sizeof(Record)},
                        .number = number};
    std::memcpy(bytes.data() + (head - sizeof(Record)) % bytes.size(), &record, sizeof(record));
  }
  void end() { head -= sizeof(Record); }
  void write(std::uint64_t number) {
    begin(number);
    end();
  }
  /// What is shown, the newest first; `whole`: as visit_records() says.
  std::vector<std::uint64_t> look() {
    std::vector<std::uint64_t> seen;
    whole = PerfRing::visit_records(bytes, head, sizeof(Record), [&](auto bytes_of_one) {
      Record record{};
      EXPECT_EQ(bytes_of_one.size(), sizeof(record));
      std::memcpy(&record, bytes_of_one.data(), sizeof(record));
      seen.push_back(record.number);
      return true;
    });
    return seen;
  }

  std::array<std::byte, 64> bytes{};
  __u64 head = 0;
  bool whole = false;
};
static_assert(sizeof(Ring::Record) == 16);

using Numbers = std::vector<std::uint64_t>;

TEST(PerfRing, ShowsTheNewestFirstAndSaysWhenOneIsOverwritten) {
  Ring ring;
  EXPECT_EQ(ring.look(), Numbers{});
  EXPECT_TRUE(ring.whole);
  for (std::uint64_t number = 1; number <= 3; ++number) ring.write(number);
  EXPECT_EQ(ring.look(), (Numbers{3, 2, 1}));
  EXPECT_TRUE(ring.whole);
  for (std::uint64_t number = 4; number <= 6; ++number) ring.write(number);
  EXPECT_EQ(ring.look(), (Numbers{6, 5, 4}));
  EXPECT_FALSE(ring.whole);
}

// perf_output_put_handle() publishes the head after the bytes: the oldest record is no longer
// there, and nothing says so yet.
TEST(PerfRing, DoesNotShowWhatTheKernelMayBeWritingOver) {
  Ring ring;
  for (std::uint64_t number = 1; number <= 4; ++number) ring.write(number);
  ring.begin(5);
  EXPECT_EQ(ring.look(), (Numbers{4, 3, 2}));
  EXPECT_FALSE(ring.whole);
  ring.end();
  EXPECT_EQ(ring.look(), (Numbers{5, 4, 3}));
}

// One that is overwritten while it is looked at.
TEST(PerfRing, DoesNotShowWhatIsOverwrittenMeanwhile) {
  Ring ring;
  for (std::uint64_t number = 1; number <= 3; ++number) ring.write(number);
  Numbers seen;
  EXPECT_FALSE(PerfRing::visit_records(ring.bytes, ring.head, sizeof(Ring::Record), [&](auto) {
    seen.push_back(seen.size());
    ring.write(9);
    return true;
  }));
  EXPECT_EQ(seen.size(), 2U);  // the second had been written over nothing when it was looked at
}

}  // namespace
}  // namespace teeio::run
