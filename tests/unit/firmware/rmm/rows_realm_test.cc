// What makes each check of the commands about granules, realms, SMMUs and stateful
// operations fail: see rows_test.cc.
#include "unit/firmware/rmm/rows.h"

namespace teeio::rmm {
namespace {

using M = Story;

void no_rd(M& m) { m.rd = m.granule(); }
void a_granule(M& m) { m.instead = m.granule(); }
void runs(M& m) { m.rmm.set_running(m.rec, true); }

/// A realm beside the first, as far as `then` takes it, and terminated.
void ended_realm(M& m, const std::function<void()>& then) {
  m.other_realm();
  then();
  ASSERT_RMI(m.rmm.realm_terminate(m.rd));
}
void active_smmu(M& m) {
  ASSERT_RMI(m.finish(m.rmm.psmmu_activate(Settings::kPsmmu, m.page(PsmmuParams{}))));
}
void write_list(M& m, const AddressDescriptor& descriptor) {
  EXPECT_TRUE(m.memory.write_u64(m.list, descriptor.encode()));
}
void begin_activation(M& m) {
  m.handle = m.rmm.psmmu_activate(Settings::kPsmmu, m.page(PsmmuParams{})).x1;
  write_list(m, {.base = m.run_of(2), .count = 2});
}
RmiResult donate(M& m) { return m.rmm.op_mem_donate(m.handle, m.list, m.count); }

constexpr std::uint64_t kDenied = ~std::uint64_t{0} - 2;

const Cases kPower{{.row = &row::kPsciComplete,
                    .prepare =
                        [](M& m) {
                          const std::uint64_t mpidr = m.add_rec();
                          (void)m.rmm.psci(m.rec, {kPsciCpuOn, mpidr, 0x1000, 7});
                          m.sid = 0;  // the status
                        },
                    .call = [](M& m) { return m.rmm.psci_complete(m.rec, m.other_rec, m.sid); },
                    .wrong = {{"aligned", [](M& m) { m.other_rec = m.other_rec + 8; }},
                              {"recs", [](M& m) { m.other_rec = m.rec; }},
                              {"running", runs},
                              {"pending", [](M& m) { std::swap(m.rec, m.other_rec); }},
                              {"foreign",
                               [](M& m) {
                                 m.other_realm();
                                 m.other_rec = m.granule();
                                 ASSERT_RMI(m.create_rec(m.rd, m.other_rec));
                               }},
                              {"target", [](M& m) { (void)m.add_rec(); }},
                              {"status", [](M& m) { m.sid = 1; }},
                              {"denied", [](M& m) {
                                 m.sid = kDenied;
                                 m.rmm.set_running(m.other_rec, true);
                               }}}}};

const Cases kRealms{
    {.row = &row::kGranuleRangeDelegate,
     .prepare = [](M&) {},
     .call = [](M& m) { return m.rmm.granule_range_delegate(m.params, m.params + m.count * 4096); },
     .wrong = {{"range", [](M& m) { m.count = 0; }}, {"granule", [](M& m) { m.params = m.rd; }}}},
    {.row = &row::kGranuleRangeUndelegate,
     .prepare = [](M&) {},
     .call = [](M& m) { return m.rmm.granule_range_undelegate(m.rd, m.rd + m.count * 4096); },
     .wrong = {{"range", [](M& m) { m.count = 0; }}, {"granule", [](M& m) { m.rd = m.params; }}}},
    {.row = &row::kRealmCreate,
     .prepare = [](M& m) { m.level = 2; },
     .call =
         [](M& m) { return m.rmm.realm_create(m.rd, {.vm = 1, .rtt = m.rtt, .hash = m.level}); },
     .wrong = {{"da", [](M&) {}},
               {"hash", [](M& m) { m.level = 3; }},
               {"vmid",
                [](M& m) {
                  for (int i = 0; i < 255; ++i)
                    ASSERT_RMI(m.rmm.realm_create(m.granule(), {.vm = 2, .rtt = m.granule()}));
                }},
               {"rtt", [](M& m) { m.rtt = m.params; }},
               {"granule", [](M& m) { m.rd = m.params; }}}},
    {.row = &row::kRealmActivate,
     .prepare = [](M& m) { (void)m.rmm.realm_create(m.rd, {.vm = 1, .rtt = m.rtt}); },
     .call = [](M& m) { return m.rmm.realm_activate(m.rd); },
     .wrong = {{"rd", no_rd}, {"state", [](M& m) { (void)m.rmm.realm_activate(m.rd); }}}},
    {.row = &row::kRealmTerminate,
     .prepare = [](M& m) { m.make_realm(); },
     .call = [](M& m) { return m.rmm.realm_terminate(m.rd); },
     .wrong = {{"rd", no_rd}, {"running", runs}}},
    {.row = &row::kRealmDestroy,
     .prepare =
         [](M& m) {
           m.make_realm();
           (void)m.finish(m.rmm.rec_destroy(m.rec));
           (void)m.rmm.realm_terminate(m.rd);
         },
     .call = [](M& m) { return m.rmm.realm_destroy(m.rd); },
     .wrong = {{"rd", no_rd},
               {"recs",
                [](M& m) { ended_realm(m, [&] { (void)m.create_rec(m.rd, m.granule()); }); }},
               {"state", [](M& m) { m.other_realm(); }},
               {"rtt",
                [](M& m) {
                  ended_realm(m, [&] { (void)m.rmm.rtt_create(m.rd, m.granule(), m.base, 2); });
                }},
               {"vdevs",
                [](M& m) {
                  ended_realm(m, [&] {
                    m.connect();
                    m.create_vdev();
                  });
                }}}},
    {.row = &row::kRecCreate,
     .prepare = [](M& m) { (void)m.rmm.realm_create(m.rd, {.vm = 1, .rtt = m.rtt}); },
     .call = [](M& m) { return m.finish(m.rmm.rec_create(m.rd, m.rec, m.at(m.rec_params))); },
     .wrong = {{"granule", [](M& m) { m.rec = m.params; }},
               {"params", a_granule},
               {"mpidr", [](M& m) { m.rec_params.mpidr = 1; }},
               {"rd", no_rd},
               {"state", [](M& m) { (void)m.rmm.realm_activate(m.rd); }}}},
    {.row = &row::kRecDestroy,
     .prepare = [](M& m) { m.make_realm(); },
     .call = [](M& m) { return m.finish(m.rmm.rec_destroy(m.rec)); },
     .wrong = {{"rec", [](M& m) { m.rec = m.granule(); }}, {"running", runs}}},
    {.row = &row::kRecEnter,
     .prepare = [](M& m) { m.make_realm(); },
     .call =
         [](M& m) {
           hw::ArmRegisters registers;
           return m.rmm.rec_enter(m.rec, m.at(m.run_record), registers);
         },
     .wrong = {{"run", a_granule},
               {"rec", [](M& m) { m.rec = m.granule(); }},
               {"running", runs},
               {"state", [](M& m) { (void)m.rmm.realm_terminate(m.rd); }},
               {"psci",
                [](M& m) {
                  const std::uint64_t mpidr = m.add_rec();
                  ASSERT_RMI(m.rmm.realm_activate(m.rd));
                  (void)m.rmm.psci(m.rec, {kPsciCpuOn, mpidr, 0, 0});
                }},
               {"runnable",
                [](M& m) {
                  m.rd = m.granule();
                  m.rec = m.granule();
                  ASSERT_RMI(m.rmm.realm_create(m.rd, {.vm = 2, .rtt = m.granule()}));
                  ASSERT_RMI(m.create_rec(m.rd, m.rec, {.flags = 0}));
                  ASSERT_RMI(m.rmm.realm_activate(m.rd));
                }},
               {"sea", [](M& m) { m.run_record.flags = 1U << 1U; }},
               {"mmio", [](M& m) { m.run_record.flags = kEmulatedMmio; }}}}};

const Cases kSmmus{
    {.row = &row::kPsmmuActivate,
     .prepare = [](M&) {},
     .call = [](M& m) { return m.rmm.psmmu_activate(m.psmmu, m.at(m.up)); },
     .wrong = {{"feature", [](M&) {}},
               {"psmmu", [](M& m) { m.psmmu = m.psmmu + kPageSize; }},
               {"params", a_granule},
               {"flags", [](M& m) { m.up.flags = 2; }},
               {"state", active_smmu}}},
    {.row = &row::kPsmmuDeactivate,
     .prepare = active_smmu,
     .call = [](M& m) { return m.rmm.psmmu_deactivate(m.psmmu); },
     .wrong = {{"psmmu", [](M& m) { m.psmmu = m.psmmu + kPageSize; }},
               {"state", [](M& m) { (void)m.finish(m.rmm.psmmu_deactivate(m.psmmu)); }},
               {"tables", [](M& m) { (void)m.finish(m.rmm.psmmu_st_l2_create(m.psmmu, m.sid)); }}}},
    {.row = &row::kPsmmuStL2Create,
     .prepare = active_smmu,
     .call = [](M& m) { return m.rmm.psmmu_st_l2_create(m.psmmu, m.sid); },
     .wrong = {{"psmmu", [](M& m) { m.psmmu = m.psmmu + kPageSize; }},
               {"sid", [](M& m) { m.sid = 0x101; }}}},
    {.row = &row::kPsmmuStL2Destroy,
     .prepare = [](M& m) { m.make_smmu(); },
     .call = [](M& m) { return m.rmm.psmmu_st_l2_destroy(m.psmmu, m.sid); },
     .wrong = {{"psmmu", [](M& m) { m.psmmu = m.psmmu + kPageSize; }},
               {"sid", [](M& m) { m.sid = 0x10000; }},
               {"table", [](M& m) { m.sid = 0x140; }}}},
    {.row = &row::kOpContinue,
     .prepare =
         [](M& m) {
           begin_activation(m);
           (void)donate(m);
           for (int i = 0; i < 2; ++i) {
             write_list(m, {.base = m.granule(), .count = 1});
             (void)donate(m);
           }
         },
     .call = [](M& m) { return m.rmm.op_continue(m.handle); },
     .wrong = {{"handle", [](M& m) { m.handle = 99; }},
               {"expected", [](M& m) { m.handle = m.rmm.psmmu_st_l2_create(m.psmmu, 0).x1; }}}},
    {.row = &row::kOpMemDonate,
     .prepare = begin_activation,
     .call = donate,
     .wrong = {{"handle", [](M& m) { m.handle = 0; }},
               {"expected",
                [](M& m) {
                  m.open();
                  (void)m.rmm.pdev_stop(m.pdev);
                  (void)m.drive_pdev();
                  m.handle = m.rmm.pdev_destroy(m.pdev).x1;
                }},
               {"list_aligned", [](M& m) { m.list = m.list + 4; }},
               {"list", [](M& m) { m.list = m.granule(); }},
               {"descriptor",
                [](M& m) {
                  write_list(m, {.base = m.run_of(2), .count = 2, .undelegated = true});
                }},
               {"amount", [](M& m) { write_list(m, {.base = m.run_of(4), .count = 4}); }},
               {"partial", [](M& m) { write_list(m, {.base = m.granule(), .count = 1}); }}}},
    {.row = &row::kOpMemReclaim,
     .prepare =
         [](M& m) {
           m.make_smmu();
           m.handle = m.rmm.psmmu_st_l2_destroy(m.psmmu, m.sid).x1;
         },
     .call = [](M& m) { return m.rmm.op_mem_reclaim(m.handle, m.list, m.count); },
     .wrong = {{"handle", [](M& m) { m.handle = 0; }},
               {"list_aligned", [](M& m) { m.list = m.list + 4; }},
               {"expected", [](M& m) { (void)m.rmm.op_mem_reclaim(m.handle, m.list, 1); }},
               {"list", [](M& m) { m.list = m.granule(); }}}},
    {.row = &row::kOpCancel,
     .prepare = begin_activation,
     .call = [](M& m) { return m.rmm.op_cancel(m.handle); },
     .wrong = {{"handle", [](M& m) { m.handle = 99; }}, {"cancel", [](M&) {}}},
     .never = true}};

}  // namespace
}  // namespace teeio::rmm
