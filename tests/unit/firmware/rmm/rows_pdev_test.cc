// What makes each check of a PDEV's commands fail: see rows_test.cc.
#include "unit/firmware/rmm/rows.h"

namespace teeio::rmm {
namespace {

using M = Story;

void a_granule(M& m) { m.instead = m.granule(); }
void no_pdev(M& m) { m.pdev = m.granule(); }

/// A stream's operation, driven as far as COMPLETE.
void streaming(M& m) {
  m.open();
  m.handle = m.rmm.pdev_stream_connect(m.page(m.sp)).x1;
  m.drive_stream();
}
void quiet(M& m) {
  m.open();
  m.stream();
}
RmiResult complete(M& m) { return m.rmm.pdev_stream_complete(m.pdev, m.rp, m.handle); }
RmiResult disconnect(M& m) { return m.rmm.pdev_stream_disconnect(m.pdev, m.rp, m.handle); }
RmiResult refresh(M& m) { return m.rmm.pdev_stream_key_refresh(m.pdev, m.rp, m.handle); }

/// Another root port's PDEV, READY.
void other_port(M& m) {
  const Hpa other = m.granule();
  (void)m.rmm.pdev_create(other, m.page(m.port_params()));
  m.rp = other;
  (void)m.drive_port();
}
/// A second PDEV of the same card, which nothing forbids, is about to use the root port.
void port_is_busy(M& m) {
  const Hpa first = m.pdev;
  m.pdev = m.granule();
  m.identify();
  (void)m.rmm.pdev_set_pubkey(m.pdev, m.page(m.kp));
  (void)m.drive_pdev();
  (void)m.rmm.pdev_stream_connect(m.page(StreamParams{.pdev_1 = m.pdev, .pdev_2 = m.rp}));
  m.pdev = first;
}

const Cases kCases{
    {.row = &row::kPdevCreate,
     .prepare = [](M&) {},
     .call = [](M& m) { return m.rmm.pdev_create(m.pdev, m.at(m.pp)); },
     .wrong = {{"params", a_granule},
               {"rids", [](M& m) { m.pp.rid_top = m.pp.rid_base + 1024; }},
               {"hash", [](M& m) { m.pp.hash = 3; }},
               {"flags", [](M& m) { m.pp.flags |= 8; }},
               {"spdm", [](M& m) { m.pp.flags &= ~1U; }},
               {"category",
                [](M& m) { m.pp.flags = PdevParams::make_flags(PdevCategory::kOnChip, true); }},
               {"routing", [](M& m) { m.pp.routing_id = 0x10000; }},
               {"bridge", [](M& m) { m.pp.bridge += 0x1000; }},
               {"function", [](M& m) { m.pp.id = 0x500; }},
               {"granule", [](M& m) { m.pdev = m.params; }}}},
    {.row = &row::kPdevCommunicate,
     .prepare = [](M& m) { (void)m.finish(m.rmm.pdev_create(m.pdev, m.page(m.pp))); },
     .call = [](M& m) { return m.rmm.pdev_communicate(m.pdev, m.entered_at()); },
     .wrong = {{"pdev", no_pdev},
               {"data", a_granule},
               {"comm", [](M& m) { (void)m.drive_pdev(); }},
               {"buffers", [](M& m) { m.entered.request = m.request + 8; }},
               {"length",
                [](M& m) {
                  m.entered.status = CommEnter::kResponse;
                  m.entered.response_length = 0;
                }},
               {"buffers_ns", [](M& m) { m.entered.response = m.granule(); }},
               {"status", [](M& m) { m.entered.status = CommEnter::kError; }}}},
    {.row = &row::kPdevGetState,
     .prepare = [](M& m) { m.identify(); },
     .call = [](M& m) { return m.rmm.pdev_get_state(m.pdev); },
     .wrong = {{"pdev", no_pdev}}},
    {.row = &row::kPdevSetPubkey,
     .prepare = [](M& m) { m.identify(); },
     .call = [](M& m) { return m.rmm.pdev_set_pubkey(m.pdev, m.at(m.kp)); },
     .wrong = {{"params", a_granule},
               {"length", [](M& m) { m.kp.metadata_length = 1025; }},
               {"algorithm", [](M& m) { m.kp.algorithm = 3; }},
               {"size", [](M& m) { m.kp.key_length = 64; }},
               {"pdev", no_pdev},
               {"state",
                [](M& m) {
                  (void)m.rmm.pdev_set_pubkey(m.pdev, m.page(m.kp));
                  (void)m.drive_pdev();
                }},
               {"key", [](M& m) { m.kp.key.back() ^= std::byte{1}; }}}},
    {.row = &row::kPdevStreamConnect,
     .prepare = [](M& m) { m.open(); },
     .call = [](M& m) { return m.rmm.pdev_stream_connect(m.at(m.sp)); },
     .wrong = {{"params", a_granule},
               {"ranges", [](M& m) { m.sp.range_count = 17; }},
               {"type", [](M& m) { m.sp.type = 2; }},
               {"pdevs_aligned", [](M& m) { m.sp.pdev_2 = m.rp + 8; }},
               {"pdevs", [](M& m) { m.sp.pdev_1 = m.granule(); }},
               {"state", [](M& m) { std::swap(m.sp.pdev_1, m.sp.pdev_2); }},
               {"taken", [](M& m) { m.stream(); }}}},
    {.row = &row::kPdevStreamComplete,
     .prepare = streaming,
     .call = complete,
     .wrong = {{"handle", [](M& m) { m.handle += kPageSize; }},
               {"pdevs", [](M& m) { m.rp = m.granule(); }},
               {"taken", [](M& m) { m.handle += 1; }},
               {"second", other_port},
               {"state",
                [](M& m) {
                  (void)complete(m);
                  (void)refresh(m);
                }},
               {"op", [](M& m) { (void)complete(m); }}}},
    {.row = &row::kPdevStreamDisconnect,
     .prepare = quiet,
     .call = disconnect,
     .wrong = {{"handle", [](M& m) { m.handle += kPageSize; }},
               {"pdevs", [](M& m) { m.rp = m.granule(); }},
               {"taken", [](M& m) { m.handle += 1; }},
               {"stream",
                [](M& m) {
                  (void)disconnect(m);
                  m.drive_stream();
                }},
               {"second", other_port},
               {"state", port_is_busy},
               {"vdevs",
                [](M& m) {
                  m.make_realm();
                  m.make_smmu();
                  m.create_vdev();
                }}}},
    {.row = &row::kPdevStreamKeyRefresh,
     .prepare = quiet,
     .call = refresh,
     .wrong = {{"pdevs", [](M& m) { m.rp = m.granule(); }},
               {"handle", [](M& m) { m.handle += kPageSize; }},
               {"taken", [](M& m) { m.handle += 1; }},
               {"second", other_port},
               {"state", [](M& m) { (void)disconnect(m); }}}},
    {.row = &row::kPdevStreamKeyPurge,
     .prepare = quiet,
     .call = [](M& m) { return m.rmm.pdev_stream_key_purge(m.pdev, m.rp, m.handle); },
     .wrong = {{"purge", [](M&) {}}},
     .never = true},
    {.row = &row::kPdevStop,
     .prepare = [](M& m) { m.open(); },
     .call = [](M& m) { return m.rmm.pdev_stop(m.pdev); },
     .wrong = {{"pdev", no_pdev},
               {"comm", [](M& m) { (void)m.rmm.pdev_stop(m.pdev); }},
               {"streams", [](M& m) { m.stream(); }}}},
    {.row = &row::kPdevAbort,
     .prepare = [](M& m) { (void)m.finish(m.rmm.pdev_create(m.pdev, m.page(m.pp))); },
     .call = [](M& m) { return m.rmm.pdev_abort(m.pdev); },
     .wrong = {{"pdev", no_pdev}, {"comm", [](M& m) { (void)m.drive_pdev(); }}}},
    {.row = &row::kPdevDestroy,
     .prepare =
         [](M& m) {
           m.open();
           (void)m.rmm.pdev_stop(m.pdev);
           (void)m.drive_pdev();
         },
     .call = [](M& m) { return m.rmm.pdev_destroy(m.pdev); },
     .wrong = {{"pdev", no_pdev}, {"state", [](M& m) { m.pdev = m.rp; }}}}};

}  // namespace
}  // namespace teeio::rmm
