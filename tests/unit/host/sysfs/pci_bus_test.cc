#include <gtest/gtest.h>

#include "unit/host/sysfs/machine.h"

namespace teeio::sysfs::test {
namespace {

class PciBus : public testing::Test {
 protected:
  FakeHost host;
  System system{host};
  const std::string vfio = "/sys/bus/pci/drivers/vfio-pci";
};

TEST_F(PciBus, UnbindTakesTheVfioDeviceAway) {
  EXPECT_EQ(store(system, vfio + "/unbind", "nonsense\n"), "ENODEV");
  EXPECT_EQ(store(system, vfio + "/unbind", "0000:02:00.0\n"), "ENODEV");
  EXPECT_EQ(store(system, vfio + "/unbind", "0000:01:00.1\n"), "ok");
  EXPECT_FALSE(exists(system, kVfDir + "/driver"));
  EXPECT_FALSE(exists(system, vfio + "/0000:01:00.1"));
  EXPECT_FALSE(exists(system, "/dev/vfio/devices/vfio1"));
  EXPECT_EQ(show(system, kVfDir + "/uevent").substr(0, 9), "PCI_CLASS");
  EXPECT_EQ(store(system, vfio + "/bind", "0000:01:00.1\n"), "ok");
  EXPECT_TRUE(exists(system, "/dev/vfio/devices/vfio7"));
}

TEST_F(PciBus, BindTakesOnlyWhatTheDriverWasToldToTake) {
  EXPECT_EQ(store(system, vfio + "/bind", "0000:01:00.0\n"), "EBUSY");
  EXPECT_EQ(store(system, vfio + "/bind", "0000:02:00.0\n"), "ENODEV");
  EXPECT_EQ(store(system, "/sys/bus/pci/drivers_probe", "0000:02:00.0"), "ok");
  EXPECT_FALSE(exists(system, kPlainDir + "/driver"));
  ASSERT_EQ(store(system, kPlainDir + "/driver_override", "vfio-pci"), "ok");
  EXPECT_EQ(store(system, "/sys/bus/pci/drivers_probe", "0000:02:00.0"), "ok");
  EXPECT_TRUE(exists(system, kPlainDir + "/driver"));
  EXPECT_EQ(store(system, "/sys/bus/pci/drivers_probe", "junk"), "ENODEV");
}

TEST_F(PciBus, NewIdBindsFunctionsWithoutADriver) {
  EXPECT_EQ(store(system, vfio + "/new_id", "zzz\n"), "EINVAL");
  EXPECT_EQ(store(system, vfio + "/remove_id", "1af4 10c9\n"), "ENODEV");
  EXPECT_EQ(store(system, vfio + "/new_id", "1af4 10c9\n"), "ok");
  EXPECT_TRUE(exists(system, kPlainDir + "/driver"));
  EXPECT_EQ(store(system, vfio + "/new_id", "1af4 10c9\n"), "EEXIST");
  EXPECT_EQ(store(system, vfio + "/remove_id", "1af4 10c9\n"), "ok");
}

// new_id_store() and remove_id_store() of Linux drivers/pci/pci-driver.c; a Linux 7.3 was asked.
TEST_F(PciBus, DynamicIdsAreReadAsSscanfReadsThem) {
  const auto add = [&](const char* text) { return store(system, vfio + "/new_id", text); };
  const auto remove = [&](const char* text) { return store(system, vfio + "/remove_id", text); };
  EXPECT_EQ(add("1234"), "EINVAL");
  EXPECT_EQ(add("-1 5"), "EINVAL");
  EXPECT_EQ(add("0x1234  0X5678"), "ok");
  EXPECT_EQ(add("1234 5678 1 2 3 4"), "EEXIST");  // the first one is any subsystem's
  EXPECT_EQ(add("12345 67890"), "ok");            // wider than an id can be: nobody's
  EXPECT_EQ(add("1234 5678 0 0 0 0 9"), "EINVAL");
  EXPECT_EQ(add("1234 5678 0 0 0 0 0"), "ok");  // all seven: nobody looks whether it is there
  EXPECT_EQ(remove("1234 5678 ffff ffff"), "ENODEV");
  EXPECT_EQ(remove("1234 5678"), "ok");
  EXPECT_EQ(remove("1234 5678 0 0"), "ok");
  EXPECT_EQ(remove("1234 5678"), "ENODEV");
  EXPECT_EQ(remove("12345 67890"), "ok");
}

TEST_F(PciBus, DynamicIdOfAnotherSubsystemOrClassIsNotTheFunctions) {
  EXPECT_EQ(store(system, vfio + "/new_id", "1af4 10c9 dead beef"), "ok");
  EXPECT_EQ(store(system, vfio + "/new_id", "1af4 10c9 ffffffff ffffffff ff0000 ff0000"), "ok");
  EXPECT_FALSE(exists(system, kPlainDir + "/driver"));
  EXPECT_EQ(store(system, vfio + "/new_id", "1af4 10c9"), "ok");
  EXPECT_TRUE(exists(system, kPlainDir + "/driver"));
}

TEST_F(PciBus, GroupsAndIommusHoldTheirFunctions) {
  EXPECT_EQ(system.tree().resolve("/sys/kernel/iommu_groups/1/devices/0000:01:00.0"), kCardDir);
  EXPECT_EQ(system.tree().resolve("/sys/class/iommu/dmar0/devices/0000:01:00.1"), kVfDir);
  EXPECT_NE(show(system, "/sys/class/iommu/dmar0/intel-iommu/ecap"), "0\n");
  EXPECT_EQ(show(system, "/sys/kernel/iommu_groups/1/type"), "DMA\n");
  EXPECT_EQ(store(system, "/sys/kernel/iommu_groups/1/type", "DMA\n"), "ok");
  EXPECT_EQ(store(system, "/sys/kernel/iommu_groups/1/type", "identity\n"), "EPERM");
  EXPECT_EQ(store(system, "/sys/kernel/iommu_groups/1/type", "zz\n"), "EINVAL");
  EXPECT_EQ(show(system, "/sys/kernel/iommu_groups/1/reserved_regions"),
            "0x00000000fee00000 0x00000000feefffff msi\n");
}

TEST_F(PciBus, NativeDriverTakesPfsThatNobodyElseWasPromised) {
  host.native = true;
  system.refresh();
  const std::string native = "/sys/bus/pci/drivers/native";
  EXPECT_EQ(store(system, native + "/bind", "0000:01:00.0"), "ENODEV");  // vfio-pci's by name
  EXPECT_EQ(store(system, native + "/unbind", "0000:01:00.0"), "ENODEV");
  EXPECT_EQ(store(system, native + "/bind", "0000:00:01.0"), "ENODEV");
  EXPECT_EQ(store(system, "/sys/bus/pci/drivers_probe", "0000:02:00.0"), "ok");
  EXPECT_EQ(host.at(kPlain).driver, "native");
  EXPECT_EQ(store(system, native + "/bind", "0000:02:00.0"), "EBUSY");
  EXPECT_EQ(store(system, native + "/unbind", "0000:02:00.0"), "ok");
  EXPECT_EQ(host.at(kPlain).driver, "");
}

TEST_F(PciBus, RescanTakesANumberAndZeroDoesNothing) {
  EXPECT_EQ(store(system, "/sys/bus/pci/rescan", "x"), "EINVAL");
  EXPECT_EQ(store(system, "/sys/bus/pci/rescan", "0"), "ok");
  EXPECT_TRUE(host.calls.empty());
  EXPECT_EQ(store(system, "/sys/bus/pci/rescan", "1"), "ok");
  EXPECT_EQ(host.calls, std::vector<std::string>{"rescan"});
}

}  // namespace
}  // namespace teeio::sysfs::test
