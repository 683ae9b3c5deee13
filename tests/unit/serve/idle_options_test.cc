#include "serve/idle_options.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace teeio::serve {
namespace {

/// A device without sessions.
std::string why_idle_in_the_clear(std::initializer_list<std::string_view> faults,
                                  SpeakerOptions options = {}) {
  for (const std::string_view fault : faults) options.faults.push_back(*parse_fault(fault));
  return why_idle(options, {.transport = PlatformTransport::kNone});
}

TEST(IdleOptions, AFaultThatNeedsASessionNeedsNoneWhereItsRequestIsAcceptedInTheClear) {
  for (const std::string_view spoilt :
       {"wrong-nonce@LOCK_INTERFACE", "moved-range@GET_DEVICE_INTERFACE_REPORT"}) {
    EXPECT_NE(why_idle_in_the_clear({spoilt}), "") << spoilt;
    EXPECT_NE(why_idle_in_the_clear({"accepted@GET_VERSION", spoilt}), "") << spoilt;
    EXPECT_NE(why_idle_in_the_clear({"accepted@START_INTERFACE", spoilt}), "") << spoilt;
    const std::string message(spoilt.substr(spoilt.find('@')));
    EXPECT_EQ(why_idle_in_the_clear({"accepted" + message, spoilt}), "") << spoilt;
  }
}

TEST(IdleOptions, AnAcceptedRequestShowsOnlyWhatItsOwnAnswerHas) {
  SpeakerOptions cxl;
  cxl.cxl = true;
  EXPECT_NE(why_idle_in_the_clear({"accepted@GET_VERSION"}, cxl), "");
  EXPECT_NE(why_idle_in_the_clear({"accepted@QUERY"}, cxl), "");
  EXPECT_EQ(why_idle_in_the_clear({"accepted@CXL_KEY_PROG"}, cxl), "");
  EXPECT_EQ(why_idle_in_the_clear({"accepted@TSP_UNKNOWN"}, cxl), "");
  SpeakerOptions ports;
  ports.ide_port = 1;
  SpeakerOptions streams;
  streams.ide_streams.emplace_back();
  for (const SpeakerOptions& options : {ports, streams}) {
    EXPECT_NE(why_idle_in_the_clear({"accepted@GET_VERSION"}, options), "");
    EXPECT_NE(why_idle_in_the_clear({"accepted@LOCK_INTERFACE"}, options), "");
    EXPECT_EQ(why_idle_in_the_clear({"accepted@QUERY"}, options), "");
  }
}

}  // namespace
}  // namespace teeio::serve
