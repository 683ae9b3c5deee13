// Every check of every row: it refuses, with its status, when it alone does not hold.
#include "unit/firmware/rmm/rows.h"

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

void expect_refused(const Case& one, const Check& check) {
  if (!check.reached) return;
  SCOPED_TRACE(std::string(one.row->name) + ": " + std::string(check.id));
  const auto wrong = one.wrong.find(check.id);
  const bool generic = check.id == "feature" || check.id == "aligned" || check.id == "reserve";
  ASSERT_TRUE(wrong != one.wrong.end() || generic) << "no test makes this check fail";
  Story m(settings_for(*one.row, check.id));
  if (check.id != "feature" && check.id != "aligned") one.prepare(m);
  if (wrong != one.wrong.end())
    wrong->second(m);
  else if (check.id == "aligned")
    m.unalign();
  else if (check.id == "reserve")
    use_up_operations(m);
  const RmiResult result = one.call(m);
  EXPECT_EQ(code_name(result.code), code_name(check.code));
  ASSERT_NE(result.refused_by, nullptr);
  EXPECT_EQ(result.refused_by->id, check.id);
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
