#include "unit/firmware/rmm/machine.h"

// What keeps a realm's device memory the realm's: no page is valid without the realm's
// request, and none takes the place of one that was. Source: TF-RMM runtime/rmi/rtt.c,
// smc_rtt_dev_validate(); s2tt/rtt_unmap.c, unmap_make_new_s2tte(); runtime/rsi/vdev.c.

namespace teeio::rmm {
namespace {

class Validate : public Machine {
 protected:
  void SetUp() override { run(); }  // the second page of the BAR is mapped
  RsiResult asks(std::uint64_t id, Gpa top) {
    return rmm.rsi_vdev_validate_mapping(
        rec, {.vdev_id = id, .base = kPage, .top = top, .pa = kBarPage, .nonces = {}});
  }
  static constexpr Gpa kPage{0x4000'1000};
  static constexpr Hpa kBarPage{0x8000'1000};
};

TEST_F(Validate, TheHostAloneMakesNothingValid) {
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize), Code::kInput);
  EXPECT_RMI(rmm.vdev_complete(rec, vdev), Code::kInput);
  asks(kId, kPage + kPageSize);
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize), Code::kInput);
}

TEST_F(Validate, TheRealmsRequestIsMadeValidOnce) {
  ask(kPage, kPage + kPageSize, kBarPage);
  const RmiResult valid = rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize);
  ASSERT_RMI(valid);
  EXPECT_EQ(valid.x1, raw(kPage + kPageSize));
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize), Code::kInput);
  ASSERT_RMI(rmm.rec_enter(rec));
  EXPECT_EQ(rmm.rsi_result(rec).code, RsiCode::kSuccess);
  EXPECT_EQ(rmm.rsi_result(rec).x1, raw(kPage + kPageSize));
  // Valid already, and so not EMPTY.
  ask(kPage, kPage + kPageSize, kBarPage);
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize), Code::kRtt);
}

TEST_F(Validate, OnlyWhereAndWhatTheRealmAskedFor) {
  map(0);
  ask(kPage, kPage + kPageSize, kBar);  // another page of the BAR is mapped there
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize), Code::kRtt);
  ask(kPage, kPage + kPageSize, kBarPage);
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kIpa, kPage + kPageSize), Code::kInput);
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + 2 * kPageSize), Code::kInput);
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage), Code::kInput);
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + 8), Code::kInput);
}

TEST_F(Validate, APageThatReplacesAValidOneStaysInvalid) {
  ask(kPage, kPage + kPageSize, kBarPage);
  ASSERT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize));
  ASSERT_RMI(dev_unmap(kPage));
  ASSERT_RMI(delegate(kBar));
  for (const Hpa page : {kBar, kBarPage}) {
    ASSERT_RMI(dev_map(kPage, page));
    ask(kPage, kPage + kPageSize, page);
    EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize), Code::kRtt);
    ASSERT_RMI(dev_unmap(kPage));  // DESTROYED stays DESTROYED
  }
}

TEST_F(Validate, APageThatWasNeverValidMayBeReplaced) {
  ASSERT_RMI(dev_unmap(kPage));
  ASSERT_RMI(dev_map(kPage, kBarPage));
  ask(kPage, kPage + kPageSize, kBarPage);
  ASSERT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize));
}

TEST_F(Validate, StopsAtTheFirstPageThatIsNotAsWanted) {
  ask(kPage, kPage + 2 * kPageSize, kBarPage);
  const RmiResult valid = rmm.rtt_dev_validate(rd, rec, kPage, kPage + 2 * kPageSize);
  ASSERT_RMI(valid);
  EXPECT_EQ(valid.x1, raw(kPage + kPageSize));
  ASSERT_RMI(rmm.rec_enter(rec));
  EXPECT_EQ(rmm.rsi_result(rec).x1, raw(kPage + kPageSize));
  // The realm has gone on: what it has not got it must ask for anew.
  EXPECT_RMI(rmm.rtt_dev_validate(rd, rec, kPage + kPageSize, kPage + 2 * kPageSize), Code::kInput);
}

TEST_F(Validate, TheVdevIsTheOneThatTheRealmMeans) {
  asks(kId + 1, kPage + kPageSize);
  EXPECT_RMI(rmm.vdev_complete(rec, vdev), Code::kInput);
  ASSERT_RMI(rmm.rec_enter(rec));  // unnamed: the realm's call fails
  EXPECT_EQ(rmm.rsi_result(rec).code, RsiCode::kInput);
  EXPECT_EQ(asks(kId, kPage).code, RsiCode::kInput);
}

TEST_F(Validate, AVdevThatIsNotLockedGetsNoMemoryIn) {
  ASSERT_RMI(dev_unmap(kPage));
  ASSERT_RMI(rmm.vdev_unlock(rd, pdev, vdev));
  asks(kId, kPage + kPageSize);
  EXPECT_RMI(rmm.vdev_complete(rec, vdev), Code::kDevice);  // busy
  ASSERT_RMI(drive_vdev());
  ASSERT_RMI(rmm.vdev_complete(rec, vdev));
  EXPECT_EQ(rmm.rec_enter(rec).x1, static_cast<std::uint64_t>(RecExit::kRealm));
  EXPECT_EQ(rmm.rsi_result(rec).code, RsiCode::kInput);
}

TEST_F(Validate, ARecBelongsToItsRealm) {
  const Hpa other = granule();
  const Hpa late = granule();
  ASSERT_RMI(rmm.realm_create(other, {.vm = 2, .rtt = granule()}));
  EXPECT_RMI(rmm.rtt_dev_validate(other, rec, kPage, kPage + kPageSize), Code::kRec);
  EXPECT_RMI(create_rec(rd, late), Code::kRealm);  // ACTIVE
  EXPECT_RMI(rmm.rtt_dev_validate(rd, late, kPage, kPage + kPageSize), Code::kInput);
}

// update_ripas(): only the realm takes a page out of DESTROYED, and asks for it by name.
TEST_F(Validate, TheRealmMayTakeALostPageAgain) {
  ask(kPage, kPage + kPageSize, kBarPage);
  ASSERT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize));
  ASSERT_RMI(dev_unmap(kPage));
  EXPECT_EQ(rmm.rtt_read_entry(rd, kPage, 3).x4, static_cast<std::uint64_t>(Ripas::kDestroyed));
  ASSERT_EQ(rmm.rsi_ipa_state_set(rec, kPage, kPage + kPageSize, 0, false).code,
            RsiCode::kIncomplete);
  ASSERT_RMI(rmm.rtt_set_ripas(rd, rec, kPage, kPage + kPageSize));
  ASSERT_RMI(rmm.rec_enter(rec));
  EXPECT_EQ(rmm.rsi_result(rec).x1, raw(kPage + kPageSize));
  ASSERT_RMI(dev_map(kPage, kBarPage));
  ask(kPage, kPage + kPageSize, kBarPage);
  ASSERT_RMI(rmm.rtt_dev_validate(rd, rec, kPage, kPage + kPageSize));
}

TEST_F(Validate, AnotherLocksNoncesGetNoMemoryIn) {
  Nonces old = nonces();
  ++old.lock;
  (void)rmm.rsi_vdev_validate_mapping(
      rec,
      {.vdev_id = kId, .base = kPage, .top = kPage + kPageSize, .pa = kBarPage, .nonces = old});
  EXPECT_EQ(complete(), RecExit::kRealm);
  EXPECT_EQ(rmm.rsi_result(rec).code, RsiCode::kDevice);
}

TEST_F(Validate, TheHostMayRejectWhatIsLeft) {
  ask(kPage, kPage + kPageSize, kBarPage);
  ASSERT_RMI(rmm.rec_enter(rec, kRejectDevMem));
  EXPECT_EQ(rmm.rsi_result(rec).x1, raw(kPage));
  EXPECT_EQ(rmm.rsi_result(rec).x2, 1U);
}

TEST_F(Validate, UnmappingNothingPassesItOver) {
  const Gpa at = kIpa + 9 * kPageSize;
  const RmiResult none = rmm.rtt_dev_unmap(rd, at, at + kPageSize, {});
  ASSERT_RMI(none);
  EXPECT_EQ(none.x1, raw(at + kPageSize));
  EXPECT_EQ(none.x2, 0U);
}

}  // namespace
}  // namespace teeio::rmm
