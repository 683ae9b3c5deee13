// What makes each check of a guest's leaves fail: see rows_test.cc.
#include "firmware/tdx/measurement.h"
#include "unit/firmware/tdx/rows.h"

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

/// A TD whose vCPU has run: its calls are handled after it has left.
void running(M& m) {
  m.td = m.running_td();
  m.inside(m.td, [] {});
  m[kRcx] = raw(M::kRamGpa);
}
void with_pending_page(M& m) {
  running(m);
  EXPECT_OK(m.module.tdh_mem_page_aug(m.td.tdr, M::kRamGpa, Level::k4K, m.page()));
}
/// The guest means a larger page than the host has mapped.
void smaller_pages(M& m) {
  m.level = Level::k2M;
  m[kRcx] = raw(m.gpa()) & ~(level_bytes(Level::k2M) - 1);
}
/// A locked function, and the guest is there.
void bound(M& m) {
  m.connect();
  m.td = m.running_td();
  m.bind(m.td);
  m.inside(m.td, [] {});
}
void validated(M& m) {
  bound(m);
  m.validate(m.td);
}
void with_mmio(M& m) {
  validated(m);
  EXPECT_OK(m.module.tdh_mmio_map(m.td.tdr, M::kMmioGpa, Level::k4K, M::kBar));
  m[kRcx] = raw(M::kMmioGpa);
  m.guest_handle = m.handle();
}
void another_td(M& m) { m.the_devif().tdr = m.page(); }
void not_valid(M& m) { m.the_devif().valid = false; }
/// The device's answer to the guest is there.
void answers(M& m, std::optional<wire::TdispBody> body) {
  Devif& devif = m.the_devif();
  devif.out_tdisp_req = false;
  devif.td_request = TdRequest::kAvailable;
  m.device.answer_instead = std::move(body);
  EXPECT_OK(m.module.tdg_devif_request(m.td.vp, M::kFunction, DevifRequest::kState));
  EXPECT_OK(m.relay_guest());
}
void answered(M& m) {
  validated(m);
  answers(m, std::nullopt);
  m.private_page(m.td, M::kRamGpa);
  m.buffer = M::kRamGpa;
}

void with_page(M& m) {
  running(m);
  m.private_page(m.td, M::kRamGpa);
}
/// The guest's page has one descriptor, and its function has DMA.
void with_descriptor(M& m) {
  validated(m);
  m.accept(m.td);
  const Hpa frame = m.private_page(m.td, M::kRamGpa);
  const InvalidationDescriptor one = M::of_domain();
  EXPECT_TRUE(m.memory.write(frame, bytes_of(one), m.memory.key_of(frame)));
  m[kRdx] = raw(M::kRamGpa);
}
void reporting(M& m) {
  with_page(m);
  m[kRdx] = raw(M::kRamGpa) + kTdReportBytes;
}
LeafResult report(M& m) {
  return m.module.tdg_mr_report(m.td.vp, m.gpa(), Gpa{m[kRdx]}, m[kR8]).leaf;
}
void shared_gpa(M& m) { m[kRcx] = kSharedGpaBit; }
void hold_rtmrs(M& m) { M::hold(m.the_td().rtmr_lock); }

const Cases kGuestCases{
    {.row = &row::kTdgVpInfo,
     .prepare = running,
     .call = [](M& m) { return m.module.tdg_vp_info(m.td.vp); },
     .wrong = {}},
    {.row = &row::kTdgMrRtmrExtend,
     .prepare = with_page,
     .call = [](M& m) { return m.module.tdg_mr_rtmr_extend(m.td.vp, m.gpa(), m[kRdx]).leaf; },
     .wrong = {{"alignment", [](M& m) { m[kRcx] |= 32; }},
               {"private", shared_gpa},
               {"index", [](M& m) { m[kRdx] = 4; }},
               {"rtmrs", hold_rtmrs}}},
    {.row = &row::kTdgMrReport,
     .prepare = reporting,
     .call = report,
     .wrong = {{"alignment", [](M& m) { m[kRcx] |= 512; }, kRcx},
               {"alignment", [](M& m) { m[kRdx] |= 32; }, kRdx},
               {"private", [](M& m) { m[kRdx] = kSharedGpaBit; }, kRdx},
               {"subtype", [](M& m) { m[kR8] = 1; }},
               {"rtmrs", hold_rtmrs},
               {"private", shared_gpa, kRcx}}},
    {.row = &row::kTdgMrVerifyreport,
     .prepare =
         [](M& m) {
           reporting(m);
           EXPECT_OK(report(m));
         },
     .call = [](M& m) { return m.module.tdg_mr_verifyreport(m.td.vp, m.gpa()).leaf; },
     .wrong = {{"alignment", [](M& m) { m[kRcx] |= 128; }},
               {"private", shared_gpa},
               {"mac", [](M& m) { m[kRcx] += kReportMacBytes; }}}},
    {.row = &row::kTdgMemPageAccept,
     .prepare = with_pending_page,
     .call =
         [](M& m) { return m.module.tdg_mem_page_accept(m.td.vp, m.gpa(), m.level, m.rest).leaf; },
     .wrong = {{"size", smaller_pages},
               {"accepted",
                [](M& m) { EXPECT_OK(m.module.tdg_mem_page_accept(m.td.vp, m.gpa(), m.level)); }}}},
    {.row = &row::kTdgMmioAccept,
     .prepare = with_mmio,
     .call =
         [](M& m) {
           return m.module.tdg_mmio_accept(m.td.vp, m.gpa(), m.level, m.guest_handle, m.rest).leaf;
         },
     .wrong = {{"handle", [](M& m) { m.guest_handle |= 8; }},
               {"size",
                [](M& m) {
                  smaller_pages(m);
                  const std::uint64_t offset = m.the_td().mmio_offset;
                  m.guest_handle = (raw(M::kBar) & ~(level_bytes(m.level) - 1)) + offset;
                }},
               {"accepted",
                [](M& m) {
                  EXPECT_OK(m.module.tdg_mmio_accept(m.td.vp, m.gpa(), m.level, m.guest_handle));
                }},
               {"offset", [](M& m) { m.guest_handle += kPageSize; }}}},
    {.row = &row::kTdgDmarAccept,
     .prepare = validated,
     .call = [](M& m) { return m.module.tdg_dmar_accept(m.td.vp, m.function, m.rest); },
     .wrong = {{"valid", not_valid},
               {"owner", another_td},
               {"locked", [](M& m) { m.the_devif().state = TdiState::kUnlocked; }},
               {"dmar", [](M& m) { m.state().dmar.clear(); }},
               {"dmar_table", [](M& m) { m.hold_page(m.the_iommu().root_table); }},
               {"state",
                [](M& m) { EXPECT_OK(m.module.tdh_dmar_block(M::dmar(DmarLevel::kPasid))); }}}},
    {.row = &row::kTdgIqInvRequest,
     .prepare = with_descriptor,
     .call = [](M& m) { return m.module.tdg_iq_inv_request(m.td.vp, m.count, Gpa{m[kRdx]}).leaf; },
     .wrong = {{"count", [](M& m) { m.count = 129; }},
               {"aligned", [](M& m) { m[kRdx] |= 32; }},
               {"private", [](M& m) { m[kRdx] = kSharedGpaBit; }},
               {"tdinv", [](M& m) { M::hold(m.the_td().tdinv_lock); }},
               {"host_waits", [](M& m) { m.the_td().tdinv_lock.set_host_waits(true); }},
               {"active", [](M& m) { m.the_td().asked.active = true; }},
               {"descriptor", [](M& m) { m.count = 2; }},
               {"needed", [](M& m) { m.the_td().iommus.clear(); }}}},
    {.row = &row::kTdgDevifValidate,
     .prepare = bound,
     .call = [](M& m) { return m.module.tdg_devif_validate(m.td.vp, m.function, m.info_hash); },
     .wrong = {{"owner", another_td},
               {"hash", [](M& m) { m.info_hash[0] ^= 1; }},
               {"already", [](M& m) { m.validate(m.td); }}}},
    {.row = &row::kTdgDevifRd,
     .prepare = validated,
     .call = [](M& m) { return m.module.tdg_devif_rd(m.td.vp, m.function, m.field, m.rest); },
     .wrong = {{"valid", not_valid},
               {"owner", another_td},
               {"field", [](M& m) { m.field = DevifField{9}; }}}},
    {.row = &row::kTdgDevifRequest,
     .prepare = validated,
     .call =
         [](M& m) { return m.module.tdg_devif_request(m.td.vp, m.function, m.request, m.rest); },
     .wrong = {{"code", [](M& m) { m.request = DevifRequest::kLock; }},
               {"valid", not_valid},
               {"owner", another_td},
               {"error",
                [](M& m) {
                  m.request = DevifRequest::kStart;
                  m.the_devif().state = TdiState::kError;
                }},
               {"slot", [](M& m) { m.the_devif().td_request = TdRequest::kRequested; }},
               {"report",
                [](M& m) {
                  m.request = DevifRequest::kReport;
                  m.the_devif().report_length = 0;
                }}}},
    {.row = &row::kTdgDevifResponse,
     .prepare = answered,
     .call =
         [](M& m) {
           return m.module.tdg_devif_response(m.td.vp, m.function, m.buffer, m.rest).leaf;
         },
     .wrong = {{"buffer", [](M& m) { m.buffer = Gpa{kSharedGpaBit}; }},
               {"valid", not_valid},
               {"owner", another_td},
               {"slot", [](M& m) { m.the_devif().td_request = TdRequest::kGenerated; }},
               {"header",
                [](M& m) {
                  m.device.answers_for = 0x0199;
                  answers(m, std::nullopt);
                }},
               {"for_vmm", [](M& m) { answers(m, wire::TdispStopInterfaceResponse{}); }},
               {"message", [](M& m) { answers(m, wire::TdispVersion{{0x10}}); }},
               {"configuration", [](M& m) {
                  wire::TdispReport report = m.device.report;
                  report.interface_info |= wire::kInfoAts;
                  answers(m, wire::TdispInterfaceReportPortion{0, report.encode()});
                }}}}};

}  // namespace
}  // namespace teeio::tdx
