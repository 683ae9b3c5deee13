#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "base/check.h"

namespace teeio {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Errno::kInval, "odd");
  return value / 2;
}

Result<void> check_twice(int value, int& steps) {
  TEEIO_TRY(half(value));
  ++steps;
  TEEIO_TRY(half(value / 2));
  ++steps;
  return {};
}

Result<int> quarter(int value) {
  TEEIO_ASSIGN(const int first, half(value));
  TEEIO_ASSIGN(const int second, half(first));
  return second;
}

TEST(Try, ReturnsAtTheFirstErrorWithItsSentence) {
  int steps = 0;
  const Result<void> result = check_twice(2, steps);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Errno::kInval);
  EXPECT_EQ(result.error().why, "odd");
  EXPECT_EQ(steps, 1);
}

TEST(Try, GoesOnWithoutAnError) {
  int steps = 0;
  EXPECT_TRUE(check_twice(4, steps).has_value());
  EXPECT_EQ(steps, 2);
}

TEST(Assign, GivesTheValueOrTheErrorOfEitherStep) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error().code, Errno::kInval);
  EXPECT_EQ(quarter(5).error().code, Errno::kInval);
}

Result<int> evaluated_once(int& calls) {
  const auto counted = [&]() -> Result<int> { return ++calls; };
  TEEIO_ASSIGN(const int value, counted());
  TEEIO_TRY(counted());
  return value;
}

TEST(Assign, EvaluatesItsExpressionOnce) {
  int calls = 0;
  EXPECT_EQ(evaluated_once(calls).value(), 1);
  EXPECT_EQ(calls, 2);
}

Result<std::unique_ptr<int>> moved() {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  TEEIO_ASSIGN(std::unique_ptr<int> value, make());
  return value;
}

TEST(Assign, MovesWhatCannotBeCopied) { EXPECT_EQ(*moved().value(), 5); }

TEST(Errno, HasLinuxNumbersAndNames) {
  struct Row {
    Errno code;
    int number;
    const char* name;
  };
  for (const Row& row : {Row{Errno::kPerm, EPERM, "EPERM"}, Row{Errno::kNxio, ENXIO, "ENXIO"},
                         Row{Errno::kNoTty, ENOTTY, "ENOTTY"}, Row{Errno::kTooBig, E2BIG, "E2BIG"},
                         Row{Errno::kNameTooLong, ENAMETOOLONG, "ENAMETOOLONG"},
                         Row{Errno::kOverflow, EOVERFLOW, "EOVERFLOW"},
                         Row{Errno::kOpNotSupp, EOPNOTSUPP, "EOPNOTSUPP"},
                         Row{Errno::kTimedOut, ETIMEDOUT, "ETIMEDOUT"},
                         Row{Errno::kHwPoison, EHWPOISON, "EHWPOISON"}}) {
    EXPECT_EQ(std::to_underlying(row.code), row.number) << row.name;
    EXPECT_EQ(errno_name(row.code), row.name);
  }
  EXPECT_EQ(errno_name(Errno{0}), "E?");
}

TEST(CheckDeathTest, AFailedCheckNamesItsSentenceAndPlace) {
  EXPECT_DEATH(TEEIO_CHECK(1 == 2, "one is not two"),
               "internal error: one is not two .*result_test.cc:[0-9]+");
}

TEST(Check, TheHandlerIsCalledOnFailureOnlyAndTheOldOneComesBack) {
  struct Stopped {};
  const CheckHandler before =
      set_check_handler([](std::string_view, std::source_location) { throw Stopped(); });
  EXPECT_NO_THROW(TEEIO_CHECK(true, "holds"));
  EXPECT_THROW(TEEIO_CHECK(false, "does not"), Stopped);
  EXPECT_NE(set_check_handler(before), nullptr);
}

}  // namespace
}  // namespace teeio
