#include "host/sysfs/tree.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "unit/host/sysfs/machine.h"

namespace teeio::sysfs {
namespace {

std::vector<Node> one_attribute(const std::string& path) {
  NodeList list;
  list.text(path, 0444, []() -> Result<std::string> { return "text\n"; });
  return list.take();
}

TEST(RelativeTarget, IsAsLinuxWritesIt) {
  EXPECT_EQ(
      relative_target("/sys/bus/pci/devices/0000:01:00.0", "/sys/devices/pci0000:00/0000:01:00.0"),
      "../../../devices/pci0000:00/0000:01:00.0");
  // A link to the directory that holds its own: the last name is written out.
  EXPECT_EQ(relative_target("/sys/d/f/vfio-dev/vfio0/device", "/sys/d/f"), "../../../f");
}

TEST(Tree, GenerationMovesOnlyWithTheTree) {
  Tree tree;
  const auto empty = tree.generation();
  tree.replace(tree.begin_view(), one_attribute("/sys/a"));
  const auto first = tree.generation();
  EXPECT_NE(first, empty);
  tree.replace(tree.begin_view(), one_attribute("/sys/a"));
  EXPECT_EQ(tree.generation(), first);
  tree.replace(tree.begin_view(), one_attribute("/sys/b"));
  EXPECT_NE(tree.generation(), first);
}

// Of two refreshes that cross, the one that looked later stays.
TEST(Tree, AnOlderViewDoesNotReplaceANewerOne) {
  Tree tree;
  const auto older = tree.begin_view();
  const auto newer = tree.begin_view();
  tree.replace(newer, one_attribute("/sys/new"));
  tree.replace(older, one_attribute("/sys/old"));
  EXPECT_TRUE(tree.find("/sys/new").has_value());
  EXPECT_FALSE(tree.find("/sys/old").has_value());
}

TEST(Tree, EverySymlinkLeadsToANodeOfTheTree) {
  test::FakeHost host;
  test::FakeTsm driver(host.port);
  host.tsm().register_tsm(driver);
  System system(host);
  ASSERT_EQ(test::store(system, test::kCardDir + "/tsm/connect", "tsm0\n"), "ok");
  for (const Node& node : system.tree().nodes()) {
    const bool leads = node.kind != Node::Kind::kSymlink || system.tree().resolve(node.path);
    EXPECT_TRUE(leads) << node.path << " -> " << node.target;
  }
}

// `ls -la` asks for "..": a folder of ours lies in one of ours, or in one that every host has.
TEST(Tree, EveryNodeLiesInAFolderThatIsThere) {
  test::FakeHost host;
  test::FakeTsm driver(host.port);
  host.tsm().register_tsm(driver);
  System system(host);
  const std::set<std::string> hosts = {
      "/dev",        "/proc/bus",    "/sys/bus",          "/sys/class",
      "/sys/dev",    "/sys/devices", "/sys/devices/faux", "/sys/devices/virtual",
      "/sys/kernel", "/sys"};
  for (const Node& node : system.tree().nodes()) {
    const std::string folder = node.path.substr(0, node.path.rfind('/'));
    if (hosts.contains(folder)) continue;
    const auto found = system.tree().find(folder);
    EXPECT_TRUE(found && found->kind == Node::Kind::kDirectory) << node.path;
  }
}

/// Counts how often the tree was derived from it.
class CountedHost final : public test::FakeHost {
 public:
  std::vector<Function> functions() override {
    ++views;
    return FakeHost::functions();
  }
  int views = 0;
};

TEST(Tree, FollowsTheMachineWhenItIsLookedAt) {
  CountedHost host;
  System system(host);
  system.refresh();
  system.refresh();
  EXPECT_EQ(host.views, 0);
  EXPECT_TRUE(system.tree().find("/sys/class/tsm").has_value());
  const int once = host.views;
  EXPECT_GT(once, 0);
  (void)system.tree().generation();
  EXPECT_EQ(host.views, once);
  system.refresh();
  (void)system.tree().generation();
  EXPECT_GT(host.views, once);
}

TEST(Tree, ParentsComeBeforeChildren) {
  test::FakeHost host;
  System system(host);
  std::set<std::string> seen;
  for (const Node& node : system.tree().nodes()) {
    const std::string parent = node.path.substr(0, node.path.rfind('/'));
    if (const auto above = system.tree().find(parent)) {
      EXPECT_EQ(above->kind, Node::Kind::kDirectory) << node.path;
      EXPECT_TRUE(seen.contains(parent)) << node.path;
    }
    seen.insert(node.path);
  }
}

TEST(Tree, ResolveEndsOnALoop) {
  Tree tree;
  NodeList list;
  list.link("/sys/a", "/sys/b");
  list.link("/sys/b", "/sys/a");
  tree.replace(tree.begin_view(), list.take());
  EXPECT_EQ(tree.resolve("/sys/a"), std::nullopt);
}

TEST(Tree, ResolveFindsNothingThatIsNotThere) {
  Tree tree;
  NodeList list;
  list.link("/sys/a", "/sys/b");
  tree.replace(tree.begin_view(), list.take());
  EXPECT_EQ(tree.resolve("/sys/a"), std::nullopt);
  EXPECT_EQ(tree.resolve("/sys/c"), std::nullopt);
}

}  // namespace
}  // namespace teeio::sysfs
