#include <gtest/gtest.h>
#include <sys/stat.h>

#include "host/mm/plain_files.h"
#include "unit/host/sysfs/machine.h"

namespace teeio::sysfs::test {
namespace {

class PciAttributes : public testing::Test {
 protected:
  FakeHost host;
  System system{host};
};

TEST_F(PciAttributes, IdentityIsWhatLspciReads) {
  EXPECT_EQ(show(system, kCardDir + "/vendor"), "0x1af4\n");
  EXPECT_EQ(show(system, kCardDir + "/device"), "0x10c9\n");
  EXPECT_EQ(show(system, kCardDir + "/class"), "0x088000\n");
  EXPECT_EQ(show(system, kCardDir + "/revision"), "0x01\n");
  EXPECT_EQ(show(system, kCardDir + "/subsystem_device"), "0x1100\n");
  EXPECT_EQ(show(system, kCardDir + "/modalias"),
            "pci:v00001AF4d000010C9sv00001AF4sd00001100bc08sc80i00\n");
  EXPECT_EQ(show(system, kCardDir + "/uevent"),
            "DRIVER=vfio-pci\nPCI_CLASS=88000\nPCI_ID=1AF4:10C9\nPCI_SUBSYS_ID=1AF4:1100\n"
            "PCI_SLOT_NAME=0000:01:00.0\n"
            "MODALIAS=pci:v00001AF4d000010C9sv00001AF4sd00001100bc08sc80i00\n");
}

TEST_F(PciAttributes, TheFunctionIsLocalToTheHostsCpus) {
  EXPECT_EQ(show(system, kCardDir + "/local_cpulist"), "0-1\n");
  EXPECT_EQ(show(system, kCardDir + "/local_cpus"), "3\n");
}

TEST_F(PciAttributes, AVfIsNamedByItsPhysicalFunction) {
  EXPECT_EQ(show(system, kVfDir + "/vendor"), "0x1af4\n");
  EXPECT_EQ(show(system, kVfDir + "/device"), "0x10ca\n");
  EXPECT_EQ(system.tree().resolve(kVfDir + "/physfn"), kCardDir);
  EXPECT_EQ(system.tree().resolve(kCardDir + "/virtfn0"), kVfDir);
  EXPECT_FALSE(exists(system, kVfDir + "/remove"));
}

TEST_F(PciAttributes, ResourceHasBarsRomAndTheWindowsOfVfs) {
  const std::string none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  EXPECT_EQ(show(system, kCardDir + "/resource"),
            "0x00000000e0000000 0x00000000e000ffff 0x0000000000040200\n" + none +
                "0x0000003800000000 0x00000038000fffff 0x000000000014220c\n" + none + none + none +
                none + "0x00000000e0100000 0x00000000e0100fff 0x0000000000040200\n" + none + none +
                none + none + none);
}

TEST_F(PciAttributes, ABridgeShowsItsWindowsBehindThirteenOtherLines) {
  const std::string text = show(system, kPortDir + "/resource");
  EXPECT_EQ(std::ranges::count(text, '\n'), 17);
  EXPECT_TRUE(
      text.ends_with("0x00000000e0000000 0x00000000e0ffffff 0x0000000000000200\n"
                     "0x0000003800000000 0x000000383fffffff 0x0000000000102201\n"
                     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"))
      << text;
}

TEST_F(PciAttributes, ResourceFilesAreAsLongAsTheBarAndCannotBeRead) {
  const auto node = system.tree().find(kCardDir + "/resource0");
  ASSERT_TRUE(node.has_value());
  EXPECT_EQ(node->size, 0x10000U);
  EXPECT_EQ(node->mode, S_IFREG | 0600U);
  std::array<std::byte, 4> word{};
  EXPECT_EQ(node->attribute->read(0, word).error().code, Errno::kIo);
  EXPECT_TRUE(exists(system, kCardDir + "/resource2_wc"));
  EXPECT_FALSE(exists(system, kCardDir + "/resource3"));
}

TEST_F(PciAttributes, MsiIrqsAreThereWhileTheDriverHasVectors) {
  EXPECT_FALSE(exists(system, kCardDir + "/msi_irqs"));
  host.at(kVf).vectors = 2;
  system.refresh();
  EXPECT_EQ(show(system, kVfDir + "/msi_irqs/2072"), "msix\n");
  EXPECT_EQ(show(system, kVfDir + "/msi_irqs/2073"), "msix\n");
  EXPECT_FALSE(exists(system, kVfDir + "/msi_irqs/2074"));
  EXPECT_FALSE(exists(system, kCardDir + "/msi_irqs"));
}

TEST_F(PciAttributes, ResourceFilesMapTheirBar) {
  mm::PlainMappedFile file;
  const auto node = system.tree().find(kCardDir + "/resource2_wc");
  ASSERT_TRUE(node.has_value());
  EXPECT_TRUE(node->attribute->map(file, 4096, 8192).has_value());
  node->attribute->unmap(file);
  EXPECT_EQ(host.calls, (std::vector<std::string>{"map 0000:01:00.0 BAR2 4096+8192", "unmap"}));
}

TEST_F(PciAttributes, ConfigIsReadAndWrittenAtAnyOffset) {
  const auto node = system.tree().find(kCardDir + "/config");
  ASSERT_TRUE(node.has_value());
  EXPECT_EQ(node->size, 4096U);
  std::array<std::byte, 3> odd{};
  ASSERT_EQ(node->attribute->read(1, odd).value(), 3U);
  EXPECT_EQ(odd[0], std::byte{0x1a});
  EXPECT_EQ(odd[1], std::byte{0xc9});
  EXPECT_EQ(odd[2], std::byte{0x10});
  const std::array<std::byte, 2> command = {std::byte{0x06}, std::byte{0}};
  ASSERT_EQ(node->attribute->write(4, command).value(), 2U);
  EXPECT_EQ(host.card.config.read(4, 2), 6U);
}

TEST_F(PciAttributes, ResetTakesOneAndNothingElse) {
  const std::string reset = kCardDir + "/reset";
  for (const char* text : {"0\n", "2\n", "x\n", "1 1"})
    EXPECT_EQ(store(system, reset, text), "EINVAL") << text;
  EXPECT_TRUE(host.calls.empty());
  EXPECT_EQ(store(system, reset, "1\n"), "ok");
  EXPECT_EQ(host.calls, std::vector<std::string>{"reset 0000:01:00.0"});
  host.fail_reset = true;
  EXPECT_EQ(store(system, reset, "0x1"), "EBUSY");
}

TEST_F(PciAttributes, ResetNeedsAMethod) {
  EXPECT_EQ(show(system, kCardDir + "/reset_method"), "flr\n");
  EXPECT_EQ(store(system, kCardDir + "/reset_method", "pm\n"), "EINVAL");
  EXPECT_EQ(store(system, kCardDir + "/reset_method", "\n"), "ok");
  EXPECT_EQ(store(system, kCardDir + "/reset", "1\n"), "ENOTTY");
  EXPECT_EQ(store(system, kCardDir + "/reset_method", "default\n"), "ok");
  EXPECT_EQ(store(system, kCardDir + "/reset", "1\n"), "ok");
  EXPECT_FALSE(exists(system, kPortDir + "/reset"));
}

TEST_F(PciAttributes, RemoveTakesTheFunctionAway) {
  const auto before = system.tree().generation();
  EXPECT_EQ(store(system, kCardDir + "/remove", "x\n"), "EINVAL");
  EXPECT_EQ(store(system, kCardDir + "/remove", "0\n"), "ok");
  EXPECT_EQ(system.tree().generation(), before);
  EXPECT_EQ(store(system, kPlainDir + "/remove", "1\n"), "ok");
  EXPECT_EQ(host.calls, std::vector<std::string>{"remove 0000:02:00.0"});
  EXPECT_NE(system.tree().generation(), before);
  for (const Node& node : system.tree().nodes())
    EXPECT_EQ(node.path.find("0000:02:00.0"), std::string::npos) << node.path;
}

TEST_F(PciAttributes, SriovNumvfsIsTheHostsToSetUpToAllOfThem) {
  const std::string numvfs = kCardDir + "/sriov_numvfs";
  EXPECT_EQ(show(system, numvfs), "1\n");
  EXPECT_EQ(show(system, kCardDir + "/sriov_vf_device"), "10ca\n");
  EXPECT_EQ(store(system, numvfs, "x"), "EINVAL");
  EXPECT_EQ(store(system, numvfs, "2"), "ERANGE");
  EXPECT_TRUE(host.calls.empty());
  EXPECT_EQ(store(system, numvfs, "0"), "ok");
  EXPECT_EQ(store(system, "/sys/module/vfio_pci/parameters/enable_sriov", "Y"), "ok");
  EXPECT_EQ(store(system, numvfs, "1"), "ok");
  const std::vector<std::string> calls = {"set 0 VFs of 0000:01:00.0, not through vfio-pci",
                                          "set 1 VFs of 0000:01:00.0"};
  EXPECT_EQ(host.calls, calls);
}

TEST_F(PciAttributes, DriverOverrideKeepsAName) {
  EXPECT_EQ(show(system, kCardDir + "/driver_override"), "vfio-pci\n");
  EXPECT_EQ(show(system, kPlainDir + "/driver_override"), "(null)\n");
  EXPECT_EQ(store(system, kPlainDir + "/driver_override", "abc\n"), "ok");
  EXPECT_EQ(show(system, kPlainDir + "/driver_override"), "abc\n");
  EXPECT_EQ(store(system, kPlainDir + "/driver_override", std::string(4095, 'a')), "EINVAL");
  EXPECT_EQ(store(system, kPlainDir + "/driver_override", "\n"), "ok");
  EXPECT_EQ(show(system, kPlainDir + "/driver_override"), "(null)\n");
}

TEST_F(PciAttributes, EnableCountsAndDecodesWhereNobodyDrivesTheFunction) {
  const std::string enable = kPlainDir + "/enable";
  EXPECT_EQ(store(system, enable, "0"), "EIO");
  EXPECT_EQ(store(system, enable, "1"), "ok");
  EXPECT_EQ(store(system, enable, "1"), "ok");
  EXPECT_EQ(show(system, enable), "2\n");
  EXPECT_EQ(host.plain.config_read(4, 2) & 2U, 2U);
  host.plain.config_write(4, 2, 6);
  EXPECT_EQ(store(system, enable, "0"), "ok");
  EXPECT_EQ(host.plain.config_read(4, 2), 6U);
  EXPECT_EQ(store(system, enable, "0"), "ok");
  EXPECT_EQ(host.plain.config_read(4, 2), 2U);
  EXPECT_EQ(store(system, enable, "0"), "EIO");
}

TEST_F(PciAttributes, EnableIsTheDriversBusiness) {
  const std::string enable = kCardDir + "/enable";
  EXPECT_EQ(show(system, enable), "0\n");
  host.used = kCard;
  EXPECT_EQ(show(system, enable), "1\n");
  EXPECT_EQ(store(system, enable, "x"), "EINVAL");
  EXPECT_EQ(store(system, enable, "0"), "EBUSY");
  EXPECT_EQ(store(system, kPlainDir + "/enable", "0"), "EIO");
}

TEST_F(PciAttributes, NumaNodeTakesOnlyNodesThatAreThere) {
  const std::string node = kCardDir + "/numa_node";
  EXPECT_EQ(show(system, node), "-1\n");
  EXPECT_EQ(store(system, node, "99"), "EINVAL");
  EXPECT_EQ(store(system, node, "-2"), "EINVAL");
  EXPECT_EQ(store(system, node, "x"), "EINVAL");
  EXPECT_EQ(store(system, node, "0\n"), "ok");
  EXPECT_EQ(show(system, node), "0\n");
}

TEST_F(PciAttributes, VfioDevHasTheNumberOfTheDeviceNode) {
  EXPECT_EQ(show(system, kVfDir + "/vfio-dev/vfio1/dev"), "251:1\n");
  EXPECT_EQ(system.tree().resolve("/sys/class/vfio-dev/vfio1/device"), kVfDir);
  const auto node = system.tree().find("/dev/vfio/devices/vfio1");
  ASSERT_TRUE(node.has_value());
  EXPECT_EQ(node->kind, Node::Kind::kDevice);
  EXPECT_EQ(node->rdev, 251U << 8U | 1U);
}

}  // namespace
}  // namespace teeio::sysfs::test
