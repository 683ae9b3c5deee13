// Several checks fail at once: which of them answers is nobody's knowledge, so that an
// exploration sees each.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "firmware/sev/tio_checks.h"
#include "schedule/task.h"
#include "unit/firmware/sev/machine.h"
#include "unit/schedule/explored.h"

namespace teeio::sev {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

struct CheckOrder : Machine {
  void TestBody() override {}
  /// A machine on which a device context was made and not connected, and a command on it.
  Status connect_with(void (*bend)(TioOperands& in)) {
    init();
    create();
    TioOperands in = operands();
    bend(in);
    return drive(TioCommand::kDevConnect, in);
  }
  Status init_again_with_reserved_fields() {
    init();
    Bytes buffer = operands().encode(tio_layout(TioCommand::kInit));
    std::fill(buffer.begin() + 4, buffer.end(), std::byte{0xff});  // behind its length
    return run(static_cast<std::uint16_t>(TioCommand::kInit), buffer);
  }
};

/// What TIO_DEV_CONNECT is answered with, over all schedules.
std::set<std::string_view> answers(void (*bend)(TioOperands& in), std::uint64_t* schedules) {
  std::set<std::string_view> seen;
  const explore::Exploration all = test::expect_sound([&] {
    schedule::ask_only(kWhichCheckAnswers);
    CheckOrder m;
    seen.insert(status_name(m.connect_with(bend)));
    schedule::ask_only({});
  });
  *schedules = all.schedules;
  return seen;
}

void no_such_stream(TioOperands& in) { in.stream_ids[0] = 99; }
void no_such_stream_nor_class(TioOperands& in) {
  in.stream_ids[0] = 99;
  in.tc_mask = 3;
}
void nothing_right(TioOperands& in) {
  no_such_stream_nor_class(in);
  in.certificate_slot = 8;  // SEV_RET_INVALID_PARAM, as the traffic class
  in.device = {};
}

TEST(SevCheckOrder, OneFailedCheckAnswersInEverySchedule) {
  std::uint64_t schedules = 0;
  EXPECT_THAT(answers(no_such_stream, &schedules), ElementsAre("SEV_RET_INVALID_CONFIG"));
  EXPECT_EQ(schedules, 1U);
}

TEST(SevCheckOrder, TwoFailedChecksGiveTwoAnswersAndBothAreExplored) {
  std::uint64_t schedules = 0;
  EXPECT_THAT(answers(no_such_stream_nor_class, &schedules),
              UnorderedElementsAre("SEV_RET_INVALID_PARAM", "SEV_RET_INVALID_CONFIG"));
  EXPECT_EQ(schedules, 2U);
}

// Without its context nobody can look at the device's stream.
TEST(SevCheckOrder, WhatIsNotThereIsNotLookedAt) {
  std::uint64_t schedules = 0;
  EXPECT_THAT(answers(nothing_right, &schedules),
              UnorderedElementsAre("SEV_RET_INVALID_DEV_CTX", "SEV_RET_INVALID_PARAM"));
  EXPECT_EQ(schedules, 2U);
}

TEST(SevCheckOrder, WithoutAnExplorerTheListIsTheOrder) {
  CheckOrder m;
  EXPECT_EQ(status_name(m.connect_with(no_such_stream_nor_class)), "SEV_RET_INVALID_PARAM");
}

// TIO_INIT's checks before its reserved fields are public: no other may come before them.
TEST(SevCheckOrder, AnOrderThatIsPublicIsKept) {
  std::set<std::string_view> seen;
  test::expect_sound([&] {
    schedule::ask_only(kWhichCheckAnswers);
    CheckOrder m;
    seen.insert(status_name(m.init_again_with_reserved_fields()));
    schedule::ask_only({});
  });
  EXPECT_THAT(seen, ElementsAre("SEV_RET_INVALID_PLATFORM_STATE"));
}

}  // namespace
}  // namespace teeio::sev
