// Every check of every row: it refuses, with its status, when it alone does not hold.
#include "unit/firmware/rmm/rows.h"

#include <gtest/gtest-spi.h>

#include <set>

namespace teeio::rmm {
namespace {

Settings settings_for(const Row& row, std::string_view check) {
  Settings settings;
  settings.device_assignment = check != "feature" && (&row != &row::kRealmCreate || check != "da");
  if (check == "smmu") settings.psmmu_of_port = {7};
  return settings;
}

/// All contexts of stateful operations wait for the host.
void use_up_operations(Story& m) {
  for (int i = 0; i < 10; ++i) (void)m.rmm.psmmu_st_l2_create(Settings::kPsmmu, 0x400);
}

void make_wrong(Story& m, const Case& one, std::string_view check) {
  if (const auto wrong = one.wrong.find(check); wrong != one.wrong.end())
    wrong->second(m);
  else if (check == "aligned")
    m.unalign();
  else if (check == "reserve")
    use_up_operations(m);
}

void expect_refused(const Case& one, const Check& check) {
  if (!check.reached) return;
  SCOPED_TRACE(std::string(one.row->name) + ": " + std::string(check.id));
  const bool generic = check.id == "feature" || check.id == "aligned" || check.id == "reserve";
  ASSERT_TRUE(one.wrong.contains(check.id) || generic) << "no test makes this check fail";
  Story m(settings_for(*one.row, check.id));
  if (check.id != "feature" && check.id != "aligned") one.prepare(m);
  make_wrong(m, one, check.id);
  const RmiResult result = one.call(m);
  EXPECT_EQ(code_name(result.code), code_name(check.code));
  ASSERT_NE(result.refused_by, nullptr);
  EXPECT_EQ(result.refused_by->id, check.id);
  // A refused command keeps none of the contexts of stateful operations, which are few.
  if (std::ranges::find(one.row->checks, "reserve", &Check::id) == one.row->checks.end()) return;
  for (int i = 0; i < 16; ++i) {
    const RmiResult again = one.call(m);
    ASSERT_NE(again.refused_by, nullptr);
    EXPECT_EQ(again.refused_by->id, check.id) << i;
  }
}

TEST(Rows, EachCheckRefusesWithItsStatusWhenItAloneFails) {
  for (const Row* row : rows()) {
    if (row->of_realm()) continue;
    const auto found = cases().find(row);
    ASSERT_NE(found, cases().end()) << row->name << " has no case";
    for (const Check& check : row->checks) expect_refused(found->second, check);
    for (const auto& [id, act] : found->second.wrong)
      EXPECT_NE(std::ranges::find(row->checks, id, &Check::id), row->checks.end())
          << row->name << " has no check " << id;
  }
}

/// Which check refuses when both are made to fail, the second one last; -1: that cannot be had,
/// since a step to it needs what the first has spoilt.
std::ptrdiff_t refused_by(const Case& one, const Check& first, const Check& second) {
  Story m(settings_for(*one.row, first.id));
  testing::TestPartResultArray missed;
  {
    const testing::ScopedFakeTestPartResultReporter quiet(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &missed);
    one.prepare(m);
    make_wrong(m, one, first.id);
    make_wrong(m, one, second.id);
  }
  if (missed.size() != 0) return -1;
  const RmiResult result = one.call(m);
  return result.refused_by == nullptr ? -1 : result.refused_by - one.row->checks.data();
}

// What a host is told that makes two mistakes: the row's checks are made in the row's order.
TEST(Rows, OfTwoChecksThatFailTheFirstRefuses) {
  // What makes these fail is a command or a machine that the other mistake does not allow.
  const std::set<std::string> alone = {"RMI_PDEV_STOP comm",       "RMI_PDEV_CREATE spdm",
                                       "RMI_REALM_CREATE da",      "RMI_RTT_DATA_UNMAP sbz",
                                       "RMI_RTT_DEV_UNMAP sbz",    "RMI_RTT_DATA_MAP short",
                                       "RMI_RTT_DEV_MAP short",    "RMI_VDEV_COMPLETE rec",
                                       "RMI_RTT_UNPROT_UNMAP sbz", "RMI_RTT_UNPROT_MAP short"};
  int pairs = 0;
  for (const auto& [row, one] : cases()) {
    const auto both = [&alone, name = std::string(row->name)](const Check& check) {
      return check.reached && check.id != "feature" && check.id != "aligned" &&
             check.id != "smmu" && check.id != "rd_rec" &&
             !alone.contains(name + ' ' + std::string(check.id));
    };
    for (std::ptrdiff_t i = 0; i < std::ssize(row->checks); ++i)
      for (std::ptrdiff_t j = i + 1; j < std::ssize(row->checks); ++j) {
        const Check& first = row->checks[static_cast<std::size_t>(i)];
        const Check& second = row->checks[static_cast<std::size_t>(j)];
        if (!both(first) || !both(second)) continue;
        // Of two that spoil the same thing the later one is left: one of both ways will do.
        const std::ptrdiff_t ways[] = {refused_by(one, first, second),
                                       refused_by(one, second, first)};
        if (std::ranges::max(ways) < 0) continue;
        EXPECT_TRUE(std::ranges::any_of(ways, [&](auto by) { return by >= 0 && by <= i; }))
            << row->name << ": " << second.id << " comes before " << first.id;
        ++pairs;
      }
  }
  EXPECT_GT(pairs, 100);
}

TEST(Rows, EachCommandWorksWhenNothingIsWrong) {
  for (const auto& [row, one] : cases()) {
    if (one.never) continue;
    SCOPED_TRACE(row->name);
    Story m;
    one.prepare(m);
    const RmiResult result = one.call(m);
    EXPECT_TRUE(result.ok() || result.code == Code::kIncomplete) << code_name(result.code);
  }
}

TEST(Rows, NumbersAndNamesAreTheirOwn) {
  std::map<std::tuple<bool, bool, std::uint16_t>, std::string_view> numbers;
  for (const Row* row : rows()) {
    EXPECT_TRUE(numbers.emplace(std::tuple(row->of_realm(), row->of_psci(), row->number), row->name)
                    .second);
    EXPECT_FALSE(row->source.empty());
    EXPECT_FALSE(row->effect.empty());
    EXPECT_TRUE(row->fails.empty() || row->fails == std::string(row->name) + " fails");
    std::map<std::string_view, int> ids;
    for (const Check& check : row->checks) EXPECT_EQ(++ids[check.id], 1) << row->name;
  }
  EXPECT_EQ(
      std::ranges::count_if(rows(), [](const Row* r) { return r->name.starts_with("RMI_PDEV"); }),
      12);
  EXPECT_EQ(
      std::ranges::count_if(rows(), [](const Row* r) { return r->name.starts_with("RMI_VDEV"); }),
      11);
}

}  // namespace
}  // namespace teeio::rmm
