#include <gtest/gtest.h>
#include <malloc.h>

#include "unit/spdm/ends.h"

namespace teeio::spdm {
namespace {

std::size_t bytes_in_use() { return mallinfo2().uordblks; }

/// A connection, a session, its end; what the test itself keeps is dropped.
void open_and_end(Ends& ends) {
  const auto session = ends.open_session();
  ASSERT_TRUE(session);
  ends.requester.end_session(*session);
  ASSERT_TRUE(ends.run());
  for (Recorder* seen : {&ends.requester_saw, &ends.responder_saw}) *seen = Recorder();
}

TEST(SessionMemory, NothingIsLeftOfSessionsThatEnded) {
  if (bytes_in_use() == 0) GTEST_SKIP() << "this allocator does not count";
  Ends ends;
  for (unsigned i = 0; i < 10; ++i) open_and_end(ends);
  const std::size_t before = bytes_in_use();
  for (unsigned i = 0; i < 100; ++i) open_and_end(ends);
  EXPECT_LT(bytes_in_use(), before + 1600);  // not even 16 bytes a session
}

}  // namespace
}  // namespace teeio::spdm
