// Every check of the realm's own calls: it refuses, with its status, when it alone fails.
#include "unit/firmware/rmm/rows.h"

namespace teeio::rmm {
namespace {

using M = Story;

RsiResult result(M& m) { return m.rmm.rsi_result(m.rec); }
Rmm::Mapping mapping(M& m) {
  return {.vdev_id = M::kId,
          .base = M::kIpa,
          .top = M::kIpa + kPageSize,
          .pa = M::kBar,
          .nonces = m.nonces()};
}
/// The second half of a call that left the realm.
RsiResult completed(M& m) {
  (void)m.complete();
  return result(m);
}
RsiResult unnamed(M& m) {
  (void)m.rmm.rec_enter(m.rec);
  return result(m);
}
/// Between VDEV_COMPLETE and REC_ENTER, which finds another machine.
RsiResult after(M& m, const std::function<void()>& meanwhile) {
  EXPECT_RMI(m.rmm.vdev_complete(m.rec, m.vdev), Code::kSuccess);
  meanwhile();
  return unnamed(m);
}
RsiResult without_vdev(M& m) {
  return after(m, [&] { ASSERT_RMI(m.rmm.vdev_destroy(m.rd, m.pdev, m.vdev)); });
}

/// GET_INFO as code makes it, with SMCCC's hint about SVE, into a page that is no RAM.
RsiResult into_no_ram(M& m) {
  const Hpa run = *m.memory.alloc_page();
  hw::ArmRegisters registers;
  EXPECT_RMI(m.rmm.rec_enter(m.rec, run, registers), Code::kSuccess);
  registers.x[0] = 0xc400'019d | 1U << 16U;
  registers.x[1] = M::kId;
  registers.x[2] = raw(M::kIpa);
  EXPECT_FALSE(m.rmm.realm_call(m.rec, run, registers));
  EXPECT_RMI(m.rmm.vdev_complete(m.rec, m.vdev), Code::kSuccess);
  EXPECT_EQ(m.rmm.rec_enter(m.rec, run, registers).x1, static_cast<std::uint64_t>(RecExit::kRealm));
  m.rmm.rec_exit(m.rec, run, {});
  return result(m);
}

struct RsiCase {
  const Row* row;
  std::string_view id;
  std::function<void(M&)> prepare;
  std::function<RsiResult(M&)> call;
};

void plain_realm(M& m) { m.make_realm(false); }
void begun_token(M& m) {
  m.make_realm(false);
  (void)m.rmm.rsi_attest_token_init(m.rec, {});
}
void unlocked(M& m) { m.unlocked(); }
void started(M& m) {
  m.locked();
  m.start();
}

const RsiCase kCases[] = {
    {&row::kRsiVdevGetInfo, "da", plain_realm,
     [](M& m) { return m.rmm.rsi_vdev_get_info(m.rec, M::kId, 0); }},
    {&row::kRsiVdevGetInfo, "aligned", unlocked,
     [](M& m) { return m.rmm.rsi_vdev_get_info(m.rec, M::kId, 256); }},
    {&row::kRsiVdevGetInfo, "protected", unlocked,
     [](M& m) { return m.rmm.rsi_vdev_get_info(m.rec, M::kId, Rtt::kProtected); }},
    {&row::kRsiVdevGetInfo, "complete", unlocked,
     [](M& m) { return (void)m.rmm.rsi_vdev_get_info(m.rec, M::kId, 0), unnamed(m); }},
    {&row::kRsiVdevGetInfo, "memory", unlocked, into_no_ram},
    {&row::kRsiVdevGetInfo, "gone", unlocked,
     [](M& m) { return (void)m.rmm.rsi_vdev_get_info(m.rec, M::kId, 0), without_vdev(m); }},
    {&row::kRsiVdevValidateMapping, "da", plain_realm,
     [](M& m) { return m.rmm.rsi_vdev_validate_mapping(m.rec, {}); }},
    {&row::kRsiVdevValidateMapping, "range", unlocked,
     [](M& m) {
       Rmm::Mapping wrong = mapping(m);
       wrong.top = wrong.base;
       return m.rmm.rsi_vdev_validate_mapping(m.rec, wrong);
     }},
    {&row::kRsiVdevValidateMapping, "complete", started,
     [](M& m) { return (void)m.rmm.rsi_vdev_validate_mapping(m.rec, mapping(m)), unnamed(m); }},
    {&row::kRsiVdevValidateMapping, "gone", unlocked,
     [](M& m) {
       return (void)m.rmm.rsi_vdev_validate_mapping(m.rec, mapping(m)), without_vdev(m);
     }},
    {&row::kRsiVdevValidateMapping, "state", unlocked,
     [](M& m) { return (void)m.rmm.rsi_vdev_validate_mapping(m.rec, mapping(m)), completed(m); }},
    {&row::kRsiVdevValidateMapping, "nonce", started,
     [](M& m) {
       Rmm::Mapping old = mapping(m);
       ++old.nonces.report;
       return (void)m.rmm.rsi_vdev_validate_mapping(m.rec, old), completed(m);
     }},
    {&row::kRsiVdevDmaEnable, "da", plain_realm,
     [](M& m) { return m.rmm.rsi_vdev_dma_enable(m.rec, M::kId, {}); }},
    {&row::kRsiVdevDmaEnable, "complete", started,
     [](M& m) { return (void)m.rmm.rsi_vdev_dma_enable(m.rec, M::kId, m.nonces()), unnamed(m); }},
    {&row::kRsiVdevDmaEnable, "gone", unlocked,
     [](M& m) {
       return (void)m.rmm.rsi_vdev_dma_enable(m.rec, M::kId, m.nonces()), without_vdev(m);
     }},
    {&row::kRsiVdevDmaEnable, "state", unlocked,
     [](M& m) { return (void)m.rmm.rsi_vdev_dma_enable(m.rec, M::kId, m.nonces()), completed(m); }},
    {&row::kRsiVdevDmaEnable, "nonce", started,
     [](M& m) { return (void)m.rmm.rsi_vdev_dma_enable(m.rec, M::kId, {}), completed(m); }},
    {&row::kRsiVdevDmaDisable, "da", plain_realm,
     [](M& m) { return m.rmm.rsi_vdev_dma_disable(m.rec, M::kId); }},
    {&row::kRsiVdevDmaDisable, "complete", unlocked,
     [](M& m) { return (void)m.rmm.rsi_vdev_dma_disable(m.rec, M::kId), unnamed(m); }},
    {&row::kRsiVdevDmaDisable, "gone", unlocked,
     [](M& m) { return (void)m.rmm.rsi_vdev_dma_disable(m.rec, M::kId), without_vdev(m); }},
    {&row::kRsiIpaStateSet, "ripas", unlocked,
     [](M& m) { return m.rmm.rsi_ipa_state_set(m.rec, M::kIpa, M::kIpa + kPageSize, 2, false); }},
    {&row::kRsiVersion, "version", plain_realm,
     [](M& m) { return m.rmm.rsi_version(m.rec, 0x2'0000); }},
    {&row::kRsiMeasurementRead, "slot", plain_realm,
     [](M& m) {
       Rmm::MeasurementWords words;
       return m.rmm.rsi_measurement_read(m.rec, 5, words);
     }},
    {&row::kRsiMeasurementExtend, "slot", plain_realm,
     [](M& m) { return m.rmm.rsi_measurement_extend(m.rec, 0, 8, {}); }},
    {&row::kRsiMeasurementExtend, "size", plain_realm,
     [](M& m) { return m.rmm.rsi_measurement_extend(m.rec, 1, 65, {}); }},
    {&row::kRsiAttestTokenContinue, "range", begun_token,
     [](M& m) { return m.rmm.rsi_attest_token_continue(m.rec, M::kIpa, 4000, 97); }},
    {&row::kRsiAttestTokenContinue, "protected", begun_token,
     [](M& m) { return m.rmm.rsi_attest_token_continue(m.rec, Gpa{Rtt::kProtected}, 0, 8); }},
    {&row::kRsiAttestTokenContinue, "state", plain_realm,
     [](M& m) { return m.rmm.rsi_attest_token_continue(m.rec, M::kIpa, 0, 8); }},
    {&row::kRsiAttestTokenContinue, "memory", begun_token,
     [](M& m) { return m.rmm.rsi_attest_token_continue(m.rec, M::kIpa, 0, 8); }},
    {&row::kRsiRealmConfig, "aligned", plain_realm,
     [](M& m) { return m.rmm.rsi_realm_config(m.rec, Gpa{8}); }},
    {&row::kRsiRealmConfig, "memory", plain_realm,
     [](M& m) { return m.rmm.rsi_realm_config(m.rec, M::kIpa); }},
    {&row::kRsiIpaStateGet, "range", plain_realm,
     [](M& m) { return m.rmm.rsi_ipa_state_get(m.rec, M::kIpa, M::kIpa); }},
    {&row::kRsiHostCall, "aligned", plain_realm,
     [](M& m) { return m.rmm.rsi_host_call(m.rec, M::kIpa + 8); }},
    {&row::kRsiHostCall, "protected", plain_realm,
     [](M& m) { return m.rmm.rsi_host_call(m.rec, Gpa{Rtt::kProtected}); }},
    {&row::kRsiHostCall, "memory", plain_realm,
     [](M& m) { return m.rmm.rsi_host_call(m.rec, M::kIpa); }},
    {&row::kRsiIpaStateSet, "range", unlocked,
     [](M& m) { return m.rmm.rsi_ipa_state_set(m.rec, M::kIpa, M::kIpa + 8, 0, false); }},
};

TEST(RsiRows, EachCheckRefusesWithItsStatusWhenItAloneFails) {
  for (const Row* row : rows()) {
    if (!row->of_realm() || row->of_psci()) continue;
    for (const Check& check : row->checks) {
      SCOPED_TRACE(std::string(row->name) + ": " + std::string(check.id));
      const auto one = std::ranges::find_if(
          kCases, [&](const RsiCase& c) { return c.row == row && c.id == check.id; });
      ASSERT_NE(one, std::end(kCases)) << "no test makes this check fail";
      Story m;
      one->prepare(m);
      const RsiResult refused = one->call(m);
      ASSERT_NE(refused.refused_by, nullptr);
      EXPECT_EQ(refused.refused_by->id, check.id);
      const RsiCode wanted = check.code == Code::kRealm    ? RsiCode::kState
                             : check.code == Code::kDevice ? RsiCode::kDevice
                                                           : RsiCode::kInput;
      EXPECT_EQ(static_cast<int>(refused.code), static_cast<int>(wanted));
    }
  }
}

}  // namespace
}  // namespace teeio::rmm
