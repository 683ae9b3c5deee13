#include "unit/firmware/tdx/refusals.h"

// The checks of device interfaces and private MMIO.

namespace teeio::tdx {
namespace {

using DeviceRefusals = Refusals;

TEST_F(DeviceRefusals, DeviceInterfaces) {
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
      {"no request", [&] { return tdisp(DevifRequest::kNone); }, {kOperandInvalid, kRdx}},
      {"a code with the TD's flag",
       [&] { return tdisp(DevifRequest::kStart, OnBehalfOf::kTd); },
       {kOperandInvalid, kRdx}},
      {"relay of nothing", [&] { return relay_guest(); }, {kTdispInvalidReqSts, kRcx}},
      {"STOP that forbids updates",
       [&] {
         return module.tdh_devif_request(kFunction, DevifRequest::kStop, OnBehalfOf::kVmm, message,
                                         true);
       },
       {kOperandInvalid, kRdx}},
      {"answer to nothing",
       [&] { return module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message); },
       {kTdispOutReq, kRcx}},
      {"LOCK",
       [&] {
         return module.tdh_devif_request(kFunction, DevifRequest::kLock, OnBehalfOf::kVmm, message);
       },
       {}},
      {"one at a time", [&] { return tdisp(DevifRequest::kStop); }, {kTdispOutReq, kRcx}},
      {"a TD's answer for the VMM",
       [&] { return module.tdh_devif_response(kFunction, OnBehalfOf::kTd, message, page()); },
       {kOperandInvalid, kR8}},
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

TEST_F(DeviceRefusals, DeviceErrors) {
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

TEST_F(DeviceRefusals, PrivateMmio) {
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
      {"map without a table", [&] { return map(td); }, {kMmiomtNotPresent, kRcx}},
      {"map RAM of nobody",
       [&] { return module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, page()); },
       {kMmiomtNotPresent, kRcx}},
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
      {"free already", [&] { return set(std::nullopt); }, {kMmioInvalidPageMetadata, kMmiomt}},
      {"no owner", [&] { return map(td); }, {kMmioInvalidPageMetadata, kRcx}},
      {"devif", [&] { return create_devif(td); }, {}},
      {"set", [&] { return set(kFunction); }, {}},
      {"set again", [&] { return set(kFunction); }, {kMmioInvalidPageMetadata, kMmiomt}},
      {"data where a table is",
       [&] { return module.tdh_mmiomt_set(kBar, Level::k2M, kFunction); },
       {kMmioInvalidPageMetadata, kMmiomt}},
      {"table with data",
       [&] { return module.tdh_mmiomt_remove(kBar, 1); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"another TD", [&] { return map(other); }, {kMmioDevifOwnerMismatch, kRdx}},
      {"map while unlocked is legal", [&] { return map(td); }, {}},
      {"map again", [&] { return map(td); }, {kEptEntryStateIncorrect, kRcx}},
      {"the page elsewhere",
       [&] { return module.tdh_mmio_map(td.tdr, kMmioGpa + kPageSize, Level::k4K, kBar); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"metadata of a mapped page",
       [&] { return set(std::nullopt); },
       {kMmioInvalidPageMetadata, kMmiomt}},
      {"RAM leaf on MMIO",
       [&] { return module.tdh_mem_range_block(td.tdr, kMmioGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"block", [&] { return module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K); }, {}},
      {"block again",
       [&] { return module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"RAM removal of MMIO",
       [&] { return module.tdh_mem_page_remove(td.tdr, kMmioGpa, Level::k4K); },
       {kEptEntryStateIncorrect, kRcx}},
      {"map on a blocked stream",
       [&] {
         (void)module.tdh_mmiomt_set(kBar + kPageSize, Level::k4K, kFunction);
         (void)module.tdh_ide_stream_block(0, kStream);
         return module.tdh_mmio_map(td.tdr, kMmioGpa + kPageSize, Level::k4K, kBar + kPageSize);
       },
       {kIdeStreamBlocked, kR8}},
  });
}

// MMIOMT's pages have 128 entries: four of level 1 for 2 MiB, and level 2 ends at 256 MiB.
TEST_F(DeviceRefusals, ATableOfMmioMetadataCoversAQuarter) {
  connect();
  TestTd td = running_td();
  devifmt_tables();
  ASSERT_OK(create_devif(td));
  mmiomt_tables();
  constexpr std::uint64_t kQuarter = 512 * 1024;
  const Hpa last = kBar + (4 * kQuarter - kPageSize);
  const auto set = [&](Hpa at, Level level, std::optional<FunctionId> owner) {
    return module.tdh_mmiomt_set(at, level, owner);
  };
  expect({
      {"the first quarter", [&] { return set(kBar, Level::k4K, kFunction); }, {}},
      {"the last one", [&] { return set(last, Level::k4K, kFunction); }, {kMmiomtNotPresent, kRcx}},
      {"its table", [&] { return module.tdh_mmiomt_add(last, 1, page()); }, {}},
      {"twice",
       [&] { return module.tdh_mmiomt_add(kBar + 3 * kQuarter, 1, page()); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"the last one now", [&] { return set(last, Level::k4K, kFunction); }, {}},
      {"the second quarter",
       [&] { return set(kBar + kQuarter, Level::k4K, kFunction); },
       {kMmiomtNotPresent, kRcx}},
      {"free the first", [&] { return set(kBar, Level::k4K, std::nullopt); }, {}},
      {"its table goes", [&] { return module.tdh_mmiomt_remove(kBar, 1); }, {}},
      {"the last quarter's table is in use",
       [&] { return module.tdh_mmiomt_remove(last, 1); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"2 MiB of which a quarter has a table",
       [&] { return set(kBar, Level::k2M, kFunction); },
       {kMmioInvalidPageMetadata, kMmiomt}},
      {"free the last", [&] { return set(last, Level::k4K, std::nullopt); }, {}},
      {"its table goes", [&] { return module.tdh_mmiomt_remove(last, 1); }, {}},
      {"2 MiB", [&] { return set(kBar, Level::k2M, kFunction); }, {}},
      {"no table below DATA",
       [&] { return module.tdh_mmiomt_add(last, 1, page()); },
       {kMmioInvalidPageMetadata, kRcx}},
      {"beyond 256 MiB",
       [&] { return set(kBar + (std::uint64_t{256} << 20U), Level::k2M, kFunction); },
       {kMmiomtNotPresent, kRcx}},
      {"the root has tables",
       [&] { return module.tdh_mmiomt_remove(kBar, 5); },
       {kMmioInvalidPageMetadata, kRcx}},
  });
}

TEST_F(DeviceRefusals, ATdThatIsBeingBuiltNeedsTheBlockButNoTracking) {
  connect();
  TestTd td = make_td(1, 11);
  bind(td);
  ASSERT_OK(module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, kBar));
  EXPECT_CODE(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K), kEptEntryStateIncorrect);
  ASSERT_OK(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K));
  ASSERT_OK(tdisp(DevifRequest::kStop));
  ASSERT_OK(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K));
}

TEST_F(DeviceRefusals, ReclaimGivesNeitherDeviceMetadataNorAnIommusTables) {
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
       {kIommuMtPageInUse, kRax}},
      {"an SPDM session's",
       [&] {
         (void)module.tdh_devif_remove(kFunction);
         const Hpa session{page()};
         (void)module.tdh_spdm_create(Machine::kIommu, Machine::kSession + 1, session);
         const LeafResult r = module.tdh_phymem_page_reclaim(session);
         EXPECT_EQ(r.rcx, module.tdh_phymem_page_reclaim(root).rcx) << "one type for both";
         EXPECT_EQ(r.rdx, Machine::kIommu);
         return r;
       },
       {kIommuMtPageInUse, kRax}},
  });
}

}  // namespace
}  // namespace teeio::tdx
