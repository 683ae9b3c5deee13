// The tree of every built-in machine holds together: each node stands in a directory,
// each link leads somewhere, each attribute that may be read can be.

#include <algorithm>
#include <bit>
#include <cctype>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "unit/machine/make_machine.h"

namespace teeio::machine::test {
namespace {

using entry::SystemCalls;
using Type = SystemCalls::Node::Type;

class TreeOfMachine : public testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<Machine> machine = make_machine(GetParam());
  std::map<std::string, SystemCalls::Node> nodes = [this] {
    std::map<std::string, SystemCalls::Node> all;
    for (auto& node : machine->system_calls().tree()) all.emplace(node.path, node);
    return all;
  }();
  /// What is there without any machine: the roots, and what every Linux has.
  static bool is_anyones(const std::string& path) {
    static const std::set<std::string> kRoots = {"/",
                                                 "/sys",
                                                 "/dev",
                                                 "/proc",
                                                 "/proc/bus",
                                                 "/sys/bus",
                                                 "/sys/class",
                                                 "/sys/dev",
                                                 "/sys/devices",
                                                 "/sys/devices/faux",
                                                 "/sys/devices/platform",
                                                 "/sys/devices/virtual",
                                                 "/sys/devices/virtual/iommu",
                                                 "/sys/kernel"};
    return kRoots.contains(path);
  }
  bool is_directory(const std::string& path) {
    const auto at = nodes.find(path);
    return at != nodes.end() && at->second.type == Type::kDirectory;
  }
};

TEST_P(TreeOfMachine, EachNodeStandsInADirectory) {
  for (const auto& [path, node] : nodes) {
    const std::string parent = std::filesystem::path(path).parent_path();
    EXPECT_TRUE(is_anyones(parent) || is_directory(parent)) << path;
  }
}

TEST_P(TreeOfMachine, EachLinkLeadsToANode) {
  std::size_t links = 0;
  for (const auto& [path, node] : nodes) {
    if (node.type != Type::kSymlink) continue;
    ++links;
    const auto target =
        (std::filesystem::path(path).parent_path() / node.target).lexically_normal();
    EXPECT_TRUE(nodes.contains(target)) << path << " -> " << target;
  }
  EXPECT_GT(links, 20U);
}

TEST_P(TreeOfMachine, EachModuleInUseNamesItsHolder) {
  // Linux: /sys/module/MODULE/holders/HOLDER.
  for (const char* held :
       {"/sys/module/vfio_pci_core/holders/vfio_pci", "/sys/module/vfio/holders/vfio_pci_core"})
    EXPECT_TRUE(nodes.contains(held)) << held;
}

TEST_P(TreeOfMachine, ListOfCpusHasAsManyAsTheMask) {
  std::string directory;
  for (const auto& [path, node] : nodes)
    if (path.ends_with("/local_cpulist")) directory = std::filesystem::path(path).parent_path();
  ASSERT_NE(directory, "");
  Program reader(*machine);
  const std::string list = *reader.cat(directory + "/local_cpulist");
  const std::string mask = *reader.cat(directory + "/local_cpus");
  int cpus = 0;
  for (const char digit : mask)
    if (std::isxdigit(static_cast<unsigned char>(digit)) != 0)
      cpus += std::popcount(std::stoul(std::string(1, digit), nullptr, 16));
  EXPECT_EQ(list, cpus == 1 ? "0\n" : "0-" + std::to_string(cpus - 1) + '\n');
}

TEST_P(TreeOfMachine, EachReadableAttributeIsRead) {
  Program reader(*machine);
  for (const auto& [path, node] : nodes) {
    if (node.type != Type::kAttribute || !path.starts_with("/sys/") ||
        (node.stat.mode & 0444U) == 0)
      continue;
    const auto fd = reader.open(path, O_RDONLY);
    ASSERT_TRUE(fd.has_value()) << path;
    std::byte first{};
    const auto done = reader.pread(*fd, 0, {&first, 1});
    // A resource file is for mmap(2), and what an adapter has not is EIO or ENODEV.
    EXPECT_TRUE(done.has_value() || done.error().code == Errno::kIo ||
                done.error().code == Errno::kNoDev)
        << path << ": " << errno_name(done.error().code);
    EXPECT_TRUE(reader.close(*fd).has_value());
  }
}

// A module's use count has the modules that need it, and vfio-pci's the open devices.
TEST(ModuleOfVfioPci, CountsTheDevicesThatAreOpen) {
  const auto machine = make_machine();
  Vmm vmm(*machine);
  const auto count = [&] { return std::stoi(*vmm.cat("/sys/module/vfio_pci/refcnt")); };
  const int before = count();
  ASSERT_TRUE(vmm.open_device(kPf).has_value());
  ASSERT_TRUE(vmm.bind_iommufd().has_value());
  EXPECT_EQ(count(), before + 1);
  ASSERT_TRUE(vmm.close(vmm.vfio).has_value());
  EXPECT_EQ(count(), before);
}

INSTANTIATE_TEST_SUITE_P(BuiltIn, TreeOfMachine,
                         testing::Values("tdx-connect", "arm-cca-slice", "amd-sev", "nvme"),
                         [](const auto& place) {
                           std::string name(place.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace teeio::machine::test
