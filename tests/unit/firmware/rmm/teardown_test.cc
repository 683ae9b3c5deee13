#include <gmock/gmock.h>

#include <algorithm>

#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

using object::Fact;
using testing::ElementsAre;

class Teardown : public Machine {
 protected:
  void drop_tables() {
    ASSERT_RMI(rmm.rtt_destroy(rd, kIpa, 3));
    ASSERT_RMI(rmm.rtt_destroy(rd, kIpa, 2));
  }
};

TEST_F(Teardown, UnlockNamesTheFirstGranuleThatIsMapped) {
  run();
  map(0);
  ASSERT_RMI(dev_unmap(kIpa));
  const RmiResult refused = rmm.vdev_unlock(rd, pdev, vdev);
  EXPECT_RMI(refused, Code::kGranule);
  EXPECT_EQ(refused.x1, raw(kBar + kPageSize));
  EXPECT_EQ(vdev_state(), VdevState::kStarted);
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
}

TEST_F(Teardown, ARefusedUnlockLeavesTrustedDmaOn) {
  run();
  ASSERT_EQ(enable_dma().code, RsiCode::kSuccess);
  const std::size_t before = trace.events().size();
  EXPECT_RMI(rmm.vdev_unlock(rd, pdev, vdev), Code::kGranule);
  EXPECT_TRUE(facts(before).empty());
}

TEST_F(Teardown, TheWholeOrderIsUnmapDmaOffStopDestroy) {
  run();
  ASSERT_EQ(enable_dma().code, RsiCode::kSuccess);
  const std::size_t before = trace.events().size();
  ASSERT_RMI(dev_unmap(kIpa + kPageSize));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  EXPECT_THAT(facts(before), ElementsAre(Fact::kMmioUnmapped, Fact::kTrustedDmaOff));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(device_state(), wire::TdiState::kConfigUnlocked);
  ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
  EXPECT_THAT(facts(before), ElementsAre(Fact::kMmioUnmapped, Fact::kTrustedDmaOff,
                                         Fact::kTdiStopped, Fact::kMetadataRemoved));
  ASSERT_RMI(rmm.pdev_stream_disconnect(pdev, rp, handle));
  drive_stream();
  EXPECT_EQ(port.free_streams(), port.streams());
  ASSERT_RMI(rmm.pdev_stream_complete(pdev, rp, handle));
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(finish(rmm.pdev_destroy(pdev)));
  ASSERT_RMI(rmm.pdev_stop(rp));
  ASSERT_RMI(drive_port());
  ASSERT_RMI(rmm.pdev_destroy(rp));
  ASSERT_RMI(finish(rmm.psmmu_st_l2_destroy(Settings::kPsmmu, kSid)));
  ASSERT_RMI(finish(rmm.psmmu_deactivate(Settings::kPsmmu)));
  ASSERT_RMI(rmm.realm_terminate(rd));
  EXPECT_RMI(rmm.realm_destroy(rd), Code::kRealm);
  ASSERT_RMI(finish(rmm.rec_destroy(rec)));
  EXPECT_RMI(rmm.realm_destroy(rd), Code::kRealm);  // it has tables
  ASSERT_RMI(rmm.rtt_destroy(rd, kIpa, 3));
  ASSERT_RMI(rmm.rtt_destroy(rd, kIpa, 2));
  ASSERT_RMI(rmm.realm_destroy(rd));
  ASSERT_RMI(undelegate(kBar + kPageSize));
  for (const Hpa page : {rd, rtt, rec, pdev, rp, vdev}) ASSERT_RMI(undelegate(page));
  // The tables' and what the monitor was lent, DELEGATED and the host's to take.
  EXPECT_EQ(rmm.granules(), 14U + Settings{}.rec_granules);
}

TEST_F(Teardown, ARealmWithAVdevIsNotDestroyed) {
  unlocked();
  EXPECT_RMI(rmm.realm_destroy(rd), Code::kRealm);
  ASSERT_RMI(finish(rmm.rec_destroy(rec)));
  ASSERT_RMI(rmm.realm_terminate(rd));
  EXPECT_RMI(rmm.realm_destroy(rd), Code::kRealm);
  ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
  drop_tables();
  ASSERT_RMI(rmm.realm_destroy(rd));
}

TEST_F(Teardown, ARealmWithAMappedPageIsNotDestroyed) {
  unlocked();
  map(0);
  // Legal for an UNLOCKED VDEV: the page then holds the realm alone.
  ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
  ASSERT_RMI(finish(rmm.rec_destroy(rec)));
  ASSERT_RMI(rmm.realm_terminate(rd));
  EXPECT_RMI(rmm.realm_destroy(rd), Code::kRealm);
  EXPECT_RMI(rmm.rtt_destroy(rd, kIpa, 3), Code::kRtt);
  ASSERT_RMI(dev_unmap(kIpa));
  drop_tables();
  ASSERT_RMI(rmm.realm_destroy(rd));
}

TEST_F(Teardown, AMappedGranuleIsNotUndelegated) {
  run();
  EXPECT_RMI(undelegate(kBar + kPageSize), Code::kInput);
}

TEST_F(Teardown, AVdevHoldsItsPdevAndStream) {
  run();
  EXPECT_RMI(rmm.pdev_stream_disconnect(pdev, rp, handle), Code::kDevice);
  EXPECT_RMI(rmm.pdev_stop(pdev), Code::kDevice);
  EXPECT_EQ(rmm.pdev_stop(pdev).refused_by->id, "streams") << "a VDEV's stream comes first";
  EXPECT_RMI(rmm.pdev_destroy(pdev), Code::kDevice);
}

TEST_F(Teardown, ALockedVdevIsNotDestroyed) {
  run();
  EXPECT_RMI(rmm.vdev_destroy(rd, pdev, vdev), Code::kDevice);
}

// dev_tdisp_stop_main(): only what GET_STATE says after a good STOP is an error.
TEST_F(Teardown, AStateThatIsLostBehindAStopIsAbortedAndRepeated) {
  run();
  ASSERT_RMI(dev_unmap(kIpa + kPageSize));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  bool stopped = false;
  relay = [&](ByteView object) {
    return std::exchange(stopped, true) ? Bytes{} : device.answer(object);
  };
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
  relay = [this](ByteView object) { return device.answer(object); };
  EXPECT_RMI(rmm.vdev_unlock(rd, pdev, vdev), Code::kDevice);
  EXPECT_RMI(rmm.vdev_destroy(rd, pdev, vdev), Code::kDevice);
  ASSERT_RMI(rmm.vdev_abort(rd, pdev, vdev));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
}

class FailedStop : public Teardown {
 protected:
  /// What the monitor says of an UNLOCK whose STOP fails, and what became of the VDEV.
  void unlock(bool lose = false) {
    const std::size_t before = trace.events().size();
    ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
    ASSERT_RMI(drive_vdev(lose));
    EXPECT_EQ(vdev_state(), VdevState::kUnlocked);
    // The monitor goes on; for the rules the TDI is as it was.
    ASSERT_THAT(facts(before), ElementsAre(Fact::kTdiStopFailed));
    EXPECT_EQ(std::ranges::find(trace.events(), Fact::kTdiStopFailed, &object::Event::fact)->name,
              "STOP failed, taken as done");
    ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
  }
  void prepare() {
    run();
    ASSERT_RMI(dev_unmap(kIpa + kPageSize));
  }
};

TEST_F(FailedStop, CountsAsDoneWhenTheDeviceRefuses) {
  prepare();
  device.refuse_all = true;
  unlock();
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
}

TEST_F(FailedStop, CountsAsDoneWhenTheHostBringsNoAnswer) {
  prepare();
  unlock(true);
  EXPECT_EQ(device_state(), wire::TdiState::kRun);
}

TEST_F(FailedStop, CountsAsDoneWhenTheAnswerIsAnotherFunctions) {
  prepare();
  device.answers_for = kOther.rid();
  unlock();
}

}  // namespace
}  // namespace teeio::rmm
