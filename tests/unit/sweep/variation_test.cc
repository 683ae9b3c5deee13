#include "sweep/variation.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace teeio::sweep {
namespace {

using run::Injection;
using Point = run::Injector::Point;

std::vector<Point> some_points() {
  return {{.name = "open"},
          {.name = "KVM_CREATE_VM"},
          {.kind = Injection::Kind::kFirmware, .name = "TDH.X", .fault = schedule::Fault::kBusy},
          {.kind = Injection::Kind::kDevice, .name = "PING", .fault = schedule::Fault::kDrop},
          {.name = "close"}};
}

std::vector<std::string> texts(const Selection& selection) {
  std::vector<std::string> all;
  for (const Variation& v : variations(some_points(), selection)) all.push_back(v.injection.str());
  return all;
}

TEST(Variations, AreEverythingThatCanGoWrongInOrder) {
  EXPECT_EQ(texts({}), (std::vector<std::string>{
                           "kill:open#1:before", "kill:open#1:after", "fail:open#1=ENOMEM",
                           "fail:open#1=EMFILE", "fail:open#1=ENFILE",
                           "kill:KVM_CREATE_VM#1:before", "kill:KVM_CREATE_VM#1:after",
                           "signal:KVM_CREATE_VM#1", "fail:KVM_CREATE_VM#1=ENOMEM",
                           "fail:KVM_CREATE_VM#1=EMFILE", "fail:KVM_CREATE_VM#1=EBUSY",
                           "firmware:TDH.X#1=busy", "device:PING#1=drop", "kill:close#1:before"}));
}

TEST(Variations, WithoutAnyTheFilterIsNamed) {
  const auto why = [](Selection selection) { return why_no_variations(some_points(), selection); };
  EXPECT_EQ(why_no_variations({}, {}),
            "nothing can go wrong in this program: it makes no call of the machine's");
  EXPECT_EQ(why_no_variations({{.name = "close"}}, {.dimensions = {Dimension::kDevice}}),
            "nothing of this kind can go wrong in this program: --device");
  EXPECT_EQ(why({.only = {"KWM_*"}}),
            "--only: no call, command or message of this program is like 'KWM_*'");
  EXPECT_EQ(why({.first = 99}), "--range: there are only 14 runs");
  EXPECT_EQ(why({.shard = 20, .shards = 30}), "--shard: it has none of the 14 runs");
}

TEST(Variations, CanAllBeReadBack) {
  for (const std::string& text : texts({})) EXPECT_EQ(run::parse_injection(text)->str(), text);
}

TEST(Variations, OrdersAreAskedForByName) {
  using Kind = run::Injection::Kind;
  const std::vector<run::Injector::Point> points = {
      {.kind = Kind::kKill, .name = "open"}, {.kind = Kind::kOrder, .name = "threads", .nth = 40}};
  for (const Variation& one : variations(points, {})) EXPECT_NE(one.injection.kind, Kind::kOrder);
  const auto orders = variations(points, {.dimensions = {Dimension::kOrder}, .orders = 4});
  ASSERT_EQ(orders.size(), 4U);
  EXPECT_EQ(orders[0].injection.str(), "order:1#1=40");
  EXPECT_EQ(orders[3].injection.str(), "order:4#1=40");
  EXPECT_EQ(orders[2].injection.nth, 3U);
  const Selection with_a_name{
      .dimensions = {Dimension::kOrder, Dimension::kKill}, .orders = 4, .only = {"KVM_*"}};
  EXPECT_EQ(variations(points, with_a_name).size(), 4U) << "a name is no order's";
  EXPECT_EQ(why_no_orders(points, {.dimensions = {Dimension::kOrder}}), "");
  EXPECT_EQ(why_no_orders({points[0]}, {}), "");
  EXPECT_EQ(why_no_orders({}, {.dimensions = {Dimension::kOrder}}), "") << "there are no calls";
  EXPECT_NE(why_no_orders({points[0]}, {.dimensions = {Dimension::kOrder}}).find("no order"),
            std::string::npos);
}

TEST(Variations, OrdersComeLast) {
  using Kind = run::Injection::Kind;
  const auto all = variations({{.kind = Kind::kOrder, .name = "threads", .nth = 40},
                               {.kind = Kind::kKill, .name = "close"}},
                              {.dimensions = {Dimension::kKill, Dimension::kOrder}, .orders = 1});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].injection.str(), "kill:close#1:before");
  EXPECT_EQ(all[1].injection.kind, Kind::kOrder);
}

TEST(Variations, OfOneDimensionOrName) {
  EXPECT_EQ(texts({.dimensions = {Dimension::kSignal, Dimension::kDevice}, .only = {}}),
            (std::vector<std::string>{"signal:KVM_CREATE_VM#1", "device:PING#1=drop"}));
  EXPECT_EQ(texts({.dimensions = {Dimension::kKill}, .only = {"KVM_*", "cl?se"}}).size(), 3U);
}

TEST(Variations, KeepTheirNumbersInARange) {
  const auto some =
      variations(some_points(), {.dimensions = {}, .only = {}, .first = 3, .last = 4});
  ASSERT_EQ(some.size(), 2U);
  EXPECT_EQ(some[0].number, 3U);
}

TEST(Variations, AreDividedAmongShardsWithoutRest) {
  std::vector<std::string> together;
  for (std::size_t i = 0; i < 3; ++i)
    for (const std::string& text : texts({.dimensions = {}, .only = {}, .shard = i, .shards = 3}))
      together.push_back(text);
  auto all = texts({});
  std::ranges::sort(all);
  std::ranges::sort(together);
  EXPECT_EQ(together, all);
}

}  // namespace
}  // namespace teeio::sweep
