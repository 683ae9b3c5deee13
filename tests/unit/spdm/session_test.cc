#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/spdm/ends.h"

namespace teeio::spdm {
namespace {

using ::testing::ElementsAre;

TEST(SpdmSession, OpensCarriesAMessageAndEnds) {
  Ends ends;
  const auto session = ends.open_session();
  ASSERT_TRUE(session.has_value()) << session.error().why;
  ASSERT_NE(*session, kNoSession);
  const auto answer = ends.ask(*session, bytes("hello"));
  ASSERT_TRUE(answer.has_value()) << answer.error().why;
  EXPECT_EQ(*answer, bytes("hello"));
  ASSERT_EQ(ends.apps.size(), 1U);
  EXPECT_EQ(ends.apps[0].session, *session);
  EXPECT_EQ(ends.apps[0].standard_id, 3);
  ends.requester.end_session(*session);
  ASSERT_TRUE(ends.run().has_value());
  EXPECT_FALSE(ends.requester.has_session(*session));
  EXPECT_THAT(ends.responder_saw.ended, ElementsAre(std::pair(*session, SessionEnd::kEnded)));
}

}  // namespace
}  // namespace teeio::spdm
