// Where a host walks TF-RMM into its own assertions, and what it gets without them.
#include <gmock/gmock.h>

#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

template <Defects kDefects>
class With : public Machine {
 protected:
  With() : Machine(Settings{.defects = kDefects}) {}
  static constexpr bool kAsserts = kDefects == Defects::kAs9a7f8ef4;

  /// One step of the VDEV's communication, whose message the host never brings.
  void leave_waiting(Hpa which) {
    set_enter(enter_none());
    ASSERT_RMI(rmm.vdev_communicate(rd, pdev, which, data));
    ASSERT_NE(exit().flags & CommExit::kSend, 0U);
  }
  void expect_stopped(std::string_view function) {
    EXPECT_TRUE(rmm.panicked());
    EXPECT_RMI(rmm.pdev_get_state(pdev), Code::kSmcNotSupported);
    const auto finding =
        std::ranges::find(trace.events(), object::Fact::kRefLeaked, &object::Event::fact);
    ASSERT_NE(finding, trace.events().end());
    EXPECT_THAT(finding->detail, testing::HasSubstr(function));
    EXPECT_GT(finding->a, 0U);
  }
};

class Defective : public With<Defects::kAs9a7f8ef4> {};
class Sound : public With<Defects::kNone> {};

// vdev.c, smc_vdev_abort(): the application is woken only for the PDEV's own exchange.
TEST_F(Defective, AVdevsAbortLeavesTheApplicationWaitingForTheNext) {
  unlocked();
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  leave_waiting(vdev);
  ASSERT_RMI(rmm.vdev_abort(rd, pdev, vdev));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  EXPECT_RMI(drive_vdev(), Code::kSmcNotSupported);
  expect_stopped("app_run()");
}

TEST_F(Sound, AVdevsAbortEndsItsExchange) {
  unlocked();
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  leave_waiting(vdev);
  ASSERT_RMI(rmm.vdev_abort(rd, pdev, vdev));
  EXPECT_EQ(vdev_state(), VdevState::kError);
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kUnlocked);
}

// app.c, app_run(): one application for all VDEVs of a card.
TEST_F(Defective, TwoExchangesOfOneCardStopTheMonitor) {
  unlocked();
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  leave_waiting(vdev);
  ASSERT_RMI(rmm.pdev_stream_key_refresh(pdev, rp, handle));
  ASSERT_RMI(drive_port());
  EXPECT_RMI(drive_pdev(), Code::kSmcNotSupported);
  expect_stopped("app_run()");
}

TEST_F(Sound, TheSecondExchangeOfOneCardFails) {
  unlocked();
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  leave_waiting(vdev);
  ASSERT_RMI(rmm.pdev_stream_key_refresh(pdev, rp, handle));
  ASSERT_RMI(drive_port());
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
  EXPECT_FALSE(rmm.panicked());
}

// pdev.c, pdev_dispatch_cmd_ep(): da_app_yielded stays after an exchange that failed.
TEST_F(Defective, AStopAfterAFailedExchangeStopsTheMonitor) {
  ASSERT_RMI(finish(rmm.pdev_create(pdev, page(pdev_params()))));
  ASSERT_RMI(drive_pdev(true));
  EXPECT_EQ(pdev_state(), PdevState::kError);
  ASSERT_RMI(rmm.pdev_abort(pdev));
  ASSERT_RMI(rmm.pdev_stop(pdev));
  EXPECT_RMI(drive_pdev(), Code::kSmcNotSupported);
  expect_stopped("app_resume()");
}

TEST_F(Sound, AStopAfterAFailedExchangeWorks) {
  ASSERT_RMI(finish(rmm.pdev_create(pdev, page(pdev_params()))));
  ASSERT_RMI(drive_pdev(true));
  ASSERT_RMI(rmm.pdev_abort(pdev));
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(finish(rmm.pdev_destroy(pdev)));
}

// dev_assign_app_stub.c, dev_assign_abort_app_operation(): the application that yielded for
// the host's cache does not look at the status.
TEST_F(Defective, AnAbortBetweenMessagesStopsTheMonitor) {
  ASSERT_RMI(finish(rmm.pdev_create(pdev, page(pdev_params()))));
  CommEnter enter = enter_none();
  for (int step = 0; step < 2; ++step) {
    set_enter(enter);
    ASSERT_RMI(rmm.pdev_communicate(pdev, data));
    if (step == 1) break;
    const Bytes answer = carry(exit());
    ASSERT_TRUE(memory.write(response, answer));
    enter.status = CommEnter::kResponse;
    enter.response_length = answer.size();
  }
  ASSERT_EQ(exit().flags & CommExit::kSend, 0U);
  EXPECT_RMI(rmm.pdev_abort(pdev), Code::kSmcNotSupported);
  expect_stopped("dev_assign_abort_app_operation()");
}

// pdev.c: CONNECTING has no way out but STREAM_COMPLETE, which wants READY.
TEST_F(Defective, AStreamThatFailedKeepsBothPdevsForEver) {
  make_smmu();
  device.kp_ack_status = 4;
  open();
  handle = rmm.pdev_stream_connect(page(stream_params())).x1;
  ASSERT_RMI(drive_port());
  ASSERT_RMI(drive_pdev());
  EXPECT_EQ(pdev_state(), PdevState::kError);
  ASSERT_RMI(rmm.pdev_abort(pdev));
  ASSERT_RMI(rmm.pdev_abort(rp));
  EXPECT_RMI(rmm.pdev_stop(pdev), Code::kDevice);
  EXPECT_RMI(rmm.pdev_stop(rp), Code::kDevice);
  EXPECT_RMI(rmm.pdev_stream_complete(pdev, rp, handle), Code::kInput);
  EXPECT_RMI(rmm.pdev_stream_disconnect(pdev, rp, handle), Code::kDevice);
}

TEST_F(Sound, AStreamThatFailedIsFreeAfterTheAbort) {
  make_smmu();
  device.kp_ack_status = 4;
  open();
  (void)rmm.pdev_stream_connect(page(stream_params()));
  ASSERT_RMI(drive_port());
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(rmm.pdev_abort(pdev));
  EXPECT_EQ(port.free_streams(), port.streams());
  ASSERT_RMI(rmm.pdev_stop(pdev));
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(rmm.pdev_stop(rp));
}

// rsi/vdev.c, finish_rsi_vdev_dma_enable(): an UNLOCK came after VDEV_COMPLETE.
TEST_F(Defective, DmaIsEnabledBehindAnUnlock) {
  locked();
  start();
  (void)rmm.rsi_vdev_dma_enable(rec, kId, nonces());
  ASSERT_RMI(rmm.vdev_complete(rec, vdev));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  ASSERT_RMI(rmm.rec_enter(rec));
  EXPECT_EQ(rmm.rsi_result(rec).code, RsiCode::kSuccess);
  ASSERT_RMI(drive_vdev());
  EXPECT_RMI(rmm.vdev_destroy(rd, pdev, vdev), Code::kSmcNotSupported);
  expect_stopped("smc_vdev_destroy()");
}

TEST_F(Sound, DmaStaysOffBehindAnUnlock) {
  locked();
  start();
  (void)rmm.rsi_vdev_dma_enable(rec, kId, nonces());
  ASSERT_RMI(rmm.vdev_complete(rec, vdev));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  ASSERT_RMI(rmm.rec_enter(rec));
  EXPECT_EQ(rmm.rsi_result(rec).code, RsiCode::kDevice);
  ASSERT_RMI(drive_vdev());
  ASSERT_RMI(rmm.vdev_destroy(rd, pdev, vdev));
}

TEST_F(Defective, ALockNamesStreamZero) {
  device.lock_flags = wire::kLockNoFirmwareUpdate | wire::kLockMsix;
  locked();
  EXPECT_EQ(device.tdis[0x100].lock.default_stream_id, 0);
  EXPECT_EQ(device.tdis[0x100].lock.flags, wire::kLockNoFirmwareUpdate);
}

TEST_F(Sound, ALockNamesTheCardsStream) {
  locked();
  EXPECT_EQ(device.tdis[0x100].lock.default_stream_id, 5);
}

}  // namespace
}  // namespace teeio::rmm
