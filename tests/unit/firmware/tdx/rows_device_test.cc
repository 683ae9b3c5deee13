// What makes each check of the leaves about device interfaces and MMIO fail: see rows_test.cc.
#include "unit/firmware/tdx/rows.h"
#include "wire/doe.h"

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

// ---- Interfaces

/// All that an interface stands on, for kFunction, and a TD.
void ready(M& m) {
  m.connect();
  m.td = m.running_td();
  m.devifmt_tables();
}
/// A locked function with metadata, tables and DMA entries.
void bound(M& m) {
  m.connect();
  m.td = m.running_td();
  m.bind(m.td);
  m[kR8] = raw(m.message);
  m[kRdx] = raw(m.message);
}
void unlocked(M& m) {
  ready(m);
  EXPECT_OK(m.create_devif(m.td));
}
/// The VMM has asked for the state, and the answer is there.
void answered(M& m) {
  bound(m);
  EXPECT_OK(
      m.module.tdh_devif_request(M::kFunction, DevifRequest::kState, OnBehalfOf::kVmm, m.message));
  m.carry();
  m[kR8] = raw(m.page());
}
/// As answered(), and the device says something else.
void answers(M& m, wire::TdispBody body) {
  m.the_devif().out_tdisp_req = false;
  m.device.answer_instead = std::move(body);
  EXPECT_OK(
      m.module.tdh_devif_request(M::kFunction, DevifRequest::kState, OnBehalfOf::kVmm, m.message));
  m.carry();
}
/// What comes is no answer but the request again.
void no_answer(M& m) { EXPECT_TRUE(m.memory.write(m.message, m.last_object).has_value()); }
void hold_table_entry(M& m) {
  M::hold(m.state().devifmt.locks[devifmt_table(m.function, m.table_level)]);
}
void no_tables(M& m) { m.state().devifmt.tables.clear(); }
void hold_root_table(M& m) { m.hold_page(m.devifmt_table_page(kDevifmtLevels)); }
/// A state that a host may have brought about behind the module's back.
void another_stream(M& m) { m.the_stream().config.rid_limit = 0x0100 - 1; }

const Cases kDevifCases{
    {.row = &row::kDevifmtAdd,
     .prepare =
         [](M& m) {
           for (std::uint8_t level = kDevifmtLevels; level > 1; --level)
             EXPECT_OK(m.module.tdh_devifmt_add(M::kFunction, level, m.page()));
           m[kRdx] = raw(m.page());
         },
     .call =
         [](M& m) { return m.module.tdh_devifmt_add(m.function, m.table_level, m.page_in(kRdx)); },
     .wrong = {{"index", [](M& m) { m.table_level = 0; }},
               {"devifmt", no_tables},
               {"devifmt_table", hold_root_table},
               {"entry", hold_table_entry},
               {"present", [](M& m) { (void)m.module.tdh_devifmt_add(m.function, 1, m.page()); }}}},
    {.row = &row::kDevifmtRemove,
     .prepare = [](M& m) { m.devifmt_tables(); },
     .call = [](M& m) { return m.module.tdh_devifmt_remove(m.function, m.table_level); },
     .wrong = {{"index", [](M& m) { m.table_level = 0; }},
               {"devifmt", no_tables},
               {"devifmt_table", hold_root_table},
               {"entry", hold_table_entry},
               {"table", [](M& m) { (void)m.module.tdh_devifmt_remove(m.function, 1); }},
               {"busy", [](M& m) { m.hold_page(m.devifmt_table_page(1)); }},
               {"empty", [](M& m) { m.devifmt_table_of(1).children = 1; }}}},
    {.row = &row::kDevifmtRd,
     .prepare = [](M& m) { m.devifmt_tables(); },
     .call = [](M& m) { return m.module.tdh_devifmt_rd(m.function, m.table_level); },
     .wrong = {{"index", [](M& m) { m.table_level = 5; }},
               {"devifmt", no_tables},
               {"devifmt_table", hold_root_table}}},
    {.row = &row::kDevifCreate,
     .prepare =
         [](M& m) {
           ready(m);
           m[kRdx] = raw(m.td.tdr);
           for (const Operand buffer : {kR8, kR9, kR10}) m[buffer] = raw(m.page());
         },
     .call =
         [](M& m) {
           return m.module.tdh_devif_create(m.page_in(kRdx), m.function, m.iommu_id, m.stream,
                                            m.page_in(kR8), m.page_in(kR9), m.page_in(kR10));
         },
     .wrong = {{"present", [](M& m) { EXPECT_OK(m.create_devif(m.td)); }},
               {"rid", another_stream}}},
    {.row = &row::kDevifRemove,
     .prepare = unlocked,
     .call = [](M& m) { return m.module.tdh_devif_remove(m.function); },
     .wrong = {{"unlocked", [](M& m) { m.the_devif().state = TdiState::kLocked; }},
               {"dma", [](M& m) { m.the_devif().dmar_mapped = true; }},
               {"mmio", [](M& m) { m.the_devif().mmio_page_cnt = 1; }}}},
    {.row = &row::kDevifRequest,
     .prepare = bound,
     .call =
         [](M& m) {
           return m.module.tdh_devif_request(m.function, m.request, m.who, m.page_in(kR8),
                                             m.no_update);
         },
     .wrong = {{"td_code", [](M& m) { m.who = OnBehalfOf::kTd; }},
               {"no_update", [](M& m) { m.no_update = true; }},
               {"error",
                [](M& m) {
                  m.request = DevifRequest::kLock;
                  m.the_devif().state = TdiState::kError;
                }},
               {"outstanding", [](M& m) { m.the_devif().out_tdisp_req = true; }},
               {"asked",
                [](M& m) {
                  m.who = OnBehalfOf::kTd;
                  m.request = DevifRequest::kNone;
                }},
               {"code", [](M& m) { m.request = DevifRequest::kStart; }},
               {"seal", [](M& m) { m.the_session().channel->reset(); }}}},
    {.row = &row::kDevifResponse,
     .prepare = answered,
     .call =
         [](M& m) {
           return m.module.tdh_devif_response(m.function, m.who, m.page_in(kRdx), m.page_in(kR8));
         },
     .wrong = {{"outstanding", [](M& m) { m.the_devif().out_tdisp_req = false; }},
               {"tds", [](M& m) { m.the_devif().td_request = TdRequest::kGenerated; }},
               {"output", [](M& m) { m.who = OnBehalfOf::kTd; }},
               {"authentic", [](M& m) { not_the_sessions(m, m.message); }},
               {"content", no_answer},
               {"size",
                [](M& m) {
                  const Bytes none(8);
                  const Bytes plain = wire::VendorDefined{wire::kSpdmVersion12,
                                                          wire::SpdmCode::kVendorDefinedResponse,
                                                          wire::Protocol::kTdisp, none}
                                          .encode();
                  const Bytes object =
                      wire::DoeObject{wire::kPciSigVendorId,
                                      std::to_underlying(wire::DoeType::kSpdm), plain}
                          .encode();
                  EXPECT_TRUE(m.memory.write(m.message, object).has_value());
                }},
               {"header",
                [](M& m) {
                  m.device.answers_for = 0x0199;
                  answers(m, wire::TdispInterfaceState{wire::TdiState::kConfigLocked});
                }},
               {"for_td", [](M& m) { answers(m, wire::TdispStartInterfaceResponse{}); }},
               {"message", [](M& m) { answers(m, wire::TdispVersion{{0x10}}); }}}}};

// ---- MMIO

void with_mmiomt(M& m) {
  unlocked(m);
  m.mmiomt_tables();
}
void with_owner(M& m) {
  with_mmiomt(m);
  EXPECT_OK(m.module.tdh_mmiomt_set(M::kBar, Level::k4K, M::kFunction));
}
void to_map(M& m) {
  with_owner(m);
  m[kRcx] = raw(M::kMmioGpa);
  m[kRdx] = raw(m.td.tdr);
  m[kR8] = raw(M::kBar);
}
void mapped(M& m) {
  to_map(m);
  EXPECT_OK(m.module.tdh_mmio_map(m.td.tdr, M::kMmioGpa, Level::k4K, M::kBar));
}
void blocked(M& m) {
  mapped(m);
  EXPECT_OK(m.module.tdh_mmio_block(m.td.tdr, M::kMmioGpa, Level::k4K));
  EXPECT_OK(m.module.tdh_mem_track(m.td.tdr));
}
MmiomtEntry& its_metadata(M& m) { return *mmiomt_slot(m.state(), M::kBar, Level::k4K).data; }
/// The page's metadata names another function.
std::function<void(M&)> owned_by(FunctionId function) {
  return [function](M& m) { its_metadata(m).owner = function; };
}
void no_mmiomt(M& m) { m.state().mmiomt.tables.clear(); }
void hold_mmiomt_root(M& m) { m.hold_page(m.mmiomt_table_page(kMmiomtLevels)); }
std::function<void(M&)> hold_mmiomt_entry(Level level) {
  return [level](M& m) { M::hold(mmiomt_slot(m.state(), M::kBar, level).lock); };
}
void next_page(M& m) { m[kRcx] += kPageSize; }

LeafResult mmiomt_add(M& m) {
  return m.module.tdh_mmiomt_add(M::kBar, m.table_level, m.page_in(kRdx));
}
LeafResult mmiomt_remove(M& m) { return m.module.tdh_mmiomt_remove(M::kBar, m.table_level); }
LeafResult mmiomt_set(M& m) {
  const std::optional<FunctionId> owner =
      m.owner == M::kFunction ? std::optional(m.function) : m.owner;
  return m.module.tdh_mmiomt_set(Hpa{m[kRcx]}, m.level, owner);
}

const Cases kMmioCases{
    {.row = &row::kMmiomtAdd,
     .prepare =
         [](M& m) {
           for (std::uint8_t level = kMmiomtLevels; level > 1; --level)
             EXPECT_OK(m.module.tdh_mmiomt_add(M::kBar, level, m.page()));
           m[kRdx] = raw(m.page());
         },
     .call = mmiomt_add,
     .wrong = {{"index", [](M& m) { m.table_level = 0; }},
               {"mmiomt", no_mmiomt},
               {"mmiomt_table", hold_mmiomt_root},
               {"mmiomt_entry", hold_mmiomt_entry(Level::k2M)},
               {"present", [](M& m) { (void)m.module.tdh_mmiomt_add(M::kBar, 1, m.page()); }}}},
    {.row = &row::kMmiomtRemove,
     .prepare = [](M& m) { m.mmiomt_tables(); },
     .call = mmiomt_remove,
     .wrong = {{"index", [](M& m) { m.table_level = 0; }},
               {"mmiomt", no_mmiomt},
               {"mmiomt_table", hold_mmiomt_root},
               {"mmiomt_entry", hold_mmiomt_entry(Level::k2M)},
               {"table", [](M& m) { (void)mmiomt_remove(m); }},
               {"busy", [](M& m) { m.hold_page(m.mmiomt_table_page(1)); }},
               {"empty",
                [](M& m) {
                  m.state().mmiomt.tables.unrecorded(mmiomt_table(M::kBar, 1)).children = 1;
                }}}},
    {.row = &row::kMmiomtSet,
     .prepare =
         [](M& m) {
           with_mmiomt(m);
           m[kRcx] = raw(M::kBar);
         },
     .call = mmiomt_set,
     .wrong = {{"index", [](M& m) { m.level = Level::k512G; }},
               {"mmiomt", no_mmiomt},
               {"mmiomt_table", hold_mmiomt_root},
               {"mmiomt_entry", hold_mmiomt_entry(Level::k4K)},
               {"owner", [](M& m) { m.owner = FunctionId{0}; }},
               {"data", [](M& m) { m.owner = std::nullopt; }},
               {"used", [](M& m) { EXPECT_OK(mmiomt_set(m)); }}}},
    {.row = &row::kMmiomtRd,
     .prepare = with_owner,
     .call = [](M& m) { return m.module.tdh_mmiomt_rd(M::kBar, m.table_level); },
     .wrong = {{"index", [](M& m) { m.table_level = 6; }},
               {"mmiomt", no_mmiomt},
               {"mmiomt_table", hold_mmiomt_root}}},
    {.row = &row::kMmioMap,
     .prepare = to_map,
     .call =
         [](M& m) {
           return m.module.tdh_mmio_map(m.page_in(kRdx), m.gpa(), m.level, m.page_in(kR8));
         },
     .wrong = {{"address", [](M& m) { m[kR8] |= 0x800; }},
               {"state",
                [](M& m) {
                  EXPECT_OK(m.module.tdh_mem_page_aug(m.td.tdr, m.gpa(), m.level, m.page()));
                }},
               {"mmiomt", no_mmiomt},
               {"mmiomt_table", hold_mmiomt_root},
               {"mmiomt_entry", hold_mmiomt_entry(Level::k4K)},
               {"metadata", [](M& m) { its_metadata(m).mapped = true; }},
               {"devifmt", owned_by(FunctionId{0x8000})},
               {"devif", owned_by(M::kOther)},
               {"owner", [](M& m) { m.the_devif().tdr = m.page(); }}}},
    {.row = &row::kMmioBlock,
     .prepare = mapped,
     .call = [](M& m) { return m.module.tdh_mmio_block(m.page_in(kRdx), m.gpa(), m.level); },
     .wrong = {{"state", next_page}}},
    {.row = &row::kMmioUnmap,
     .prepare = blocked,
     .call = [](M& m) { return m.module.tdh_mmio_unmap(m.page_in(kRdx), m.gpa(), m.level); },
     .wrong = {{"state", next_page},
               {"devifmt", owned_by(FunctionId{0x8000})},
               {"devif", owned_by(M::kOther)},
               {"unlocked", [](M& m) { m.the_devif().state = TdiState::kLocked; }}}}};

}  // namespace
}  // namespace teeio::tdx
