#include "unit/firmware/tdx/refusals.h"

// The checks of the leaves that a TD needs without devices.

namespace teeio::tdx {
namespace {

using TdRefusals = Refusals;

TEST_F(TdRefusals, PagesMustBeAlignedRamAndTheHosts) {
  const TestTd td = running_td();
  expect({
      {"unaligned",
       [&] { return module.tdh_mng_create(Hpa{raw(page()) + 8}, 2, 0); },
       {kOperandInvalid, kRcx}},
      {"MMIO", [&] { return module.tdh_mng_create(kBar, 2, 0); }, {kOperandInvalid, kRcx}},
      {"a TD's",
       [&] { return module.tdh_mng_create(td.pages[0], 2, 0); },
       {kPageMetadataIncorrect, kRcx}},
      {"no TDR", [&] { return module.tdh_mem_track(page()); }, {kPageMetadataIncorrect, kRcx}},
      {"a TDCX as TDR",
       [&] { return module.tdh_mem_track(td.pages[0]); },
       {kPageMetadataIncorrect, kRcx}},
  });
}

TEST_F(TdRefusals, TdBuildKeepsItsOrder) {
  const Hpa tdr = page();
  const Hpa vp = page();
  expect({
      {"HKID 0", [&] { return module.tdh_mng_create(tdr, 0, 1); }, {kOperandInvalid, kRdx}},
      {"HKID beyond", [&] { return module.tdh_mng_create(tdr, 5, 1); }, {kOperandInvalid, kRdx}},
      {"create", [&] { return module.tdh_mng_create(tdr, 1, 1); }, {}},
      {"HKID used", [&] { return module.tdh_mng_create(page(), 1, 1); }, {kHkidNotFree, kRdx}},
      {"no key yet",
       [&] { return module.tdh_mng_addcx(tdr, page()); },
       {kTdKeysNotConfigured, kRdx}},
      {"key", [&] { return module.tdh_mng_key_config(tdr); }, {}},
      {"key twice",
       [&] { return module.tdh_mng_key_config(tdr); },
       {kLifecycleStateIncorrect, kRcx}},
      {"init without TDCS",
       [&] { return module.tdh_mng_init(tdr, {}); },
       {kTdcsNotAllocated, kRcx}},
      {"vCPU without TDCS",
       [&] { return module.tdh_vp_create(tdr, vp); },
       {kTdcsNotAllocated, kRdx}},
  });
  for (std::uint32_t i = 0; i < kTdcsPages; ++i) ASSERT_OK(module.tdh_mng_addcx(tdr, page()));
  expect({
      {"one page too many",
       [&] { return module.tdh_mng_addcx(tdr, page()); },
       {kOperandInvalid, kRcx}},
      {"vCPU before init",
       [&] { return module.tdh_vp_create(tdr, vp); },
       {kOpStateIncorrect, kRdx}},
      {"no vCPU at all",
       [&] { return module.tdh_mng_init(tdr, {.attributes = 0, .max_vcpus = 0}); },
       {kOperandInvalid, kRdx}},
      {"init", [&] { return module.tdh_mng_init(tdr, {}); }, {}},
      {"init twice", [&] { return module.tdh_mng_init(tdr, {}); }, {kOpStateIncorrect, kRcx}},
      {"vCPU", [&] { return module.tdh_vp_create(tdr, vp); }, {}},
      {"vCPU lacks pages", [&] { return module.tdh_vp_init(vp, 0); }, {kVcpuStateIncorrect, kRcx}},
      {"enter before finalize",
       [&] { return module.begin_vp_enter(vp); },
       {kOpStateIncorrect, kRcx}},
      {"finalize", [&] { return module.tdh_mr_finalize(tdr); }, {}},
      {"finalize twice", [&] { return module.tdh_mr_finalize(tdr); }, {kOpStateIncorrect, kRcx}},
      {"enter before VP.INIT",
       [&] { return module.begin_vp_enter(vp); },
       {kVcpuStateIncorrect, kRcx}},
      {"add after finalize",
       [&] { return module.tdh_mem_page_add(tdr, kRamGpa, page(), page()); },
       {kOpStateIncorrect, kRdx}},
  });
}

TEST_F(TdRefusals, ATdHasNoMoreVcpusThanItsParametersSay) {
  TestTd td = running_td();  // has one of two
  for (const Code wanted : {kSuccess, kMaxVcpusExceeded}) {
    const Hpa vp = page();
    ASSERT_OK(module.tdh_vp_create(td.tdr, vp));
    for (std::uint32_t i = 0; i < kTdvpsPages; ++i) ASSERT_OK(module.tdh_vp_addcx(vp, page()));
    EXPECT_CODE(module.tdh_vp_init(vp, 0), wanted);
  }
}

TEST_F(TdRefusals, SecureEptEntries) {
  TestTd td = running_td();
  const Hpa frame = page();
  const Gpa shared{kSharedGpaBit | raw(kRamGpa)};
  const Gpa nowhere{0x70'0000'0000};
  expect({
      {"shared GPA",
       [&] { return module.tdh_mem_page_aug(td.tdr, shared, Level::k4K, frame); },
       {kOperandInvalid, kRcx}},
      {"unaligned",
       [&] { return module.tdh_mem_page_aug(td.tdr, kRamGpa + 8, Level::k4K, frame); },
       {kOperandInvalid, kRcx}},
      {"level",
       [&] { return module.tdh_mem_page_aug(td.tdr, Gpa{0}, Level::k1G, frame); },
       {kOperandInvalid, kRcx}},
      {"no tables",
       [&] { return module.tdh_mem_page_aug(td.tdr, nowhere, Level::k4K, frame); },
       {kEptWalkFailed, kRcx}},
      {"table exists",
       [&] { return module.tdh_mem_sept_add(td.tdr, Gpa{0}, Level::k512G, page()); },
       {kEptEntryStateIncorrect, kRcx}},
      {"aug", [&] { return module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, frame); }, {}},
      {"aug again",
       [&] { return module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, page()); },
       {kEptEntryStateIncorrect, kRcx}},
      {"remove unblocked",
       [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); },
       {kGpaRangeNotBlocked, kRcx}},
      {"MMIO block of RAM",
       [&] { return module.tdh_mmio_block(td.tdr, kRamGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"MMIO unmap of RAM",
       [&] { return module.tdh_mmio_unmap(td.tdr, kRamGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"block", [&] { return module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K); }, {}},
      {"block again",
       [&] { return module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K); },
       {kGpaRangeAlreadyBlocked, kRax}},
      {"remove untracked",
       [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); },
       {kTlbTrackingNotDone, kRcx}},
      {"track", [&] { return module.tdh_mem_track(td.tdr); }, {}},
      {"remove", [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); }, {}},
      {"unblock what is free",
       [&] { return module.tdh_mem_range_unblock(td.tdr, kRamGpa, Level::k4K); },
       {kGpaRangeNotBlocked, kRcx}},
      {"a table in use",
       [&] {
         (void)module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, frame);
         (void)module.tdh_mem_range_block(td.tdr, Gpa{0}, Level::k2M);
         (void)module.tdh_mem_track(td.tdr);
         return module.tdh_mem_sept_remove(td.tdr, Gpa{0}, Level::k2M);
       },
       {kEptEntryStateIncorrect, kRcx}},
  });
}

TEST_F(TdRefusals, TeardownKeepsItsOrder) {
  TestTd td = running_td();
  inside(td, [&] {
    EXPECT_CODE(module.begin_vp_enter(td.vp), kOperandBusy);
    EXPECT_CODE(module.tdh_vp_flush(td.vp), kOperandBusy);
  });
  expect({
      {"vCPU not flushed",
       [&] { return module.tdh_mng_vpflushdone(td.tdr); },
       {kFlushvpNotDone, kRcx}},
      {"flush", [&] { return module.tdh_vp_flush(td.vp); }, {}},
      {"flush again", [&] { return module.tdh_vp_flush(td.vp); }, {kVcpuNotAssociated, kRcx}},
      {"nothing to write back",
       [&] { return module.tdh_phymem_cache_wb(); },
       {kNoHkidReadyToWbcache, kRax}},
      {"key in use",
       [&] { return module.tdh_mng_key_freeid(td.tdr); },
       {kLifecycleStateIncorrect, kRcx}},
      {"flushed", [&] { return module.tdh_mng_vpflushdone(td.tdr); }, {}},
      {"enter a blocked TD",
       [&] { return module.begin_vp_enter(td.vp); },
       {kTdKeysNotConfigured, kRcx}},
      {"caches", [&] { return module.tdh_mng_key_freeid(td.tdr); }, {kWbcacheNotComplete, kRcx}},
      {"page of a TD with a key",
       [&] { return module.tdh_phymem_page_reclaim(td.pages[0]); },
       {kLifecycleStateIncorrect, kTdr}},
      {"write back", [&] { return module.tdh_phymem_cache_wb(); }, {}},
      {"free key", [&] { return module.tdh_mng_key_freeid(td.tdr); }, {}},
      {"TDR before its children",
       [&] { return module.tdh_phymem_page_reclaim(td.tdr); },
       {kTdAssociatedPagesExist, kRcx}},
      {"a free page",
       [&] { return module.tdh_phymem_page_reclaim(message); },
       {kPageMetadataIncorrect, kRcx}},
  });
}

}  // namespace
}  // namespace teeio::tdx
