// What udev and its friends look at: classes, uevent, numbers. Names, modes and texts are those
// of a running Linux 7.3.
#include <gtest/gtest.h>

#include "unit/host/sysfs/machine.h"

namespace teeio::sysfs::test {
namespace {

struct Classes : testing::Test {
  [[nodiscard]] std::string target(const std::string& path) {
    const auto node = system.tree().find(path);
    return node ? node->target : "none";
  }
  FakeHost host;
  System system{host};
};

// misc_register(), device_create_sys_dev_entry().
TEST_F(Classes, MiscDevicesAreFoundByNameAndByNumber) {
  EXPECT_EQ(show(system, "/sys/devices/virtual/misc/vfio/dev"), "10:196\n");
  EXPECT_EQ(show(system, "/sys/devices/virtual/misc/vfio/uevent"),
            "MAJOR=10\nMINOR=196\nDEVNAME=vfio/vfio\nDEVMODE=0666\n");
  EXPECT_EQ(show(system, "/sys/devices/virtual/misc/iommu/uevent"),
            "MAJOR=10\nMINOR=256\nDEVNAME=iommu\nDEVMODE=0660\n");
  EXPECT_EQ(show(system, "/sys/devices/virtual/misc/kvm/uevent"),
            "MAJOR=10\nMINOR=232\nDEVNAME=kvm\n");
  EXPECT_EQ(target("/sys/class/misc/vfio"), "../../devices/virtual/misc/vfio");
  EXPECT_EQ(target("/sys/dev/char/10:196"), "../../devices/virtual/misc/vfio");
  EXPECT_EQ(target("/sys/dev/char/251:0"),
            "../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/vfio-dev/vfio0");
  EXPECT_EQ(store(system, "/sys/devices/virtual/misc/vfio/uevent", "change\n"), "ok");
  EXPECT_EQ(store(system, "/sys/devices/virtual/misc/vfio/uevent", "1\n"), "EINVAL");
}

// kobject_synth_uevent(), kobject_action_args(): as `udevadm trigger --settle` writes it.
TEST_F(Classes, AnActionMayHaveAUuidAndArguments) {
  const std::string path = "/sys/devices/virtual/misc/vfio/uevent";
  const std::string uuid = "change fe4d7c9d-b8c6-4a70-9ef1-3d8A58D18eed";
  for (const char* more : {"", "\n", " A=1", " A=1 b2=C\n"})
    EXPECT_EQ(store(system, path, uuid + more), "ok") << more;
  for (const char* more : {" ", "0", " A", " A=", " =1", " A=1 ", " A=1  B=2", " A=1=2", " A=a-b"})
    EXPECT_EQ(store(system, path, uuid + more), "EINVAL") << more;
  for (const char* text : {"change ", "change 1", " change", "changed fe4d7c9d",
                           "change fe4d7c9d.b8c6-4a70-9ef1-3d8a58d18eed",
                           "change fe4d7c9dab8c6-4a70-9ef1-3d8a58d18eed"})
    EXPECT_EQ(store(system, path, text), "EINVAL") << text;
}

// bus_uevent_store(), uevent_store() of drivers/base/bus.c, store_uevent() of kernel/params.c.
TEST_F(Classes, BusesDriversAndModulesTakeUeventsAndShowNone) {
  for (const char* one : {"/sys/bus/pci", "/sys/bus/pci/drivers/vfio-pci",
                          "/sys/bus/pci/drivers/pcieport", "/sys/module/vfio_pci"}) {
    const std::string path = std::string(one) + "/uevent";
    const auto node = system.tree().find(path);
    ASSERT_TRUE(node.has_value()) << path;
    EXPECT_EQ(node->mode & 0777U, 0200U) << path;
    EXPECT_EQ(store(system, path, "add"), "ok") << path;
    EXPECT_EQ(store(system, path, ""), "EINVAL") << path;
  }
}

TEST_F(Classes, DevicesWithoutANodeHaveAnEmptyUevent) {
  for (const char* one : {"/sys/devices/pci0000:00", "/sys/devices/virtual/iommu/dmar0"})
    EXPECT_EQ(show(system, std::string(one) + "/uevent"), "") << one;
}

// pcibus_groups of drivers/pci/pci-sysfs.c.
TEST_F(Classes, EachBusIsADeviceBelowItsBridge) {
  const std::string bus = "/sys/devices/pci0000:00/0000:00:01.0/pci_bus/0000:01";
  EXPECT_EQ(target("/sys/class/pci_bus/0000:01"),
            "../../devices/pci0000:00/0000:00:01.0/pci_bus/0000:01");
  EXPECT_EQ(target("/sys/class/pci_bus/0000:00"), "../../devices/pci0000:00/pci_bus/0000:00");
  EXPECT_EQ(target(bus + "/device"), "../../../0000:00:01.0");
  EXPECT_EQ(show(system, bus + "/cpuaffinity"), "3\n");
  EXPECT_EQ(show(system, bus + "/cpulistaffinity"), "0-1\n");
  EXPECT_EQ(store(system, bus + "/rescan", "y"), "EINVAL");
  EXPECT_EQ(store(system, bus + "/rescan", "0"), "ok");
  EXPECT_TRUE(host.calls.empty());
  EXPECT_EQ(store(system, bus + "/rescan", "1"), "ok");
  EXPECT_EQ(host.calls, std::vector<std::string>{"rescan 0000:01:00.0"});
}

// kstrtobool(): the first letter decides, or after an o the second.
TEST_F(Classes, TruthValuesAreReadByTheirFirstLetters) {
  const std::string parameter = "/sys/module/vfio_pci/parameters/enable_sriov";
  for (const char* text : {"1 \n", "1x", "yes", "true", "On", "oN", "t", "18446744073709551616"}) {
    ASSERT_EQ(store(system, parameter, "0"), "ok");
    EXPECT_EQ(store(system, parameter, text), "ok") << text;
    EXPECT_EQ(show(system, parameter), "Y\n") << text;
  }
  for (const char* text : {"0x1", "01", "f", "off", "oFx", "no", "0b1"}) {
    ASSERT_EQ(store(system, parameter, "1"), "ok");
    EXPECT_EQ(store(system, parameter, text), "ok") << text;
    EXPECT_EQ(show(system, parameter), "N\n") << text;
  }
  for (const char* text : {"", "\n", " 1", "+1", "-1", "2", "ox", "o", "a"})
    EXPECT_EQ(store(system, parameter, text), "EINVAL") << text;
}

TEST_F(Classes, DriversAutoprobeIsNoughtOnlyForANoughtAtTheFront) {
  const std::string path = "/sys/bus/pci/drivers_autoprobe";
  EXPECT_EQ(show(system, path), "1\n");
  EXPECT_EQ(store(system, path, "0x1"), "ok");
  EXPECT_EQ(show(system, path), "0\n");
  EXPECT_EQ(store(system, path, " 0"), "ok");
  EXPECT_EQ(show(system, path), "1\n");
}

}  // namespace
}  // namespace teeio::sysfs::test
