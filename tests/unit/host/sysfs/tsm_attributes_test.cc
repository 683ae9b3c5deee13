#include <gtest/gtest.h>

#include "unit/host/sysfs/machine.h"

namespace teeio::sysfs::test {
namespace {

class TsmAttributes : public testing::Test {
 protected:
  TsmAttributes() {
    host.tsm().register_tsm(driver);
    system.refresh();
  }
  FakeHost host;
  FakeTsm driver{host.port};
  System system{host};
  const std::string connect = kCardDir + "/tsm/connect";
  const std::string disconnect = kCardDir + "/tsm/disconnect";
};

TEST_F(TsmAttributes, OnlyAPf0ShowsThemBeforeConnect) {
  EXPECT_EQ(show(system, connect), "\n");
  EXPECT_EQ(show(system, kCardDir + "/tsm/dsm"), "\n");
  EXPECT_EQ(show(system, kCardDir + "/tsm/bound"), "\n");
  EXPECT_EQ(show(system, kCardDir + "/authenticated"), "\n");
  for (const std::string& directory : {kVfDir, kPlainDir, kPortDir}) {
    EXPECT_FALSE(exists(system, directory + "/tsm")) << directory;
    EXPECT_FALSE(exists(system, directory + "/authenticated")) << directory;
  }
}

TEST_F(TsmAttributes, ConnectShowsTheFunctionsThatTheDsmManages) {
  const auto before = system.tree().generation();
  ASSERT_EQ(store(system, connect, "tsm0\n"), "ok");
  EXPECT_NE(system.tree().generation(), before);
  EXPECT_EQ(show(system, connect), "tsm0\n");
  EXPECT_EQ(show(system, kCardDir + "/tsm/dsm"), "0000:01:00.0\n");
  EXPECT_EQ(show(system, kVfDir + "/tsm/dsm"), "0000:01:00.0\n");
  EXPECT_EQ(show(system, kVfDir + "/tsm/bound"), "\n");
  EXPECT_EQ(show(system, kVfDir + "/authenticated"), "tsm0\n");
  EXPECT_FALSE(exists(system, kVfDir + "/tsm/connect"));
  ASSERT_EQ(store(system, disconnect, "tsm0\n"), "ok");
  EXPECT_FALSE(exists(system, kVfDir + "/tsm"));
}

TEST_F(TsmAttributes, StoresRefuseAsLinuxDoes) {
  EXPECT_EQ(store(system, connect, "nonsense\n"), "EINVAL");
  EXPECT_EQ(store(system, connect, "tsm9\n"), "ENXIO");
  EXPECT_EQ(store(system, disconnect, "tsm0\n"), "ENXIO");
  driver.fail_connect = true;
  EXPECT_EQ(store(system, connect, "tsm0\n"), "EIO");
  driver.fail_connect = false;
  EXPECT_EQ(store(system, connect, "tsm0\n"), "ok");
  EXPECT_EQ(store(system, connect, "tsm0\n"), "EBUSY");
  EXPECT_EQ(store(system, disconnect, "tsm1\n"), "EINVAL");
}

TEST_F(TsmAttributes, AStreamIsALinkAndOneFewerAvailable) {
  const std::string bridge = "/sys/devices/pci0000:00";
  const std::string of_tsm = "/sys/class/tsm/tsm0/stream0.0.0";
  // pci_ide_init_host_bridge(): whatever the root ports have.
  EXPECT_EQ(show(system, bridge + "/available_secure_streams"), "256\n");
  ASSERT_EQ(store(system, connect, "tsm0"), "ok");
  EXPECT_EQ(show(system, bridge + "/available_secure_streams"), "255\n");
  EXPECT_EQ(system.tree().resolve(bridge + "/stream0.0.0"), kCardDir);
  EXPECT_EQ(system.tree().resolve(of_tsm), kCardDir);
  ASSERT_EQ(store(system, disconnect, "tsm0"), "ok");
  EXPECT_FALSE(exists(system, bridge + "/stream0.0.0"));
  EXPECT_FALSE(exists(system, of_tsm));
  EXPECT_EQ(show(system, bridge + "/available_secure_streams"), "256\n");
}

TEST_F(TsmAttributes, AHostBridgeWithoutStreamsHidesTheirNumber) {
  host.tsm().streams().set_pool(0, 0);
  system.refresh();
  EXPECT_FALSE(exists(system, "/sys/devices/pci0000:00/available_secure_streams"));
}

TEST(TsmClass, FollowsTsmsThatComeAndGo) {
  FakeHost host;
  FakeTsm driver(host.port);
  System system(host);
  EXPECT_TRUE(exists(system, "/sys/class/tsm"));
  EXPECT_FALSE(exists(system, kCardDir + "/tsm"));
  const std::uint32_t number = host.tsm().register_tsm(driver);
  system.refresh();
  EXPECT_TRUE(exists(system, "/sys/class/tsm/tsm0"));
  EXPECT_TRUE(exists(system, kCardDir + "/tsm/connect"));
  host.tsm().unregister_tsm(number);
  system.refresh();
  EXPECT_FALSE(exists(system, "/sys/class/tsm/tsm0"));
  EXPECT_FALSE(exists(system, kCardDir + "/tsm"));
}

}  // namespace
}  // namespace teeio::sysfs::test
