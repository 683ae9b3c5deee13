#include <functional>

#include "unit/firmware/tdx/machine.h"

// The checks of the leaves: one row each, on a machine in the state that the
// row's group says. A row gives the exact code and operand.

namespace teeio::tdx {
namespace {

class Refusals : public Machine {
 protected:
  struct Row {
    std::string_view what;
    std::function<LeafResult()> call;
    Status wanted;
  };
  static void expect(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      const LeafResult got = row.call();
      EXPECT_EQ(got.status.name(), row.wanted.name()) << row.what;
      EXPECT_EQ(operand_name(got.status.operand()), operand_name(row.wanted.operand())) << row.what;
    }
  }
  using enum Code;
  using enum Operand;
};

TEST_F(Refusals, PagesMustBeAlignedRamAndTheHosts) {
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

TEST_F(Refusals, TdBuildKeepsItsOrder) {
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

TEST_F(Refusals, ATdHasNoMoreVcpusThanItsParametersSay) {
  TestTd td = running_td();  // has one of two
  for (const Code wanted : {kSuccess, kMaxVcpusExceeded}) {
    const Hpa vp = page();
    ASSERT_OK(module.tdh_vp_create(td.tdr, vp));
    for (std::uint32_t i = 0; i < kTdvpsPages; ++i) ASSERT_OK(module.tdh_vp_addcx(vp, page()));
    EXPECT_CODE(module.tdh_vp_init(vp, 0), wanted);
  }
}

TEST_F(Refusals, SecureEptEntries) {
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

TEST_F(Refusals, IommuSpdmAndStreams) {
  IdeStreamConfig config = stream_config();
  const auto create = [&] { return module.tdh_ide_stream_create(0, kSession, config, page()); };
  expect({
      {"id",
       [&] { return module.tdh_spdm_create(kMaxIommus, 0, page()); },
       {kOperandInvalid, kRcx}},
      {"no such",
       [&] { return module.tdh_iommu_setup(1, page(), page()); },
       {kIommuInvalidState, kRcx}},
      {"not set up",
       [&] { return module.tdh_spdm_create(0, 0, page()); },
       {kIommuInvalidState, kRcx}},
      {"setup", [&] { return module.tdh_iommu_setup(0, page(), page()); }, {}},
      {"setup twice",
       [&] { return module.tdh_iommu_setup(0, page(), page()); },
       {kIommuInvalidState, kRcx}},
      {"index",
       [&] { return module.tdh_spdm_create(0, kMaxSpdm, page()); },
       {kOperandInvalid, kRdx}},
      {"no session",
       [&] { return module.tdh_spdm_connect(0, kSession, message); },
       {kSpdmEntryNotPresent, kRdx}},
      {"session", [&] { return module.tdh_spdm_create(0, kSession, page()); }, {}},
      {"session twice",
       [&] { return module.tdh_spdm_create(0, kSession, page()); },
       {kSpdmEntryAlreadyPresent, kRdx}},
      {"stream on an unbound session", create, {kSpdmInvalidState, kRdx}},
      {"message page of the module's",
       [&] {
         const Hpa owned = page();
         (void)module.tdh_spdm_create(0, 9, owned);
         return module.tdh_spdm_connect(0, kSession, owned);
       },
       {kOperandInvalid, kR8}},
      {"clear with a session",
       [&] { return module.tdh_iommu_clear(0); },
       {kIommuInvalidState, kRcx}},
  });
  LeafResult r = module.tdh_spdm_connect(0, kSession, message);
  ASSERT_NE(r.message_bytes(), 0U);
  EXPECT_CODE(module.tdh_spdm_connect(0, kSession, message), kSpdmInvalidState);  // no answer yet
  ASSERT_OK(module.tdh_spdm_connect(0, kSession, message));
  carry();
  ASSERT_OK(module.tdh_spdm_connect(0, kSession, message));
  expect({
      {"connect twice",
       [&] { return module.tdh_spdm_connect(0, kSession, message); },
       {kSpdmInvalidState, kRdx}},
      {"root port",
       [&] {
         config.root_port = 1;
         return create();
       },
       {kRpNotConfigured, kR8}},
      {"registers",
       [&] {
         config = stream_config();
         config.register_block = 2;
         return create();
       },
       {kIdeStreamNotSupported, kR8}},
      {"requester range",
       [&] {
         config = stream_config();
         config.rid_limit = 0;
         return create();
       },
       {kOperandInvalid, kR10}},
      {"create",
       [&] {
         config = stream_config();
         return create();
       },
       {}},
      {"stream id again",
       [&] {
         config.register_block = 1;
         return create();
       },
       {kIdeStreamNotFree, kR9}},
      {"requesters overlap",
       [&] {
         config.stream_id = 8;
         return create();
       },
       {kIdeStreamRidOverlap, kR10}},
      {"addresses overlap",
       [&] {
         config.rid_base = config.rid_limit = 0x200;
         return create();
       },
       {kIdeStreamAddrOverlap, kR12}},
      {"disconnect with a stream",
       [&] { return module.tdh_spdm_disconnect(0, kSession); },
       {kSpdmHasActiveIdeStreams, kRdx}},
      {"delete session with a stream",
       [&] { return module.tdh_spdm_delete(0, kSession); },
       {kSpdmHasActiveIdeStreams, kRdx}},
      {"no stream",
       [&] { return module.tdh_ide_stream_block(0, 9); },
       {kIdeStreamNotConfigured, kRdx}},
      {"delete unblocked",
       [&] { return module.tdh_ide_stream_delete(0, kStream); },
       {kIdeStreamNotBlocked, kRdx}},
      {"GO without key",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kSetGo, {}, message); },
       {kIdeKmKeysNotReady, kR9}},
      {"answer to nothing",
       [&] { return module.tdh_ide_km_response(0, kStream, message); },
       {kIdeKmInvalidResponse, kRdx}},
      {"ask",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kKeyProg, {}, message); },
       {}},
      {"ask again",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kKeyProg, {}, message); },
       {kIdeKmOutReq, kRdx}},
      {"request as answer",
       [&] { return module.tdh_ide_km_response(0, kStream, message); },
       {kIdeKmInvalidResponse, kR8}},
      {"block", [&] { return module.tdh_ide_stream_block(0, kStream); }, {}},
      {"block again",
       [&] { return module.tdh_ide_stream_block(0, kStream); },
       {kIdeStreamBlocked, kRdx}},
      {"key for a blocked stream",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kKeyProg, {}, message); },
       {kIdeStreamBlocked, kRdx}},
      {"delete", [&] { return module.tdh_ide_stream_delete(0, kStream); }, {}},
  });
}

TEST_F(Refusals, AKeyThatTheDeviceRefusedDoesNotCount) {
  setup_iommu();
  connect_spdm();
  ASSERT_OK(module.tdh_ide_stream_create(0, kSession, stream_config(), page()));
  device.kp_ack_status = 4;
  ASSERT_OK(km(KmObject::kKeyProg, {}));
  EXPECT_CODE(km(KmObject::kSetGo, {}), kIdeKmKeysNotReady);
}

TEST_F(Refusals, DeviceInterfaces) {
  connect();
  TestTd td = running_td();
  TestTd other = running_td(2, 12);
  const FunctionId outside{0x0200};
  expect({
      {"level 0",
       [&] { return module.tdh_devifmt_add(kFunction, 0, page()); },
       {kOperandInvalid, kRcx}},
      {"segment",
       [&] { return module.tdh_devifmt_add(FunctionId{0x1000100}, 4, page()); },
       {kOperandInvalid, kRcx}},
      {"no root",
       [&] { return module.tdh_devifmt_add(kFunction, 3, page()); },
       {kDevifmtNotPresent, kRcx}},
      {"no table", [&] { return create_devif(td); }, {kDevifmtNotPresent, kRcx}},
      {"remove nothing",
       [&] { return module.tdh_devifmt_remove(kFunction, 4); },
       {kDevifmtNotPresent, kRcx}},
  });
  devifmt_tables();
  expect({
      {"table twice",
       [&] { return module.tdh_devifmt_add(kFunction, 1, page()); },
       {kDevifmtAlreadyPresent, kRcx}},
      {"table with a table",
       [&] { return module.tdh_devifmt_remove(kFunction, 4); },
       {kDevifInvalidMetadata, kRcx}},
      {"stream",
       [&] { return module.tdh_devif_create(td.tdr, kFunction, 0, 9, page(), page(), page()); },
       {kIdeStreamInvalidState, kRcx}},
      {"outside the stream",
       [&] {
         (void)module.tdh_devifmt_add(outside, 1, page());
         return create_devif(td, outside);
       },
       {kOperandInvalid, kRcx}},
      {"one page twice",
       [&] {
         const Hpa p = page();
         return module.tdh_devif_create(td.tdr, kFunction, 0, kStream, page(), p, p);
       },
       {kOperandBusy, kR10}},
      {"create", [&] { return create_devif(td); }, {}},
      {"one interface a function",
       [&] { return create_devif(other); },
       {kDevifmtAlreadyPresent, kRcx}},
      {"table with an interface",
       [&] { return module.tdh_devifmt_remove(kFunction, 1); },
       {kDevifInvalidMetadata, kRcx}},
      {"STOP of keys in use",
       [&] { return km(KmObject::kSetStop, {}); },
       {kIdeStreamHasDeviceInterfaces, kRdx}},
      {"not a request", [&] { return tdisp(DevifRequest{0x88}); }, {kOperandInvalid, kRdx}},
      {"START by the host", [&] { return tdisp(DevifRequest::kStart); }, {kOperandInvalid, kRdx}},
      {"REPORT by the host", [&] { return tdisp(DevifRequest::kReport); }, {kOperandInvalid, kRdx}},
      {"relay of nothing",
       [&] { return tdisp(DevifRequest::kStart, OnBehalfOf::kTd); },
       {kTdispInvalidReqSts, kRdx}},
      {"answer to nothing",
       [&] { return module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message); },
       {kTdispOutReq, kRcx}},
      {"LOCK",
       [&] {
         return module.tdh_devif_request(kFunction, DevifRequest::kLock, OnBehalfOf::kVmm, message);
       },
       {}},
      {"one at a time", [&] { return tdisp(DevifRequest::kStop); }, {kTdispOutReq, kRcx}},
      {"another's answer",
       [&] { return module.tdh_devif_response(kFunction, OnBehalfOf::kTd, message); },
       {kTdispInvalidReqSts, kRdx}},
      {"no answer at all",
       [&] { return module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message); },
       {kTdispInvalidMessage, kRdx}},
      {"answer",
       [&] {
         carry();
         return module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message);
       },
       {}},
      {"remove while locked",
       [&] { return module.tdh_devif_remove(kFunction); },
       {kDevifInvalidState, kRcx}},
      {"delete stream in use",
       [&] {
         (void)module.tdh_ide_stream_block(0, kStream);
         return module.tdh_ide_stream_delete(0, kStream);
       },
       {kIdeStreamHasDeviceInterfaces, kRdx}},
      {"create on a blocked stream",
       [&] { return create_devif(td, kOther); },
       {kIdeStreamInvalidState, kRcx}},
  });
}

TEST_F(Refusals, DeviceErrors) {
  connect();
  TestTd td = running_td();
  devifmt_tables();
  ASSERT_OK(create_devif(td));
  device.refuse_all = true;
  const LeafResult refused = tdisp(DevifRequest::kLock);
  EXPECT_TRUE(refused.ok());
  EXPECT_EQ(refused.message_code(), 0x7f);
  EXPECT_EQ(refused.message_detail(), 4);  // INVALID_INTERFACE_STATE
  device.refuse_all = false;
  device.tdis[0x0100].state = wire::TdiState::kError;
  ASSERT_OK(tdisp(DevifRequest::kState));
  EXPECT_CODE(tdisp(DevifRequest::kLock), kTdispErrorState);
  EXPECT_CODE(module.tdh_devif_remove(kFunction), kDevifInvalidState);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  ASSERT_OK(module.tdh_devif_remove(kFunction));
}

TEST_F(Refusals, PrivateMmio) {
  connect();
  TestTd td = running_td();
  TestTd other = running_td(2, 12);
  devifmt_tables();
  const auto set = [&](std::optional<FunctionId> owner) {
    return module.tdh_mmiomt_set(kBar, Level::k4K, owner);
  };
  const auto map = [&](const TestTd& who) {
    return module.tdh_mmio_map(who.tdr, kMmioGpa, Level::k4K, kBar);
  };
  expect({
      {"level", [&] { return module.tdh_mmiomt_add(kBar, 6, page()); }, {kOperandInvalid, kRcx}},
      {"no root",
       [&] { return module.tdh_mmiomt_add(kBar, 4, page()); },
       {kMmiomtNotPresent, kRcx}},
      {"no table", [&] { return set(kFunction); }, {kMmiomtNotPresent, kRcx}},
      {"map without a table", [&] { return map(td); }, {kMmiomtNotPresent, kR8}},
      {"map RAM",
       [&] { return module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, page()); },
       {kOperandInvalid, kR8}},
  });
  mmiomt_tables();
  expect({
      {"table twice",
       [&] { return module.tdh_mmiomt_add(kBar, 1, page()); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"table with a table",
       [&] { return module.tdh_mmiomt_remove(kBar, 5); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"function 0", [&] { return set(FunctionId{0}); }, {kOperandInvalid, kRdx}},
      {"no interface", [&] { return set(kFunction); }, {kDevifmtNotPresent, kRdx}},
      {"free already", [&] { return set(std::nullopt); }, {kMmioInvalidPageMetadata, kRcx}},
      {"no owner", [&] { return map(td); }, {kMmioInvalidPageMetadata, kR8}},
      {"devif", [&] { return create_devif(td); }, {}},
      {"set", [&] { return set(kFunction); }, {}},
      {"set again", [&] { return set(kFunction); }, {kMmioInvalidPageMetadata, kRcx}},
      {"data where a table is",
       [&] { return module.tdh_mmiomt_set(kBar, Level::k2M, kFunction); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"table with data",
       [&] { return module.tdh_mmiomt_remove(kBar, 1); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"another TD", [&] { return map(other); }, {kMmioDevifOwnerMismatch, kR8}},
      {"map while unlocked is legal", [&] { return map(td); }, {}},
      {"map again", [&] { return map(td); }, {kEptEntryStateIncorrect, kRcx}},
      {"the page elsewhere",
       [&] { return module.tdh_mmio_map(td.tdr, kMmioGpa + kPageSize, Level::k4K, kBar); },
       {kMmioInvalidPageMetadata, kR8}},
      {"metadata of a mapped page",
       [&] { return set(std::nullopt); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"RAM leaf on MMIO",
       [&] { return module.tdh_mem_range_block(td.tdr, kMmioGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"block", [&] { return module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K); }, {}},
      {"block again",
       [&] { return module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"RAM removal of MMIO",
       [&] { return module.tdh_mem_page_remove(td.tdr, kMmioGpa, Level::k4K); },
       {kGpaRangeNotBlocked, kRcx}},
      {"map on a blocked stream",
       [&] {
         (void)module.tdh_mmiomt_set(kBar + kPageSize, Level::k4K, kFunction);
         (void)module.tdh_ide_stream_block(0, kStream);
         return module.tdh_mmio_map(td.tdr, kMmioGpa + kPageSize, Level::k4K, kBar + kPageSize);
       },
       {kIdeStreamBlocked, kR8}},
  });
}

TEST_F(Refusals, ATdThatIsBeingBuiltNeedsTheBlockButNoTracking) {
  connect();
  TestTd td = make_td(1, 11);
  bind(td);
  ASSERT_OK(module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, kBar));
  EXPECT_CODE(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K), kEptEntryStateIncorrect);
  ASSERT_OK(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K));
  ASSERT_OK(tdisp(DevifRequest::kStop));
  ASSERT_OK(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K));
}

TEST_F(Refusals, TrustedDma) {
  connect();
  TestTd td = running_td();
  devifmt_tables();
  const auto index = [](DmarLevel level, std::uint32_t pasid = 0) {
    DmarIndex i = dmar(level);
    i.pasid = pasid;
    return i;
  };
  const DmarIndex pasid = index(DmarLevel::kPasid);
  expect({
      {"pasid",
       [&] { return module.tdh_dmar_add(index(DmarLevel::kPasid, 1U << 20U), Hpa{0}); },
       {kOperandInvalid, kRcx}},
      {"no parent",
       [&] { return module.tdh_dmar_add(index(DmarLevel::kContext), page()); },
       {kDmarEntryNotPresent, kRcx}},
      {"root", [&] { return module.tdh_dmar_add(index(DmarLevel::kRoot), page()); }, {}},
      {"root twice",
       [&] { return module.tdh_dmar_add(index(DmarLevel::kRoot), page()); },
       {kDmarInvalidMappingState, kRcx}},
      {"context", [&] { return module.tdh_dmar_add(index(DmarLevel::kContext), page()); }, {}},
      {"beyond the directory",
       [&] { return module.tdh_dmar_add(index(DmarLevel::kDirectory, 1U << 15U), page()); },
       {kDmarIndexOutOfBounds, kRcx}},
      {"directory", [&] { return module.tdh_dmar_add(index(DmarLevel::kDirectory), page()); }, {}},
      {"page for a PASIDTE",
       [&] { return module.tdh_dmar_add(pasid, page()); },
       {kOperandInvalid, kRdx}},
      {"PASIDTE", [&] { return module.tdh_dmar_add(pasid, Hpa{0}); }, {}},
      {"block without an interface",
       [&] { return module.tdh_dmar_block(pasid); },
       {kDevifmtNotPresent, kRcx}},
      {"block a table in use",
       [&] { return module.tdh_dmar_block(index(DmarLevel::kDirectory)); },
       {kDmarInvalidMappingState, kRcx}},
      {"remove unblocked",
       [&] { return module.tdh_dmar_remove(pasid); },
       {kDmarInvalidMappingState, kRcx}},
      {"invalidate unblocked",
       [&] { return module.tdh_iq_inv_request(pasid); },
       {kDmarInvalidMappingState, kR8}},
      {"devif", [&] { return create_devif(td); }, {}},
      {"block", [&] { return module.tdh_dmar_block(pasid); }, {}},
      {"block again",
       [&] { return module.tdh_dmar_block(pasid); },
       {kDmarInvalidMappingState, kRcx}},
      {"remove before invalidation",
       [&] { return module.tdh_dmar_remove(pasid); },
       {kDmarInvalidInvState, kRcx}},
      {"ask", [&] { return module.tdh_iq_inv_request(pasid); }, {}},
      {"ask again", [&] { return module.tdh_iq_inv_request(pasid); }, {kDmarInvalidInvState, kR8}},
      {"remove while queued",
       [&] { return module.tdh_dmar_remove(pasid); },
       {kDmarInvalidInvState, kRcx}},
      {"process", [&] { return module.tdh_iq_inv_process(0); }, {}},
      {"remove", [&] { return module.tdh_dmar_remove(pasid); }, {}},
      {"gone", [&] { return module.tdh_dmar_block(pasid); }, {kDmarEntryNotPresent, kRcx}},
      {"IOTLB of a TD without DMA",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotRequired, kR8}},
  });
}

TEST_F(Refusals, TheInvalidationQueueEnds) {
  connect();
  devifmt_tables();
  TestTd td = running_td();
  ASSERT_OK(create_devif(td));
  for (const DmarLevel level : {DmarLevel::kRoot, DmarLevel::kContext}) {
    ASSERT_OK(module.tdh_dmar_add(dmar(level), page()));
  }
  DmarIndex index = dmar(DmarLevel::kDirectory);
  for (std::uint32_t n = 0; n <= kMaxQueued; ++n, index.pasid += 64) {
    ASSERT_OK(module.tdh_dmar_add(index, page()));
    ASSERT_OK(module.tdh_dmar_block(index));
    EXPECT_CODE(module.tdh_iq_inv_request(index), n < kMaxQueued ? kSuccess : kIqQueueFull);
  }
}

TEST_F(Refusals, OneIotlbRequestAnEpoch) {
  connect();
  TestTd td = running_td();
  run(td);
  expect({
      {"nothing old",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotRequired, kR8}},
      {"track", [&] { return module.tdh_mem_track(td.tdr); }, {}},
      {"track again",
       [&] { return module.tdh_mem_track(td.tdr); },
       {kIotlbTrackingNotDone, kTdEpoch}},
      {"request", [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); }, {}},
      {"request again",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotDone, kR8}},
      {"process", [&] { return module.tdh_iq_inv_process(0); }, {}},
      {"done for this epoch",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotRequired, kR8}},
      {"track", [&] { return module.tdh_mem_track(td.tdr); }, {}},
  });
}

TEST_F(Refusals, TeardownKeepsItsOrder) {
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

TEST_F(Refusals, ReclaimGivesNeitherDeviceMetadataNorAnIommusTables) {
  connect();
  TestTd td = running_td();
  devifmt_tables();
  mmiomt_tables();
  const Hpa devifcs = page();
  ASSERT_OK(module.tdh_devif_create(td.tdr, kFunction, 0, kStream, devifcs, page(), page()));
  const Hpa root = *iommu.root(hw::TBit::kTrusted);
  const Hpa table{module.tdh_devifmt_remove(kFunction, 1).rcx};
  EXPECT_EQ(raw(table), 0U);
  expect({
      {"DEVIFCS",
       [&] { return module.tdh_phymem_page_reclaim(devifcs); },
       {kPageMetadataIncorrect, kRcx}},
      {"IOMMU root",
       [&] { return module.tdh_phymem_page_reclaim(root); },
       {kIommuMtPageInUse, kRcx}},
  });
}

}  // namespace
}  // namespace teeio::tdx
