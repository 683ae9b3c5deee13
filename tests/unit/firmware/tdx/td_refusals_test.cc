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
      {"MMIO", [&] { return module.tdh_mng_create(kBar, 2, 0); }, {kOperandAddrRangeError, kRcx}},
      {"too wide",
       [&] { return module.tdh_mng_create(Hpa{std::uint64_t{1} << 52U}, 2, 0); },
       {kOperandInvalid, kRcx}},
      {"an HKID before the page",
       [&] { return module.tdh_mng_create(kBar, 0, 0); },
       {kOperandInvalid, kRdx}},
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
      {"HKID used", [&] { return module.tdh_mng_create(page(), 1, 1); }, {kHkidNotFree, kRax}},
      {"no key yet",
       [&] { return module.tdh_mng_addcx(tdr, page()); },
       {kTdKeysNotConfigured, kRax}},
      {"key", [&] { return module.tdh_mng_key_config(tdr); }, {}},
      {"key twice",
       [&] { return module.tdh_mng_key_config(tdr); },
       {kLifecycleStateIncorrect, kRax}},
      {"init without TDCS",
       [&] { return module.tdh_mng_init(tdr, {}); },
       {kTdcsNotAllocated, kRax}},
      {"vCPU without TDCS",
       [&] { return module.tdh_vp_create(tdr, vp); },
       {kTdcsNotAllocated, kRax}},
  });
  for (std::uint32_t i = 0; i < kTdcsPages; ++i) ASSERT_OK(module.tdh_mng_addcx(tdr, page()));
  expect({
      {"one page too many",
       [&] { return module.tdh_mng_addcx(tdr, kBar); },
       {kTdcxNumIncorrect, kRax}},
      {"vCPU before init",
       [&] { return module.tdh_vp_create(tdr, vp); },
       {kOpStateIncorrect, kRax}},
      {"no vCPU at all",
       [&] { return module.tdh_mng_init(tdr, {.attributes = 0, .max_vcpus = 0}); },
       {kOperandInvalid, kMaxVcpus}},
      {"an attribute that no TD has",
       [&] { return module.tdh_mng_init(tdr, {.attributes = 2, .max_vcpus = 1}); },
       {kOperandInvalid, kAttributes}},
      {"init", [&] { return module.tdh_mng_init(tdr, {}); }, {}},
      {"init twice", [&] { return module.tdh_mng_init(tdr, {}); }, {kOpStateIncorrect, kRax}},
      {"the TDR before the new page",
       [&] { return module.tdh_vp_create(vp, kBar); },
       {kPageMetadataIncorrect, kRdx}},
      {"vCPU", [&] { return module.tdh_vp_create(tdr, vp); }, {}},
      {"vCPU lacks pages", [&] { return module.tdh_vp_init(vp, 0); }, {kTdcxNumIncorrect, kRax}},
      {"enter before finalize",
       [&] { return module.begin_vp_enter(vp); },
       {kOpStateIncorrect, kRax}},
      {"finalize without a vCPU", [&] { return module.tdh_mr_finalize(tdr); }, {kNoVcpus, kRax}},
  });
  for (std::uint32_t i = 0; i < kTdvpsPages; ++i) ASSERT_OK(module.tdh_vp_addcx(vp, page()));
  const Hpa raw_vp = page();
  expect({
      {"one page of a vCPU too many",
       [&] { return module.tdh_vp_addcx(vp, kBar); },
       {kTdcxNumIncorrect, kRax}},
      {"vCPU", [&] { return module.tdh_vp_init(vp, 0); }, {}},
      {"vCPU twice",
       [&] { return module.tdh_vp_init(vp, 0); },
       {kVcpuStateIncorrect, number_operand(2)}},
      {"raw vCPU", [&] { return module.tdh_vp_create(tdr, raw_vp); }, {}},
      {"nothing was added here",
       [&] { return module.tdh_mr_extend(tdr, kRamGpa); },
       {kEptEntryNotPresent, kRcx}},
      {"no chunk", [&] { return module.tdh_mr_extend(tdr, kRamGpa + 8); }, {kOperandInvalid, kRcx}},
      {"finalize", [&] { return module.tdh_mr_finalize(tdr); }, {}},
      {"finalize twice", [&] { return module.tdh_mr_finalize(tdr); }, {kOpStateIncorrect, kRax}},
      {"enter with pages missing",
       [&] { return module.begin_vp_enter(raw_vp); },
       {kTdcxNumIncorrect, kRax}},
      {"enter before VP.INIT",
       [&] {
         for (std::uint32_t i = 0; i < kTdvpsPages; ++i)
           EXPECT_OK(module.tdh_vp_addcx(raw_vp, page()));
         return module.begin_vp_enter(raw_vp);
       },
       {kVcpuStateIncorrect, kRax}},
      {"add after finalize",
       [&] { return module.tdh_mem_page_add(tdr, kRamGpa, page(), page()); },
       {kOpStateIncorrect, kRax}},
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
       {kGpaRangeAlreadyBlocked, kRcx}},
      {"remove untracked",
       [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); },
       {kTlbTrackingNotDone, kRcx}},
      {"track", [&] { return module.tdh_mem_track(td.tdr); }, {}},
      {"remove", [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); }, {}},
      {"unblock what is free",
       [&] { return module.tdh_mem_range_unblock(td.tdr, kRamGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"remove what is free",
       [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"the entry before the page",
       [&] { return module.tdh_mem_sept_add(td.tdr, Gpa{0}, Level::k512G, kBar); },
       {kEptEntryStateIncorrect, kRcx}},
      {"a table that is not blocked",
       [&] { return module.tdh_mem_sept_remove(td.tdr, Gpa{0}, Level::k2M); },
       {kGpaRangeNotBlocked, kRcx}},
      {"a table that is none",
       [&] { return module.tdh_mem_sept_remove(td.tdr, Gpa{0x20'0000}, Level::k2M); },
       {kEptEntryStateIncorrect, kRcx}},
      {"a table in use",
       [&] {
         (void)module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, frame);
         (void)module.tdh_mem_range_block(td.tdr, Gpa{0}, Level::k2M);
         (void)module.tdh_mem_track(td.tdr);
         return module.tdh_mem_sept_remove(td.tdr, Gpa{0}, Level::k2M);
       },
       {kEptPageNotFree, kRcx}},
  });
}

TEST_F(TdRefusals, AnEntryIsShownWhereItsStateIsRefused) {
  TestTd td = running_td();
  const Hpa frame = private_page(td, kRamGpa);
  const LeafResult r = module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, page());
  EXPECT_CODE(r, kEptEntryStateIncorrect);
  EXPECT_EQ(r.rcx & 0x000f'ffff'ffff'f000U, raw(frame));
  EXPECT_EQ(r.rdx & 7U, 0U);
}

TEST_F(TdRefusals, WhileATdIsBuiltPagesGoWithoutBlockingAndComeInTheModulesOrder) {
  TestTd td = make_td(1, 11);
  const Hpa frame = page();
  expect({
      {"the source before the page",
       [&] { return module.tdh_mem_page_add(td.tdr, kRamGpa, kBar, Hpa{8}); },
       {kOperandInvalid, kR9}},
      {"the page",
       [&] { return module.tdh_mem_page_add(td.tdr, kRamGpa, kBar, page()); },
       {kOperandAddrRangeError, kR8}},
      {"add", [&] { return module.tdh_mem_page_add(td.tdr, kRamGpa, frame, page()); }, {}},
      {"the entry before the source",
       [&] { return module.tdh_mem_page_add(td.tdr, kRamGpa, kBar, Hpa{8}); },
       {kEptEntryStateIncorrect, kRcx}},
      {"extend", [&] { return module.tdh_mr_extend(td.tdr, kRamGpa + 256); }, {}},
      {"remove", [&] { return module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K); }, {}},
      {"extend no more",
       [&] { return module.tdh_mr_extend(td.tdr, kRamGpa); },
       {kEptEntryNotPresent, kRax}},
  });
}

TEST_F(TdRefusals, NumbersAreTheModules) {
  EXPECT_EQ(Status(kMaxVcpusExceeded).rax(), 0xC000'0705'0000'0000U);
  EXPECT_EQ(Status(kNoVcpus).rax(), 0xC000'0609'0000'0000U);
  EXPECT_EQ(Status(kOperandBusy, kSeptTree).rax(), 0x8000'0200'0000'0092U);
  EXPECT_EQ(Status(kOperandBusy, kTdEpoch).rax(), 0x8000'0200'0000'00A9U);
  EXPECT_EQ(Status(kOperandBusy, kKot).rax(), 0x8000'0200'0000'00BAU);
}

TEST_F(TdRefusals, TeardownKeepsItsOrder) {
  TestTd td = running_td();
  inside(td, [&] {
    EXPECT_CODE(module.begin_vp_enter(td.vp), kVcpuAssociated);
    EXPECT_CODE(module.tdh_vp_flush(td.vp), kOperandBusy);
  });
  expect({
      {"vCPU not flushed",
       [&] { return module.tdh_mng_vpflushdone(td.tdr); },
       {kFlushvpNotDone, kRax}},
      {"flush", [&] { return module.tdh_vp_flush(td.vp); }, {}},
      {"flush again", [&] { return module.tdh_vp_flush(td.vp); }, {kVcpuNotAssociated, kRax}},
      {"nothing to write back",
       [&] { return module.tdh_phymem_cache_wb(); },
       {kNoHkidReadyToWbcache, kRax}},
      {"key in use",
       [&] { return module.tdh_mng_key_freeid(td.tdr); },
       {kLifecycleStateIncorrect, kRax}},
      {"flushed", [&] { return module.tdh_mng_vpflushdone(td.tdr); }, {}},
      {"enter a blocked TD",
       [&] { return module.begin_vp_enter(td.vp); },
       {kTdKeysNotConfigured, kRax}},
      {"flush a blocked TD",
       [&] { return module.tdh_vp_flush(td.vp); },
       {kTdKeysNotConfigured, kRax}},
      {"caches", [&] { return module.tdh_mng_key_freeid(td.tdr); }, {kWbcacheNotComplete, kRax}},
      {"page of a TD with a key",
       [&] { return module.tdh_phymem_page_reclaim(td.pages[0]); },
       {kLifecycleStateIncorrect, kRax}},
      {"write back", [&] { return module.tdh_phymem_cache_wb(); }, {}},
      {"write back once more", [&] { return module.tdh_phymem_cache_wb(); }, {}},
      {"free key", [&] { return module.tdh_mng_key_freeid(td.tdr); }, {}},
      {"a free key has nothing to write back",
       [&] { return module.tdh_phymem_cache_wb(); },
       {kNoHkidReadyToWbcache, kRax}},
      {"TDR before its children",
       [&] { return module.tdh_phymem_page_reclaim(td.tdr); },
       {kTdAssociatedPagesExist, kRax}},
      {"a free page",
       [&] { return module.tdh_phymem_page_reclaim(message); },
       {kPageMetadataIncorrect, kRcx}},
  });
}

}  // namespace
}  // namespace teeio::tdx
