#include "explore/scenario/designs.h"

#include <gtest/gtest.h>

#include <set>

#include "base/check.h"
#include "schedule/consulted.h"

namespace teeio::explore {
namespace {

TEST(Designs, AreTheWholeProductWithoutTwoOfOneName) {
  std::size_t product = 1;
  for (const DesignAxis& axis : design_axes()) product *= axis.values.size();
  std::size_t firmwares = 0;
  for (const DesignFirmware& f : design_firmwares())
    firmwares += f.skipped_because.empty() ? 1U : 0U;
  std::set<std::string> names;
  for (const machine::Config& design : all_designs()) names.insert(design.name);
  EXPECT_EQ(names.size(), product * firmwares);
  EXPECT_EQ(all_designs().size(), names.size());
}

TEST(Designs, AreReadBackByTheirNames) {
  for (const machine::Config& design : all_designs()) {
    const auto read = parse_design(design.name);
    ASSERT_TRUE(read.has_value()) << read.error();
    EXPECT_EQ(read->tsm, design.tsm);
    EXPECT_EQ(read->bind_owner, design.bind_owner);
    EXPECT_EQ(read->vfio.close_order, design.vfio.close_order);
    EXPECT_EQ(read->vfio.while_bound, design.vfio.while_bound);
    EXPECT_EQ(read->iommufd.vm_ref, design.iommufd.vm_ref);
    EXPECT_EQ(read->iommufd.vdevice_lifetime, design.iommufd.vdevice_lifetime);
  }
}

std::string error_of(std::string_view name) {
  const auto read = parse_design(name);
  return read ? "it was read" : read.error();
}

TEST(Designs, WithAWrongNameSayWhatIsAllowed) {
  EXPECT_NE(error_of("vax").find("no design begins with 'vax'"), std::string::npos);
  EXPECT_NE(error_of("tdx,close=mainline").find("no setting 'close'"), std::string::npos);
  EXPECT_NE(error_of("tdx,close_order=never").find("unbind-first mainline"), std::string::npos);
  EXPECT_NE(error_of("tdx,close_order").find("one of"), std::string::npos);
}

MachineScenario looks_at(std::initializer_list<schedule::Setting> settings, int& runs) {
  return {.name = "test/looks",
          .description = "looks at settings",
          .body = [all = std::vector(settings), &runs](const machine::Config&) {
            ++runs;
            for (const schedule::Setting s : all) schedule::consult(s);
          }};
}

// 3 vendors, 4 owners, and nothing else differs for it.
TEST(Designs, ScenarioRunsOnceForDesignsThatItCannotTellApart) {
  int runs = 0;
  const auto results = run_on_all_designs(looks_at({"bind_owner"}, runs), {});
  EXPECT_EQ(results.size(), all_designs().size());
  EXPECT_EQ(runs, 3 * 4);
  runs = 0;
  (void)run_on_all_designs(looks_at({}, runs), {});
  EXPECT_EQ(runs, 3);
}

// A setting that only some values of another lead to.
TEST(Designs, ScenarioRunsAgainWhereItLooksAtMore) {
  int runs = 0;
  MachineScenario scenario{.name = "test/sometimes",
                           .description = "looks at close_order only of VFIO's door",
                           .body = [&runs](const machine::Config& design) {
                             ++runs;
                             schedule::consult("bind_owner");
                             if (design.bind_owner == iommufd::BindOwner::kVfio)
                               schedule::consult("close_order");
                           }};
  (void)run_on_all_designs(scenario, {});
  EXPECT_EQ(runs, 3 * (2 + 1 + 1 + 1));
}

TEST(Designs, BrokenOneIsReportedForEachDesignThatBehavesLikeIt) {
  MachineScenario scenario{.name = "test/breaks",
                           .description = "breaks with mainline's order",
                           .body = [](const machine::Config& design) {
                             schedule::consult("close_order");
                             if (design.vfio.close_order == vfio::CloseOrder::kMainline)
                               check_failed("R2: mainline's order");
                           }};
  std::size_t broken = 0;
  for (const DesignResult& r : run_on_all_designs(scenario, {})) {
    const bool mainline = all_designs()[r.design].vfio.close_order == vfio::CloseOrder::kMainline;
    EXPECT_EQ(r.result.failure.has_value(), mainline);
    if (r.result.failure) {
      ++broken;
      EXPECT_EQ(r.result.failure->rule, "R2");
    }
  }
  EXPECT_EQ(broken, all_designs().size() / 2);
}

}  // namespace
}  // namespace teeio::explore
