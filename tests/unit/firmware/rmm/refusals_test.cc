#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

class Refusals : public Machine {};

TEST_F(Refusals, ALockedTdiStartsOnlyAfterItsLock) {
  make_realm();
  connect();
  create_vdev();
  EXPECT_RMI(rmm.vdev_start(rd, pdev, vdev), Code::kDevice);
  EXPECT_RMI(rmm.vdev_unlock(rd, pdev, vdev), Code::kDevice);
  EXPECT_RMI(rmm.vdev_interface_report(rd, pdev, vdev), Code::kDevice);
  lock();
  EXPECT_RMI(rmm.vdev_lock(rd, pdev, vdev), Code::kDevice);
}

TEST_F(Refusals, ACommandWaitsForTheOneBefore) {
  make_realm();
  connect();
  create_vdev();
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  EXPECT_RMI(rmm.vdev_lock(rd, pdev, vdev), Code::kDevice);
  ASSERT_RMI(drive_vdev());
  EXPECT_RMI(rmm.vdev_communicate(rd, pdev, vdev, data, {}), Code::kDevice);
  EXPECT_RMI(rmm.vdev_abort(rd, pdev, vdev), Code::kDevice);
}

TEST_F(Refusals, ALockThatTheDeviceRefusesEndsInError) {
  make_realm();
  connect();
  create_vdev();
  device.refuse_all = true;
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
}

TEST_F(Refusals, ADeviceThatRunsAlreadyIsNotLocked) {
  make_realm();
  connect();
  create_vdev();
  device.tdis[0x100].state = wire::TdiState::kRun;
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
}

TEST_F(Refusals, TheHostsPagesAndAnswersAreChecked) {
  make_realm();
  connect();
  create_vdev();
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  using Status = HostComm::Status;
  EXPECT_RMI(rmm.vdev_communicate(rd, pdev, vdev, rd, {}), Code::kInput);
  EXPECT_RMI(rmm.vdev_communicate(rd, pdev, vdev, data, {Status::kResponse, 8}), Code::kDevice);
  ASSERT_RMI(rmm.vdev_communicate(rd, pdev, vdev, data, {}));
  EXPECT_RMI(rmm.vdev_communicate(rd, pdev, vdev, data, {Status::kResponse, 0}), Code::kInput);
  EXPECT_RMI(rmm.vdev_communicate(rd, pdev, vdev, data, {Status::kResponse, 4097}), Code::kInput);
  ASSERT_RMI(rmm.vdev_communicate(rd, pdev, vdev, data, {Status::kResponse, 8}));
  EXPECT_EQ(vdev_state(), VdevState::kError);
}

TEST_F(Refusals, AVdevNeedsItsPdevsStreamAndItsOwnRanges) {
  make_realm();
  ASSERT_RMI(rmm.pdev_create(pdev, {.function = kTdi, .rid_base = 0x100, .rid_top = 0x102}));
  const VdevParams params{.tdi = kTdi, .ranges = {{.base = kBar, .top = kBar + kPageSize}}};
  EXPECT_RMI(rmm.vdev_create(rd, pdev, vdev, params), Code::kDevice);
  ASSERT_RMI(drive_pdev());
  EXPECT_RMI(rmm.vdev_create(rd, pdev, vdev, params), Code::kDevice);
  ASSERT_RMI(rmm.pdev_stream_connect(pdev, port.bdf(), 5));
  ASSERT_RMI(drive_pdev());
  EXPECT_RMI(rmm.vdev_create(rd, pdev, vdev, {.tdi = Bdf{0, 2, 0, 0}, .ranges = {}}), Code::kInput);
  ASSERT_RMI(rmm.vdev_create(rd, pdev, vdev, params));
  EXPECT_RMI(rmm.vdev_create(rd, pdev, granule(), {.tdi = kOther, .ranges = params.ranges}),
             Code::kInput);
}

TEST_F(Refusals, AKeyThatTheDeviceRefusesFreesTheRootPortsStream) {
  device.kp_ack_status = 4;
  ASSERT_RMI(rmm.pdev_create(pdev, {.function = kTdi, .rid_base = 0x100, .rid_top = 0x102}));
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(rmm.pdev_stream_connect(pdev, port.bdf(), 5));
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
  EXPECT_EQ(port.free_streams(), port.streams());
  EXPECT_RMI(rmm.pdev_stop(pdev), Code::kDevice);
  ASSERT_RMI(rmm.pdev_abort(pdev));
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(rmm.pdev_destroy(pdev));
}

TEST_F(Refusals, OnlyTheVdevsOwnDelegatedGranulesAreMapped) {
  make_realm();
  connect();
  create_vdev();
  EXPECT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kBar), Code::kInput);  // not delegated
  ASSERT_RMI(rmm.granule_delegate(kBar));
  EXPECT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kOtherBar), Code::kInput);
  ASSERT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kBar));
  EXPECT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kBar + kPageSize), Code::kRtt);
  EXPECT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa + kPageSize, kBar), Code::kInput);  // mapped
}

TEST_F(Refusals, ATerminatedRealmMapsNothingButUnmaps) {
  run();
  ASSERT_RMI(rmm.realm_terminate(rd));
  ASSERT_RMI(rmm.granule_delegate(kBar));
  EXPECT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa, kBar), Code::kRealm);
  ASSERT_RMI(rmm.rtt_dev_unmap(rd, kIpa + kPageSize));
}

TEST_F(Refusals, TrustedDmaNeedsTheNonceOfTheLock) {
  run();
  EXPECT_RMI(rmm.rsi_vdev_dma_enable(rd, vdev, {}), Code::kDevice);
  EXPECT_RMI(rmm.rsi_vdev_dma_enable(pdev, vdev, device.tdis[0x100].nonce), Code::kDevice);
}

TEST_F(Refusals, OnlyWhatExistsIsDelegatedAndOnce) {
  EXPECT_RMI(rmm.granule_delegate(Hpa{0x1000}), Code::kInput);
  EXPECT_RMI(rmm.granule_delegate(kBar + 1), Code::kInput);
  ASSERT_RMI(rmm.granule_delegate(kBar));
  EXPECT_RMI(rmm.granule_delegate(kBar), Code::kInput);
}

TEST_F(Refusals, ALentPageIsOutOfTheHostsReach) {
  Bytes bytes(8);
  EXPECT_FALSE(memory.read(rd, bytes));
  ASSERT_RMI(rmm.granule_undelegate(rd));
  EXPECT_TRUE(memory.read(rd, bytes));
}

}  // namespace
}  // namespace teeio::rmm
