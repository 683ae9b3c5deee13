// What makes each check of the leaves about TDs and their memory fail: see rows_test.cc.
#include "unit/firmware/tdx/rows.h"

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

// ---- TDs

/// A TD that has its key, and `pages` of its control pages.
void young(M& m, std::uint32_t pages) {
  m.td.tdr = m.page();
  (void)m.module.tdh_mng_create(m.td.tdr, 1, 11);
  (void)m.module.tdh_mng_key_config(m.td.tdr);
  for (std::uint32_t i = 0; i < pages; ++i) (void)m.module.tdh_mng_addcx(m.td.tdr, m.page());
}
/// A TD with another vCPU that has no pages yet.
void with_young_vcpu(M& m) {
  m.td = m.make_td(1, 11);
  m.td.vp = m.page();
  (void)m.module.tdh_vp_create(m.td.tdr, m.td.vp);
}
void built(M& m) { m.td = m.make_td(1, 11); }
void built_with_page(M& m) {
  built(m);
  (void)m.module.tdh_mem_page_add(m.td.tdr, M::kRamGpa, m.page(), m.page());
  m[kRcx] = raw(M::kRamGpa);
  m[kRdx] = raw(m.td.tdr);
}
/// A TD on its way out, `steps` of it.
void dying(M& m, unsigned steps) {
  built(m);
  (void)m.module.tdh_vp_flush(m.td.vp);
  if (steps > 0) (void)m.module.tdh_mng_vpflushdone(m.td.tdr);
  if (steps > 1) (void)m.module.tdh_phymem_cache_wb();
  if (steps > 2) (void)m.module.tdh_mng_key_freeid(m.td.tdr);
  m[kRcx] = raw(m.td.tdr);
}

LeafResult vp_enter(M& m) {
  const LeafResult entered = m.module.begin_vp_enter(m.page_in(kRcx), m.on);
  if (entered.ok()) m.module.end_vp_enter(m.page_in(kRcx), TdExit::kOrdinary);
  return entered;
}

const Cases kTdCases{
    {.row = &row::kMngCreate,
     .prepare = [](M& m) { m[kRcx] = raw(m.page()); },
     .call = [](M& m) { return m.module.tdh_mng_create(m.page_in(kRcx), m.hkid, 11); },
     .wrong = {{"hkid", [](M& m) { m.hkid = 0; }},
               {"free", [](M& m) { (void)m.make_td(m.hkid, 12); }}}},
    {.row = &row::kMngKeyConfig,
     .prepare =
         [](M& m) {
           m.td.tdr = m.page();
           (void)m.module.tdh_mng_create(m.td.tdr, 1, 11);
           m[kRcx] = raw(m.td.tdr);
         },
     .call = [](M& m) { return m.module.tdh_mng_key_config(m.page_in(kRcx)); },
     .wrong = {{"life_cycle", [](M& m) { (void)m.module.tdh_mng_key_config(m.td.tdr); }}}},
    {.row = &row::kMngAddcx,
     .prepare =
         [](M& m) {
           young(m, 0);
           m[kRcx] = raw(m.page());
           m[kRdx] = raw(m.td.tdr);
         },
     .call = [](M& m) { return m.module.tdh_mng_addcx(m.page_in(kRdx), m.page_in(kRcx)); },
     .wrong = {{"count", [](M& m) { m.the_td().tdcs.resize(kTdcsPages); }}}},
    {.row = &row::kMngInit,
     .prepare =
         [](M& m) {
           young(m, kTdcsPages);
           m[kRcx] = raw(m.td.tdr);
         },
     .call = [](M& m) { return m.module.tdh_mng_init(m.page_in(kRcx), m.parameters, m.on); },
     .wrong = {{"attributes", [](M& m) { m.parameters.attributes = 2; }},
               {"max_vcpus", [](M& m) { m.parameters.max_vcpus = 0; }}}},
    {.row = &row::kMrExtend,
     .prepare = built_with_page,
     .call = [](M& m) { return m.module.tdh_mr_extend(m.page_in(kRdx), m.gpa()); },
     .wrong = {{"chunk", [](M& m) { m[kRcx] |= 8; }},
               {"state", [](M& m) { m[kRcx] += kPageSize; }}}},
    {.row = &row::kMrFinalize,
     .prepare =
         [](M& m) {
           built(m);
           m[kRcx] = raw(m.td.tdr);
         },
     .call = [](M& m) { return m.module.tdh_mr_finalize(m.page_in(kRcx)); },
     .wrong = {{"vcpus", [](M& m) { m.the_td().vcpus = 0; }}}},
    {.row = &row::kVpCreate,
     .prepare =
         [](M& m) {
           built(m);
           m[kRcx] = raw(m.page());
           m[kRdx] = raw(m.td.tdr);
         },
     .call = [](M& m) { return m.module.tdh_vp_create(m.page_in(kRdx), m.page_in(kRcx)); },
     .wrong = {}},
    {.row = &row::kVpAddcx,
     .prepare =
         [](M& m) {
           with_young_vcpu(m);
           m[kRcx] = raw(m.page());
           m[kRdx] = raw(m.td.vp);
         },
     .call = [](M& m) { return m.module.tdh_vp_addcx(m.page_in(kRdx), m.page_in(kRcx)); },
     .wrong = {{"state", [](M& m) { m.the_vcpu().initialized = true; }},
               {"count", [](M& m) { m.the_vcpu().pages.resize(kTdvpsPages); }}}},
    {.row = &row::kVpInit,
     .prepare =
         [](M& m) {
           with_young_vcpu(m);
           m.the_vcpu().pages.resize(kTdvpsPages);
           m[kRcx] = raw(m.td.vp);
         },
     .call = [](M& m) { return m.module.tdh_vp_init(m.page_in(kRcx), 0, m.on, m.version); },
     .wrong = {{"version", [](M& m) { m.version.number = 2; }},
               {"pages", [](M& m) { m.the_vcpu().pages.pop_back(); }},
               {"state", [](M& m) { m.the_vcpu().initialized = true; }},
               {"max_vcpus", [](M& m) { m.the_td().parameters.max_vcpus = 1; }},
               {"x2apic", [](M& m) { m.version.x2apic_id = std::uint64_t{1} << 32U; }},
               {"unique", [](M& m) { m.version.x2apic_id = 0; }}}},
    {.row = &row::kVpEnter,
     .prepare =
         [](M& m) {
           m.td = m.running_td();
           m[kRcx] = raw(m.td.vp);
         },
     .call = vp_enter,
     .wrong = {{"pages", [](M& m) { m.the_vcpu().pages.pop_back(); }},
               {"initialized", [](M& m) { m.the_vcpu().initialized = false; }},
               {"inside", [](M& m) { EXPECT_OK(m.module.begin_vp_enter(m.td.vp)); }}}},
    {.row = &row::kVpFlush,
     .prepare =
         [](M& m) {
           built(m);
           m[kRcx] = raw(m.td.vp);
         },
     .call = [](M& m) { return m.module.tdh_vp_flush(m.page_in(kRcx), m.on); },
     .wrong = {{"pages", [](M& m) { m.the_vcpu().pages.pop_back(); }},
               {"associated", [](M& m) { (void)m.module.tdh_vp_flush(m.td.vp); }}}},
    {.row = &row::kMngVpflushdone,
     .prepare = [](M& m) { dying(m, 0); },
     .call = [](M& m) { return m.module.tdh_mng_vpflushdone(m.page_in(kRcx)); },
     .wrong = {{"life_cycle", [](M& m) { (void)m.module.tdh_mng_vpflushdone(m.td.tdr); }},
               {"flushed", [](M& m) { m.the_td().vcpus_associated = 1; }},
               {"devices", [](M& m) { m.the_td().devif_ref_cnt = 1; }},
               {"iotlb", [](M& m) { m.the_td().iommus[M::kIommu].inv_req = true; }}}},
    {.row = &row::kPhymemCacheWb,
     .prepare = [](M& m) { dying(m, 1); },
     .call = [](M& m) { return m.module.tdh_phymem_cache_wb(); },
     .wrong = {{"wbcache", [](M& m) { M::hold(m.state().wbcache); }},
               {"ready",
                [](M& m) {
                  (void)m.module.tdh_phymem_cache_wb();
                  (void)m.module.tdh_mng_key_freeid(m.td.tdr);
                }}}},
    {.row = &row::kMngKeyFreeid,
     .prepare = [](M& m) { dying(m, 2); },
     .call = [](M& m) { return m.module.tdh_mng_key_freeid(m.page_in(kRcx)); },
     .wrong = {{"life_cycle", [](M& m) { (void)m.module.tdh_mng_key_freeid(m.td.tdr); }},
               {"caches", [](M& m) { m.state().hkids[1] = HkidState::kFlushedVps; }}}},
    {.row = &row::kPhymemPageReclaim,
     .prepare =
         [](M& m) {
           dying(m, 3);
           m[kRcx] = raw(m.td.pages.front());
         },
     .call = [](M& m) { return m.module.tdh_phymem_page_reclaim(m.page_in(kRcx)); },
     .wrong = {{"iommu",
                [](M& m) {
                  m.setup_iommu();
                  m[kRcx] = raw(m.the_iommu().root_table);
                }},
               {"life_cycle", [](M& m) { m.the_td().life_cycle = LifeCycle::kBlocked; }},
               {"children", [](M& m) { m[kRcx] = raw(m.td.tdr); }}}}};

// ---- Memory

/// A running TD, and a GPA of its memory.
void running(M& m) {
  m.td = m.running_td();
  m[kRcx] = raw(M::kRamGpa);
  m[kRdx] = raw(m.td.tdr);
}
void with_page(M& m) {
  running(m);
  EXPECT_OK(m.module.tdh_mem_page_aug(m.td.tdr, M::kRamGpa, Level::k4K, m.page()));
}
void with_blocked_page(M& m) {
  with_page(m);
  EXPECT_OK(m.module.tdh_mem_range_block(m.td.tdr, M::kRamGpa, Level::k4K));
  EXPECT_OK(m.module.tdh_mem_track(m.td.tdr));
}
void hold_its_page(M& m) { m.hold_page(m.place().entry.address()); }
void never_blocked(M& m) { m.the_td().bepoch.erase(raw(m.place().where)); }
void next_page(M& m) { m[kRcx] += kPageSize; }
/// The table has an entry.
void use_table(M& m) {
  const Td& td = m.the_td();
  Sept(m.memory, td)
      .write(m.place().entry.address(), SeptEntry::make(SeptState::kPending, Level::k4K, m.page()));
}

const Cases kMemCases{
    {.row = &row::kMemSeptAdd,
     .prepare =
         [](M& m) {
           running(m);
           m.level = Level::k2M;
           m[kRcx] = raw(M::kMmioGpa) + level_bytes(Level::k2M);
           m[kR8] = raw(m.page());
         },
     .call =
         [](M& m) {
           return m.module.tdh_mem_sept_add(m.page_in(kRdx), m.gpa(), m.level, m.page_in(kR8));
         },
     .wrong = {{"state", [](M& m) { m[kRcx] = raw(M::kMmioGpa); }}}},
    {.row = &row::kMemSeptRemove,
     .prepare =
         [](M& m) {
           running(m);
           m.level = Level::k2M;
           m[kRcx] = raw(M::kMmioGpa);
           EXPECT_OK(m.module.tdh_mem_range_block(m.td.tdr, m.gpa(), m.level));
           EXPECT_OK(m.module.tdh_mem_track(m.td.tdr));
         },
     .call = [](M& m) { return m.module.tdh_mem_sept_remove(m.page_in(kRdx), m.gpa(), m.level); },
     .wrong = {{"state", [](M& m) { m[kRcx] += level_bytes(Level::k2M); }},
               {"busy", hold_its_page, kRcx},
               {"blocked", never_blocked},
               {"empty", use_table}}},
    {.row = &row::kMemPageAdd,
     .prepare =
         [](M& m) {
           built(m);
           m[kRcx] = raw(M::kRamGpa);
           m[kRdx] = raw(m.td.tdr);
           m[kR8] = raw(m.page());
           m[kR9] = raw(m.page());
         },
     .call =
         [](M& m) {
           return m.module.tdh_mem_page_add(m.page_in(kRdx), m.gpa(), m.page_in(kR8),
                                            m.page_in(kR9));
         },
     .wrong = {{"state",
                [](M& m) {
                  (void)m.module.tdh_mem_page_add(m.td.tdr, m.gpa(), m.page(), m.page());
                }}}},
    {.row = &row::kMemPageAug,
     .prepare =
         [](M& m) {
           running(m);
           m[kR8] = raw(m.page());
         },
     .call =
         [](M& m) {
           return m.module.tdh_mem_page_aug(m.page_in(kRdx), m.gpa(), m.level, m.page_in(kR8));
         },
     .wrong = {{"state",
                [](M& m) {
                  (void)m.module.tdh_mem_page_aug(m.td.tdr, m.gpa(), m.level, m.page());
                }}}},
    {.row = &row::kMemPageRemove,
     .prepare = with_blocked_page,
     .call = [](M& m) { return m.module.tdh_mem_page_remove(m.page_in(kRdx), m.gpa(), m.level); },
     .wrong = {{"state", next_page}, {"busy", hold_its_page, kRcx}, {"blocked", never_blocked}}},
    {.row = &row::kMemRangeBlock,
     .prepare = with_page,
     .call = [](M& m) { return m.module.tdh_mem_range_block(m.page_in(kRdx), m.gpa(), m.level); },
     .wrong = {{"blocked",
                [](M& m) { (void)m.module.tdh_mem_range_block(m.td.tdr, m.gpa(), m.level); }},
               {"state", next_page}}},
    {.row = &row::kMemRangeUnblock,
     .prepare = with_blocked_page,
     .call = [](M& m) { return m.module.tdh_mem_range_unblock(m.page_in(kRdx), m.gpa(), m.level); },
     .wrong = {{"state", next_page}}},
    {.row = &row::kMemSharedSeptWr,
     .prepare =
         [](M& m) {
           running(m);
           m[kRcx] = kSharedGpaBit;
           m[kRdx] = raw(m.td.tdr);
           m.level = Level::k512G;
         },
     .call =
         [](M& m) {
           return m.module.tdh_mem_shared_sept_wr(m.page_in(kRdx), m.gpa(), m.level, 0x4003);
         },
     .wrong = {{"level", [](M& m) { m.level = Level::k1G; }},
               {"shared_half", [](M& m) { m[kRcx] = 0; }}}},
    {.row = &row::kMemTrack,
     .prepare =
         [](M& m) {
           running(m);
           m[kRcx] = raw(m.td.tdr);
         },
     .call = [](M& m) { return m.module.tdh_mem_track(m.page_in(kRcx)); },
     .wrong = {{"vcpus", [](M& m) {
                  Td& td = m.the_td();
                  td.vcpu_refs.at((td.epoch - 1) & 1U) = 1;
                }}}}};

}  // namespace
}  // namespace teeio::tdx
