// No fault point is one that no scenario reaches: every command that may fail has failed
// in some scenario.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "machine/machine.h"
#include "schedule/choice_watch.h"
#include "schedule/fault_point.h"

namespace teeio::explore {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

/// The commands of AMD's secure processor that may fail, by its own list.
std::set<std::string> fault_points_of_sev(const machine::Config& design) {
  std::set<std::string> points;
  const auto machine = machine::Machine::create(design);
  EXPECT_TRUE(machine.has_value());
  for (const std::string_view name : (*machine)->fault_names(schedule::FaultPlace::kFirmware))
    points.insert(std::string(name) + " fails");
  return points;
}

/// The commands of a firmware's sources that may fail.
std::set<std::string> fault_points(const std::string& room, const std::string& pattern) {
  std::set<std::string> points;
  const std::regex name(pattern);
  const std::filesystem::path sources = std::filesystem::path(TEEIO_SOURCE_DIR) / "src" / room;
  for (const auto& file : std::filesystem::directory_iterator(sources)) {
    if (file.path().extension() != ".cc") continue;
    const std::string text = text_of(file.path());
    for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at)
      points.insert((*at)[1].str() + " fails");
  }
  return points;
}

std::set<std::string> fired_on(const machine::Config& design) {
  std::set<std::string> fired;
  schedule::watch_choices([&](std::string_view what, std::uint32_t chosen) {
    if (chosen != 0) fired.emplace(what);
  });
  for (const MachineScenario& scenario : catalogue())
    if (scenario.failures > 0 && applies(scenario, design) && !scenario.name.starts_with("meddle/"))
      (void)run_scenario(make_scenario(scenario, design), {});
  schedule::watch_choices({});
  return fired;
}

void expect_all(const std::set<std::string>& points, const std::set<std::string>& fired,
                const std::set<std::string>& nowhere) {
  EXPECT_GT(points.size(), 20U);
  for (const std::string& point : points)
    EXPECT_NE(fired.contains(point), nowhere.contains(point)) << point;
}

TEST(FaultPoints, OfTheRmmFailInSomeScenario) {
  expect_all(fault_points("firmware/rmm", R"re(\.fails = "([A-Z_]+) fails")re"),
             fired_on(default_designs()[1]),
             {// Realms in scenarios run no code, and have no memory of their own.
              "RMI_RTT_DATA_MAP fails", "RMI_RTT_DATA_MAP_INIT fails", "RMI_RTT_DATA_UNMAP fails",
              "RMI_PSCI_COMPLETE fails",
              // Only come after another failure.
              "RMI_VDEV_ABORT fails"});
}

TEST(FaultPoints, OfTheTdxModuleFailInSomeScenario) {
  machine::Config older = default_designs()[0];
  older.tdx_g2 = true;
  std::set<std::string> fired = fired_on(default_designs()[0]);
  fired.merge(fired_on(older));
  expect_all(fault_points("firmware/tdx", R"re(\.fails = "([A-Z.]+) fails")re"), fired,
             // What no host of ours calls, and what only comes after another failure.
             {"TDH.DMAR.READ fails", "TDH.MMIOMT.RD fails", "TDH.DEVIFMT.RD fails",
              "TDH.MEM.SHARED.SEPT.WR fails", "TDH.IOMMU.GETREG fails", "TDH.IOMMU.CLEAR fails"});
}

TEST(FaultPoints, OfTheSecureProcessorFailInSomeScenario) {
  const machine::Config& design = default_designs()[2];
  expect_all(fault_points_of_sev(design), fired_on(design), {});
}

}  // namespace
}  // namespace teeio::explore
