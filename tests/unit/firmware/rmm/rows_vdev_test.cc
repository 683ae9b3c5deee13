// What makes each check of a VDEV's commands fail: see rows_test.cc.
#include "unit/firmware/rmm/rows.h"

namespace teeio::rmm {
namespace {

using M = Story;

void a_granule(M& m) { m.instead = m.granule(); }
void no_rd(M& m) { m.rd = m.granule(); }
void no_pdev(M& m) { m.pdev = m.granule(); }
void no_vdev(M& m) { m.vdev = m.granule(); }
void other_realm(M& m) { m.other_realm(); }
void other_pdev(M& m) { m.other_pdev(); }
void busy_pdev(M& m) { (void)m.rmm.pdev_stream_key_refresh(m.pdev, m.rp, m.handle); }
void lock_is_due(M& m) { (void)m.rmm.vdev_lock(m.rd, m.pdev, m.vdev); }
void start_is_due(M& m) { (void)m.rmm.vdev_start(m.rd, m.pdev, m.vdev); }
void report_is_due(M& m) { (void)m.rmm.vdev_get_interface_report(m.rd, m.pdev, m.vdev); }

void connected(M& m) {
  m.make_realm();
  m.connect();
}
void unlocked(M& m) { m.unlocked(); }
void locked(M& m) { m.locked(); }
void locking(M& m) {
  m.unlocked();
  lock_is_due(m);
}

/// Another VDEV of the card, and the record for the next.
void create_other(M& m, std::uint16_t tdi, std::uint64_t page) {
  VdevParams record = m.vdev_params();
  record.tdi = tdi;
  record.ranges = {{.base = M::kBar + page * kPageSize, .top = M::kBar + (page + 1) * kPageSize}};
  const Hpa at = m.granule();
  ASSERT_RMI(m.rmm.vdev_create(m.rd, m.pdev, at, m.page(record)));
}
void without_table(M& m) {
  ASSERT_RMI(m.finish(m.rmm.psmmu_st_l2_destroy(Settings::kPsmmu, M::kSid)));
}

const std::map<std::string_view, std::function<void(M&)>> kCommon{
    {"rd_pdev", no_rd}, {"vdev", no_vdev}, {"realm", other_realm}, {"pdev", other_pdev}};
std::map<std::string_view, std::function<void(M&)>> with_common(
    std::map<std::string_view, std::function<void(M&)>> own) {
  own.insert(kCommon.begin(), kCommon.end());
  return own;
}

const Cases kCases{
    {.row = &row::kVdevCreate,
     .prepare = connected,
     .call = [](M& m) { return m.rmm.vdev_create(m.rd, m.pdev, m.vdev, m.at(m.vp)); },
     .wrong = {{"rd_pdev", no_pdev},
               {"da",
                [](M& m) {
                  m.rd = m.granule();
                  m.rtt = m.granule();
                  m.rec = m.granule();
                  m.make_realm(false);
                }},
               {"params", a_granule},
               {"flags", [](M& m) { m.vp.flags = 1; }},
               {"ranges", [](M& m) { m.vp.ranges.front().top = m.vp.ranges.front().base; }},
               {"tdi", [](M& m) { m.vp.tdi = 0x102; }},
               {"category",
                [](M& m) {
                  PdevParams port = m.port_params();
                  port.rid_base = 0x100;
                  port.rid_top = 0x102;
                  m.pdev = m.granule();
                  ASSERT_RMI(m.rmm.pdev_create(m.pdev, m.page(port)));
                }},
               {"state", other_pdev},
               {"full",
                [](M& m) {
                  create_other(m, 0x100, 8);
                  create_other(m, 0x101, 9);
                }},
               {"overlap", [](M& m) { create_other(m, 0x101, 3); }},
               {"stream",
                [](M& m) {
                  (void)m.rmm.pdev_stream_disconnect(m.pdev, m.rp, m.handle);
                  m.drive_stream();
                  ASSERT_RMI(m.rmm.pdev_stream_complete(m.pdev, m.rp, m.handle));
                }},
               {"granule", [](M& m) { m.vdev = m.params; }},
               {"smmu", [](M&) {}},
               {"inactive",
                [](M& m) {
                  without_table(m);
                  ASSERT_RMI(m.finish(m.rmm.psmmu_deactivate(Settings::kPsmmu)));
                }},
               {"table", without_table},
               {"ste", [](M& m) { create_other(m, 0x100, 8); }}}},
    {.row = &row::kVdevCommunicate,
     .prepare = locking,
     .call = [](M& m) { return m.rmm.vdev_communicate(m.rd, m.pdev, m.vdev, m.entered_at()); },
     .wrong = {{"rd", no_rd},
               {"pdev_granule", no_pdev},
               {"vdev", no_vdev},
               {"realm", other_realm},
               {"data", a_granule},
               {"pdev", other_pdev},
               {"comm", [](M& m) { (void)m.drive_vdev(); }},
               {"buffers", [](M& m) { m.entered.response_length = 4097; }},
               {"length",
                [](M& m) {
                  m.entered.status = CommEnter::kResponse;
                  m.entered.response_length = 0;
                }},
               {"buffers_ns", [](M& m) { m.entered.request = m.granule(); }},
               {"status",
                [](M& m) {
                  busy_pdev(m);
                  m.entered.status = CommEnter::kError;
                }}}},
    {.row = &row::kVdevGetState,
     .prepare = unlocked,
     .call = [](M& m) { return m.rmm.vdev_get_state(m.vdev); },
     .wrong = {{"vdev", no_vdev}}},
    {.row = &row::kVdevLock,
     .prepare = unlocked,
     .call = [](M& m) { return m.rmm.vdev_lock(m.rd, m.pdev, m.vdev); },
     .wrong = with_common({{"state", [](M& m) { m.lock(); }}, {"comm", lock_is_due}})},
    {.row = &row::kVdevStart,
     .prepare = locked,
     .call = [](M& m) { return m.rmm.vdev_start(m.rd, m.pdev, m.vdev); },
     .wrong = with_common({{"state", [](M& m) { m.start(); }}, {"comm", report_is_due}})},
    {.row = &row::kVdevGetMeasurements,
     .prepare = unlocked,
     .call =
         [](M& m) {
           return m.rmm.vdev_get_measurements(m.rd, m.pdev, m.vdev, m.at(MeasureParams{}));
         },
     .wrong = with_common({{"comm", busy_pdev}, {"params", a_granule}})},
    {.row = &row::kVdevGetInterfaceReport,
     .prepare = locked,
     .call = [](M& m) { return m.rmm.vdev_get_interface_report(m.rd, m.pdev, m.vdev); },
     .wrong = with_common({{"state",
                            [](M& m) {
                              (void)m.rmm.vdev_unlock(m.rd, m.pdev, m.vdev);
                              (void)m.drive_vdev();
                            }},
                           {"comm", start_is_due}})},
    {.row = &row::kVdevComplete,
     .prepare =
         [](M& m) {
           m.locked();
           (void)m.rmm.rsi_vdev_dma_disable(m.rec, M::kId);
         },
     .call = [](M& m) { return m.rmm.vdev_complete(m.rec, m.vdev); },
     .wrong = {{"rec", [](M& m) { m.rec = m.granule(); }},
               {"vdev", no_vdev},
               {"request", [](M& m) { (void)m.rmm.rec_enter(m.rec); }},
               {"other", [](M& m) { (void)m.rmm.rsi_vdev_dma_disable(m.rec, M::kId + 1); }},
               {"comm", start_is_due}}},
    {.row = &row::kVdevUnlock,
     .prepare = locked,
     .call = [](M& m) { return m.rmm.vdev_unlock(m.rd, m.pdev, m.vdev); },
     .wrong = with_common({{"state",
                            [](M& m) {
                              (void)m.rmm.vdev_unlock(m.rd, m.pdev, m.vdev);
                              (void)m.drive_vdev();
                            }},
                           {"comm", start_is_due},
                           {"mapped", [](M& m) { m.map(2); }}})},
    {.row = &row::kVdevAbort,
     .prepare = locking,
     .call = [](M& m) { return m.rmm.vdev_abort(m.rd, m.pdev, m.vdev); },
     .wrong = {{"rd", no_rd},
               {"pdev_granule", no_pdev},
               {"vdev", no_vdev},
               {"comm", [](M& m) { (void)m.drive_vdev(); }},
               {"realm", other_realm},
               {"pdev", other_pdev}}},
    {.row = &row::kVdevDestroy,
     .prepare = unlocked,
     .call = [](M& m) { return m.rmm.vdev_destroy(m.rd, m.pdev, m.vdev); },
     .wrong = with_common({{"state", [](M& m) { m.lock(); }}})}};

}  // namespace
}  // namespace teeio::rmm
