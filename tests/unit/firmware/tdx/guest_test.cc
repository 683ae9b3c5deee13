#include "unit/firmware/tdx/machine.h"

// What a guest can do, and what its memory and its devices then reach.

namespace teeio::tdx {
namespace {

class Guest : public Machine {
 protected:
  void SetUp() override { connect(); }
  Module::Miss miss(const TestTd& td, Gpa gpa) {
    const auto found = module.lookup(td.tdr, gpa, hw::GuestAccess::kRead);
    EXPECT_FALSE(found.has_value());
    return found ? Module::Miss::kGone : found.error();
  }
};

TEST_F(Guest, RamIsThereOnceAccepted) {
  TestTd td = running_td();
  const Hpa frame = page();
  inside(td, [&] {
    const auto early = module.tdg_mem_page_accept(td.vp, kRamGpa, Level::k4K);
    EXPECT_EQ(early.ept_violation, kRamGpa);
  });
  EXPECT_EQ(miss(td, kRamGpa), Module::Miss::kNotPresent);
  ASSERT_OK(module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, frame));
  EXPECT_EQ(miss(td, kRamGpa), Module::Miss::kPending);
  inside(td, [&] {
    ASSERT_OK(module.tdg_mem_page_accept(td.vp, kRamGpa, Level::k4K));
    EXPECT_CODE(module.tdg_mem_page_accept(td.vp, kRamGpa, Level::k4K).leaf,
                Code::kPageAlreadyAccepted);
    EXPECT_CODE(module.tdg_mem_page_accept(td.vp, Gpa{0}, Level::k2M).leaf,
                Code::kPageSizeMismatch);
  });
  const auto found = module.lookup(td.tdr, kRamGpa + 5, hw::GuestAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, frame);
  EXPECT_EQ(found->key, hw::KeyId{1});
  EXPECT_FALSE(found->mmio);
  ASSERT_OK(module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K));
  EXPECT_EQ(miss(td, kRamGpa), Module::Miss::kBlocked);
  EXPECT_EQ(miss(td, Gpa{kSharedGpaBit}), Module::Miss::kShared);
}

TEST_F(Guest, CallsAreHandledAlsoAfterTheVcpuHasLeftButNotBeforeItEntered) {
  TestTd td = running_td();
  EXPECT_CODE(module.tdg_vp_info(td.vp), Code::kVcpuStateIncorrect);
  inside(td, [&] {});
  const LeafResult info = module.tdg_vp_info(td.vp);
  EXPECT_TRUE(info.ok());
  EXPECT_EQ(info.rcx, 48U);
  EXPECT_EQ(info.r8, std::uint64_t{2} << 32U | 1U);
  ASSERT_OK(module.tdh_vp_flush(td.vp));
  EXPECT_CODE(module.tdg_vp_info(td.vp), Code::kVcpuStateIncorrect);
}

TEST_F(Guest, ABlockedTableHidesAllBelowIt) {
  TestTd td = running_td();
  (void)private_page(td, kRamGpa);
  ASSERT_OK(module.tdh_mem_range_block(td.tdr, Gpa{0}, Level::k2M));
  EXPECT_EQ(miss(td, kRamGpa), Module::Miss::kBlocked);
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  ASSERT_OK(module.tdh_mem_range_unblock(td.tdr, Gpa{0}, Level::k2M));
  EXPECT_TRUE(module.lookup(td.tdr, kRamGpa, hw::GuestAccess::kRead).has_value());
}

TEST_F(Guest, AddedPagesHaveTheHostsBytesAndTheTdsKey) {
  TestTd td = make_td(1, 11);
  const Hpa source = page();
  const Hpa frame = page();
  ASSERT_TRUE(memory.write_u64(source, 0x1122334455667788).has_value());
  ASSERT_OK(module.tdh_mem_page_add(td.tdr, kRamGpa, frame, source));
  ASSERT_OK(module.tdh_mr_extend(td.tdr, kRamGpa));
  EXPECT_EQ(*memory.read_u64(frame, hw::KeyId{1}), 0x1122334455667788U);
  EXPECT_FALSE(memory.read_u64(frame).has_value());
  ASSERT_OK(module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K));
  ASSERT_OK(module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K));
  EXPECT_EQ(*memory.read_u64(frame), 0U);  // the host's again, without the guest's bytes
}

TEST_F(Guest, LargePagesAreAcceptedWholeAndMayBeInterrupted) {
  TestTd td = running_td();
  Hpa frame = page();
  while (raw(frame) % level_bytes(Level::k2M) != 0) frame = page();
  for (int i = 1; i < 512; ++i) ASSERT_EQ(raw(page()) % kPageSize, 0U);
  const Gpa gpa{level_bytes(Level::k2M) * 3};
  tables_for(td, Gpa{0});
  ASSERT_OK(module.tdh_mem_page_aug(td.tdr, gpa, Level::k2M, frame));
  inject_once("TDG.MEM.PAGE.ACCEPT interrupted");
  inside(td, [&] {
    EXPECT_EQ(module.tdg_mem_page_accept(td.vp, gpa, Level::k4K).ept_violation, gpa);
    EXPECT_CODE(module.tdg_mem_page_accept(td.vp, gpa, Level::k2M).leaf,
                Code::kInterruptedResumable);
    ASSERT_OK(module.tdg_mem_page_accept(td.vp, gpa, Level::k2M));
  });
  EXPECT_EQ(module.lookup(td.tdr, gpa + 7 * kPageSize, hw::GuestAccess::kRead)->address,
            frame + 7 * kPageSize);
}

TEST_F(Guest, MmioIsAcceptedOnlyByTheHandleOfTheReport) {
  TestTd td = running_td();
  bind(td);
  inside(td, [&] {
    EXPECT_EQ(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle()).ept_violation,
              kMmioGpa);
  });
  ASSERT_OK(module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, kBar));
  EXPECT_EQ(miss(td, kMmioGpa), Module::Miss::kPending);
  inside(td, [&] {
    const auto other = module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle() + kPageSize);
    EXPECT_EQ(other.leaf.status, Status(Code::kMmioInvalidHpaOffset, Operand::kRcx));
    // Without the TD's offset it is no address at all.
    EXPECT_CODE(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, raw(kBar)).leaf,
                Code::kOperandInvalid);
    EXPECT_CODE(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k2M, handle()).leaf,
                Code::kMmioAcceptSizeMismatch);
    EXPECT_CODE(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle() + 1).leaf,
                Code::kOperandInvalid);
    ASSERT_OK(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle()));
    EXPECT_CODE(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle()).leaf,
                Code::kPageAlreadyAccepted);
  });
  const auto found = module.lookup(td.tdr, kMmioGpa, hw::GuestAccess::kWrite);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->mmio);
  EXPECT_EQ(found->address, kBar);
}

// tdh_mmio_map.c asks MMIOMT alone: a host may call its own RAM a function's MMIO, but the
// guest does not accept it for what the report names.
TEST_F(Guest, RamInThePlaceOfMmioIsMappedAndNotAccepted) {
  TestTd td = running_td();
  bind(td);
  const Hpa ram = page();
  for (std::uint8_t level = kMmiomtLevels; level >= 1; --level)
    (void)module.tdh_mmiomt_add(ram, level, page());
  ASSERT_OK(module.tdh_mmiomt_set(ram, Level::k4K, kFunction));
  ASSERT_OK(module.tdh_mmio_map(td.tdr, kMmioGpa, Level::k4K, ram));
  inside(td, [&] {
    EXPECT_CODE(module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k4K, handle()).leaf,
                Code::kMmioInvalidHpaOffset);
  });
  EXPECT_EQ(miss(td, kMmioGpa), Module::Miss::kPending);
}

// Whatever is accepted is so for both leaves; the operand is the level of it.
TEST_F(Guest, AnAcceptedPageOfEitherKindIsAccepted) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  accept(td);
  (void)private_page(td, kRamGpa);
  inside(td, [&] {
    const auto ram = module.tdg_mmio_accept(td.vp, kRamGpa, Level::k4K, handle());
    EXPECT_EQ(ram.leaf.status, Status(Code::kPageAlreadyAccepted, Operand::kRax));
    EXPECT_EQ(ram.ept_violation, std::nullopt);
    const auto mmio = module.tdg_mem_page_accept(td.vp, kMmioGpa, Level::k4K);
    EXPECT_EQ(mmio.leaf.status, Status(Code::kPageAlreadyAccepted, Operand::kRax));
    EXPECT_EQ(mmio.ept_violation, std::nullopt);
    const auto odd = module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k2M, handle() + kPageSize);
    EXPECT_EQ(odd.leaf.status, Status(Code::kOperandInvalid, Operand::kRdx));
    const auto large = module.tdg_mmio_accept(td.vp, kMmioGpa, Level::k2M, handle());
    EXPECT_EQ(large.leaf.status, Status(Code::kMmioAcceptSizeMismatch, Operand::kRcx));
  });
}

TEST_F(Guest, ValidatesTheDeviceThatItMeansAndAgainAfterAStop) {
  TestTd td = running_td();
  bind(td);
  DeviceInfoHash wrong = info_hash;
  wrong[5] ^= 1;
  inside(td, [&] {
    EXPECT_CODE(module.tdg_devif_rd(td.vp, kFunction, DevifField::kTdispVersion),
                Code::kDevifInvalidState);
    EXPECT_CODE(module.tdg_devif_validate(td.vp, kFunction, wrong), Code::kDevifPkhMismatch);
    ASSERT_OK(module.tdg_devif_validate(td.vp, kFunction, info_hash));
    EXPECT_CODE(module.tdg_devif_validate(td.vp, kFunction, info_hash), Code::kDevifAlreadyValid);
    EXPECT_EQ(module.tdg_devif_rd(td.vp, kFunction, DevifField::kTdispVersion).rcx, 0x10U);
    // is_valid_field_code(): there is one field.
    EXPECT_CODE(module.tdg_devif_rd(td.vp, kFunction, DevifField{2}), Code::kOperandInvalid);
  });
  ASSERT_OK(tdisp(DevifRequest::kStop));
  inside(td,
         [&] { EXPECT_CODE(module.tdg_dmar_accept(td.vp, kFunction), Code::kDevifInvalidState); });
}

TEST_F(Guest, CannotUseAnotherTdsFunction) {
  TestTd owner = running_td();
  TestTd stranger = running_td(2, 12);
  bind(owner);
  validate(owner);
  inside(stranger, [&] {
    EXPECT_CODE(module.tdg_devif_validate(stranger.vp, kFunction, info_hash),
                Code::kDevifInvalidMetadata);
    EXPECT_CODE(module.tdg_dmar_accept(stranger.vp, kFunction), Code::kDevifInvalidMetadata);
    EXPECT_CODE(module.tdg_devif_request(stranger.vp, kFunction, DevifRequest::kStart),
                Code::kDevifInvalidMetadata);
    EXPECT_CODE(module.tdg_devif_validate(stranger.vp, kOther, info_hash),
                Code::kDevifmtNotPresent);
  });
}

TEST_F(Guest, RequestsGoThroughTheirStatesInOrder) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  inside(td, [&] {
    EXPECT_CODE(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kStop),
                Code::kOperandInvalid);
    EXPECT_CODE(module.tdg_devif_response(td.vp, kFunction, std::nullopt).leaf,
                Code::kTdispInvalidReqSts);
    ASSERT_OK(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kState));
    EXPECT_CODE(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kState),
                Code::kTdispInvalidReqSts);
  });
  ASSERT_OK(relay_guest());
  EXPECT_CODE(relay_guest(), Code::kTdispInvalidReqSts);
  inside(td, [&] {
    const auto state = module.tdg_devif_response(td.vp, kFunction, std::nullopt);
    ASSERT_OK(state);
    EXPECT_EQ(state.leaf.message_detail(), 1);
    ASSERT_OK(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kState));
  });
}

TEST_F(Guest, ReadsTheReportIntoItsOwnPage) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  const Hpa frame = private_page(td, kRamGpa);
  inside(td, [&] { ASSERT_OK(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kReport)); });
  ASSERT_OK(relay_guest());
  inside(td, [&] {
    EXPECT_EQ(module.tdg_devif_response(td.vp, kFunction, kRamGpa + kPageSize).ept_violation,
              kRamGpa + kPageSize);
    ASSERT_OK(module.tdg_devif_response(td.vp, kFunction, kRamGpa));
  });
  Bytes bytes(16 + 4 + device.report.encode().size());
  ASSERT_TRUE(memory.read(frame, bytes, hw::KeyId{1}).has_value());
  const auto report = wire::decode_tdisp(bytes);
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(wire::code_of(report->body), wire::TdispCode::kDeviceInterfaceReport);
}

TEST_F(Guest, AReportOfADeviceWithAtsIsRefusedAndMustBeValidatedAgain) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  device.report.interface_info |= wire::kInfoAts;
  EXPECT_CODE(guest_tdisp(td, DevifRequest::kReport).leaf, Code::kDevifInvalidTdiConfiguration);
  inside(td, [&] {
    EXPECT_CODE(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kStart),
                Code::kDevifInvalidState);
  });
}

TEST_F(Guest, AStopBetweenStartAndItsAnswerLeavesTheTdiUnlocked) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  inside(td, [&] { ASSERT_OK(module.tdg_devif_request(td.vp, kFunction, DevifRequest::kStart)); });
  ASSERT_OK(relay_guest());
  ASSERT_OK(tdisp(DevifRequest::kStop));
  inside(td, [&] {
    EXPECT_CODE(module.tdg_devif_response(td.vp, kFunction, std::nullopt).leaf,
                Code::kDevifInvalidState);
  });
  EXPECT_EQ(tdisp(DevifRequest::kState).message_detail(), 0);
}

// --- Trusted DMA, by real walks of the IOMMU ---

TEST_F(Guest, TrustedDmaReachesNothingBeforeTheAcceptAndThenWhatWasAccepted) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  const Hpa frame = private_page(td, kRamGpa);
  EXPECT_FALSE(trusted(kRamGpa).has_value());
  inside(td, [&] { ASSERT_OK(module.tdg_dmar_accept(td.vp, kFunction)); });
  const auto reached = trusted(kRamGpa);
  ASSERT_TRUE(reached.has_value());
  EXPECT_EQ(reached->address, frame);
  EXPECT_EQ(reached->key, hw::KeyId{1});
  const Gpa next = kRamGpa + kPageSize;
  ASSERT_OK(module.tdh_mem_page_aug(td.tdr, next, Level::k4K, page()));
  EXPECT_FALSE(trusted(next).has_value());  // PENDING
  inside(td, [&] { ASSERT_OK(module.tdg_mem_page_accept(td.vp, next, Level::k4K)); });
  EXPECT_TRUE(trusted(next).has_value());
  EXPECT_FALSE(iommu.translate(0x0101, hw::TBit::kTrusted, Iova{raw(kRamGpa)}, hw::DmaAccess::kRead)
                   .has_value());
}

TEST_F(Guest, DmaAcceptNeedsALockedTdi) {
  TestTd td = running_td();
  devifmt_tables();
  ASSERT_OK(create_devif(td));
  dmar_tables();
  validate(td);
  inside(td,
         [&] { EXPECT_CODE(module.tdg_dmar_accept(td.vp, kFunction), Code::kTdispInvalidState); });
  ASSERT_OK(tdisp(DevifRequest::kLock));
  inside(td, [&] { ASSERT_OK(module.tdg_dmar_accept(td.vp, kFunction)); });
  ASSERT_OK(module.tdh_dmar_block(dmar(DmarLevel::kPasid)));
  inside(td, [&] {
    EXPECT_CODE(module.tdg_dmar_accept(td.vp, kFunction), Code::kDmarInvalidMappingState);
  });
}

TEST_F(Guest, ABlockedDmaEntryServesItsCacheUntilTheInvalidation) {
  TestTd td = running_td();
  run(td);
  (void)private_page(td, kRamGpa);
  ASSERT_TRUE(trusted(kRamGpa).has_value());
  ASSERT_OK(module.tdh_dmar_block(dmar(DmarLevel::kPasid)));
  EXPECT_TRUE(trusted(kRamGpa).has_value());
  ASSERT_OK(module.tdh_iq_inv_request(dmar(DmarLevel::kPasid)));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_FALSE(trusted(kRamGpa).has_value());
}

TEST_F(Guest, APageLeavesTheTdOnlyWhenNoIommuCachesIt) {
  TestTd td = running_td();
  run(td);
  (void)private_page(td, kRamGpa);
  ASSERT_TRUE(trusted(kRamGpa).has_value());
  ASSERT_OK(module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K));
  EXPECT_TRUE(trusted(kRamGpa).has_value());  // cached
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  EXPECT_CODE(module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K), Code::kIotlbTrackingNotDone);
  ASSERT_OK(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_FALSE(trusted(kRamGpa).has_value());
  ASSERT_OK(module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K));
}

TEST_F(Guest, AVcpuOfThePreviousEpochHoldsUpTheTracking) {
  TestTd td = running_td();
  (void)private_page(td, kRamGpa);
  EXPECT_EQ(module.begin_vp_enter(td.vp).rcx, 0U);  // entered in this epoch before
  ASSERT_OK(module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K));
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  EXPECT_CODE(module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K), Code::kTlbTrackingNotDone);
  EXPECT_CODE(module.tdh_mem_track(td.tdr), Code::kPreviousTlbEpochBusy);
  module.end_vp_enter(td.vp, TdExit::kOrdinary);
  ASSERT_OK(module.tdh_mem_page_remove(td.tdr, kRamGpa, Level::k4K));
  EXPECT_EQ(module.begin_vp_enter(td.vp).rcx, 1U);  // a new epoch: translations are stale
  module.end_vp_enter(td.vp, TdExit::kOrdinary);
}

// --- What the trace says ---

TEST_F(Guest, TheTraceHasTheStatesOfABindInOrder) {
  trace.keep_events(true);
  TestTd td = running_td(1, 42);
  run(td);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  dma_off();
  std::vector<object::Fact> facts;
  for (const object::Event& event : trace.events()) {
    if (event.fact == object::Fact::kNone) continue;
    facts.push_back(event.fact);
    EXPECT_EQ(event.vm, 42U);
    EXPECT_EQ(event.function, bdf_of(kFunction));
  }
  using enum object::Fact;
  EXPECT_EQ(facts, (std::vector{kMetadataCreated, kMmioMapped, kTrustedDmaOn, kGuestStart,
                                kTdiStopped, kTrustedDmaOff}));
}

TEST_F(Guest, ARefusalIsInTheTraceWithItsName) {
  trace.keep_events(true);
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kDevifmtNotPresent);
  const object::Event& event = trace.events().back();
  EXPECT_EQ(event.name, "TDH.DEVIF.REMOVE");
  EXPECT_TRUE(event.refused);
  EXPECT_EQ(event.outcome, "TDX_DEVIFMT_NOT_PRESENT");
  EXPECT_FALSE(event.why.empty());
}

}  // namespace
}  // namespace teeio::tdx
