// What is reached at the same time, and what is not, is told.

#include "explore/coverage.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/coverage.h"

namespace teeio::explore {
namespace {

using testing::HasSubstr;

const MachineScenario& named(std::string_view name) {
  return *std::ranges::find(catalogue(), name, &MachineScenario::name);
}

/// Of one scenario on TDX, and of all that could be reached there.
CoverageTotals coverage_of(std::string_view name) {
  const machine::Config& design = default_designs().front();
  Coverage coverage;
  watch_coverage(&coverage);
  (void)run_scenario(make_scenario(named(name), design), {});
  watch_coverage(nullptr);
  CoverageTotals totals;
  totals.add(what_can_be_reached({&design, 1}));
  totals.add(coverage.rows());
  return totals;
}

Reach reach_of(const CoverageTotals& totals, CoveredKind kind, std::string_view name) {
  for (const CoverageTotal& row : totals.rows())
    if (row.kind == kind && row.name == name) return row.reach();
  ADD_FAILURE() << name << " has no row";
  return Reach::kNever;
}

TEST(Coverage, OfTwoCallsAtOnceIsTogether) {
  const CoverageTotals totals = coverage_of("unbind/against-destroy");
  EXPECT_EQ(reach_of(totals, CoveredKind::kIoctl, "IOMMU_DESTROY"), Reach::kTogether);
  EXPECT_EQ(reach_of(totals, CoveredKind::kFirmware, "TDH.DEVIF.REMOVE"), Reach::kTogether);
  EXPECT_EQ(reach_of(totals, CoveredKind::kDevice, "STOP_INTERFACE"), Reach::kTogether);
}

TEST(Coverage, WhatNobodyDoesIsNamed) {
  const CoverageTotals totals = coverage_of("unbind/against-destroy");
  EXPECT_EQ(reach_of(totals, CoveredKind::kIoctl, "KVM_RUN"), Reach::kNever);
  EXPECT_EQ(reach_of(totals, CoveredKind::kAttribute, "tsm/connect"), Reach::kNever);
  EXPECT_EQ(reach_of(totals, CoveredKind::kFirmware, "TDH.SPDM.CONNECT"), Reach::kNever)
      << "it is the set-up's";
  EXPECT_THAT(totals.text(), HasSubstr("\n  never     KVM_RUN\n"));
  EXPECT_THAT(totals.text(), HasSubstr("\n  together  IOMMU_DESTROY: 1 scenario\n"));
}

TEST(Coverage, OfOneTaskIsAloneAndItsFailuresHaveAnUndo) {
  const CoverageTotals totals = coverage_of("failure/bind");
  EXPECT_EQ(reach_of(totals, CoveredKind::kFirmware, "TDH.DEVIF.CREATE"), Reach::kAlone);
  EXPECT_EQ(reach_of(totals, CoveredKind::kFailure, "TDH.DEVIF.CREATE fails"), Reach::kAlone);
  EXPECT_EQ(reach_of(totals, CoveredKind::kUndo, "TDH.DEVIF.REMOVE"), Reach::kAlone);
}

TEST(Coverage, AFailureThatNoScheduleHasIsNever) {
  const CoverageTotals totals = coverage_of("unbind/against-destroy");
  EXPECT_EQ(reach_of(totals, CoveredKind::kFailure, "TDH.DEVIF.REMOVE fails"), Reach::kNever);
}

TEST(Coverage, OfManyScenariosIsTheMostOfEach) {
  CoverageTotals totals;
  totals.add({{CoveredKind::kIoctl, "A", Reach::kNever}});
  totals.add({{CoveredKind::kIoctl, "A", Reach::kAlone}, {CoveredKind::kHost, "B", Reach::kAlone}});
  totals.add({{CoveredKind::kIoctl, "A", Reach::kTogether}});
  EXPECT_EQ(totals.text(),
            "ioctl: 1 together, 0 alone, 0 never\n  together  A: 1 scenario\n"
            "host: 0 together, 1 alone, 0 never\n  alone     B: 1 scenario\n");
}

TEST(Coverage, AnAttributesNameIsItsFunctionsOwn) {
  EXPECT_EQ(attribute_name("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/tsm/connect"),
            "tsm/connect");
  EXPECT_EQ(attribute_name("/sys/bus/pci/drivers/vfio-pci/bind"), "bus/pci/drivers/vfio-pci/bind");
}

}  // namespace
}  // namespace teeio::explore
