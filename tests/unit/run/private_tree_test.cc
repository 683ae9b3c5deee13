#include "run/private_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "run/device_files.h"
#include "scenario/dummy/machine.h"

namespace teeio::run {
namespace {

TEST(VirtualPrefixes, MatchWholeNames) {
  const VirtualPrefixes prefixes(VirtualPrefixes::Kvm::kEmulated,
                                 {"/sys/devices/faux/tdx_host", "/dev/sev"});
  for (const char* path : {"/dev/iommu",
                           "/dev/iommu/x",
                           "/dev/kvm",
                           "/dev/sev",
                           "/dev/vfio",
                           "/dev/vfio/devices/vfio0",
                           "/sys/bus/pci",
                           "/sys/bus/pci/devices/x",
                           "/sys/class/tsm",
                           "/sys/class/vfio-dev/vfio0",
                           "/sys/class/iommu",
                           "/sys/kernel/iommu_groups/0",
                           "/sys/devices/pci0000:00",
                           "/sys/devices/virtual/iommu/dmar0",
                           "/sys/devices/faux/tdx_host/tsm/tsm0",
                           "/proc/bus/pci/devices",
                           "/sys/module",
                           "/sys/module/vfio_pci/parameters",
                           "/sys/class/pci_bus/0000:01",
                           "/sys/class/misc/iommu",
                           "/sys/devices/virtual/misc/vfio/dev",
                           "/sys/dev/char/10:196",
                           "/sys/dev/char/251:3"})
    EXPECT_TRUE(prefixes.contain(path)) << path;
  for (const char* path : {"/dev/iommus",
                           "/dev/sev-guest",
                           "/dev/vfiox",
                           "/dev/kvm2",
                           "/sys",
                           "/sys/bus",
                           "/sys/bus/pci_express",
                           "/sys/devices",
                           "/sys/devices/pci",
                           "/sys/devices/pciback",
                           "/sys/devices/system/cpu",
                           "/sys/devices/virtual",
                           "/sys/devices/virtual/misc",
                           "/sys/class/misc/vfiox",
                           "/sys/dev/char",
                           "/sys/dev/char/10:1960",
                           "/sys/devices/faux",
                           "/sys/class/tsms",
                           "/proc/sys/bus/pci",
                           "relative/sys/bus/pci",
                           "",
                           "/proc/bus",
                           "/proc/bus/pcix",
                           "/sys/module/kvm",
                           "/sys/module/vfio_pciback",
                           "/proc/self"})
    EXPECT_FALSE(prefixes.contain(path)) << path;
  const VirtualPrefixes host(VirtualPrefixes::Kvm::kHost, {});
  EXPECT_FALSE(host.contain("/dev/kvm"));
  EXPECT_FALSE(host.contain("/sys/devices/faux/tdx_host"));
}

class PrivateTreeTest : public testing::Test {
 protected:
  void SetUp() override {
    tmpfs = find_tmpfs();
    if (tmpfs.empty()) GTEST_SKIP() << "no tmpfs takes O_TMPFILE";
    tree = *PrivateTree::create(tmpfs, machine);
    tree->sync();
  }
  std::string tmpfs;
  dummy::DummyMachine machine;
  std::unique_ptr<PrivateTree> tree;
};

TEST_F(PrivateTreeTest, LinksInsideLeadInside) {
  const auto opened = tree->open("/sys/bus/pci/devices/0000:01:00.0/vendor", O_RDONLY);
  ASSERT_TRUE(opened);
  struct stat info{};
  ASSERT_EQ(::fstat(opened->get(), &info), 0);
  EXPECT_EQ(info.st_size, 4096);
  EXPECT_EQ(info.st_mode & 0777U, 0444U);
}

TEST_F(PrivateTreeTest, NothingLeadsOut) {
  EXPECT_FALSE(tree->open("/../../../etc/passwd", O_RDONLY));
  EXPECT_FALSE(tree->open("/etc/passwd", O_RDONLY));
}

TEST_F(PrivateTreeTest, RealPathsAreTranslatedBackToWholeNamesOnly) {
  const auto dir = tree->open("/sys/bus/pci", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  const auto real = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(dir->get()));
  EXPECT_EQ(tree->virtual_path(real.string()), "/sys/bus/pci");
  EXPECT_EQ(tree->virtual_path(tmpfs), std::nullopt);
  EXPECT_EQ(tree->virtual_path("/sys/bus/pci"), std::nullopt);
}

TEST_F(PrivateTreeTest, GoesWithItsOwnerAndLeavesOthersAlone) {
  const auto dir = tree->open("/", O_RDONLY | O_DIRECTORY);
  const auto real = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(dir->get()));
  {
    dummy::DummyMachine second;
    const auto other = PrivateTree::create(tmpfs, second);
    ASSERT_TRUE(other);
    EXPECT_TRUE(std::filesystem::exists(real));
  }
  tree.reset();
  EXPECT_FALSE(std::filesystem::exists(real));
}

// A killed teeio leaves its directory, without its lock.
TEST_F(PrivateTreeTest, WhatAKilledRunLeftIsRemovedByTheNext) {
  const std::string left = tmpfs + "/teeio-run.killed";
  std::filesystem::create_directories(left + "/sys/bus");
  {
    const Fd lock(::open((left + "/.lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  }
  dummy::DummyMachine second;
  ASSERT_TRUE(PrivateTree::create(tmpfs, second));
  EXPECT_FALSE(std::filesystem::exists(left));
}

// Processes race through the file system, whose orders no explorer decides.
TEST_F(PrivateTreeTest, RunsThatStartAtOnceLeaveEachOtherAlone) {
  constexpr int kRuns = 8, kTreesEach = 500;
  std::vector<pid_t> runs;
  for (int i = 0; i < kRuns; ++i) {
    const pid_t run = ::fork();
    ASSERT_GE(run, 0);
    if (run == 0) {
      for (int made = 0; made < kTreesEach; ++made)
        if (!PrivateTree::create(tmpfs, machine)) ::_exit(1);
      ::_exit(0);
    }
    runs.push_back(run);
  }
  for (const pid_t run : runs) {
    int status = 0;
    ASSERT_EQ(::waitpid(run, &status, 0), run);
    EXPECT_EQ(status, 0);
  }
}

}  // namespace
}  // namespace teeio::run
