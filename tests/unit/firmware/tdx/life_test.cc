#include "firmware/tdx/state.h"
#include "unit/firmware/tdx/machine.h"

// The whole life of a device in a TD, in the order of the fact sheet, and the
// places in it where the order matters.

namespace teeio::tdx {
namespace {

class Life : public Machine {
 protected:
  void SetUp() override { connect(); }

  /// Everything of §8 that comes after the TDI is UNLOCKED or its stream blocked.
  void unmap(const TestTd& td) {
    ASSERT_OK(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K));
    ASSERT_OK(module.tdh_mem_track(td.tdr));
    ASSERT_OK(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr));
    ASSERT_OK(module.tdh_iq_inv_process(kIommu));
    ASSERT_OK(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K));
  }

  void free_metadata() {
    ASSERT_OK(module.tdh_mmiomt_set(kBar, Level::k4K, std::nullopt));
    for (std::uint8_t level = 1; level <= kMmiomtLevels; ++level)
      memory.free_page(Hpa{module.tdh_mmiomt_remove(kBar, level).rcx << kPageShift});
    const LeafResult removed = module.tdh_devif_remove(kFunction);
    ASSERT_OK(removed);
    for (const std::uint64_t buffer : {removed.rcx, removed.rdx, removed.r9})
      memory.free_page(Hpa{buffer});
    for (std::uint8_t level = 1; level <= kDevifmtLevels; ++level)
      memory.free_page(Hpa{module.tdh_devifmt_remove(kFunction, level).rcx});
  }

  void drop_dmar_tables() {
    for (const DmarLevel level : {DmarLevel::kDirectory, DmarLevel::kContext, DmarLevel::kRoot}) {
      ASSERT_OK(module.tdh_dmar_block(dmar(level)));
      ASSERT_OK(module.tdh_iq_inv_request(dmar(level)));
      ASSERT_OK(module.tdh_iq_inv_process(kIommu));
      const LeafResult removed = module.tdh_dmar_remove(dmar(level));
      ASSERT_OK(removed);
      memory.free_page(Hpa{removed.rcx});
    }
  }

  void destroy(const TestTd& td) {
    (void)module.tdh_vp_flush(td.vp);
    ASSERT_OK(module.tdh_mng_vpflushdone(td.tdr));
    ASSERT_OK(module.tdh_phymem_cache_wb());
    ASSERT_OK(module.tdh_mng_key_freeid(td.tdr));
    for (const Hpa child : td.pages) {
      ASSERT_OK(module.tdh_phymem_page_reclaim(child));
      memory.free_page(child);
    }
    ASSERT_OK(module.tdh_phymem_page_reclaim(td.vp));
    ASSERT_OK(module.tdh_phymem_page_reclaim(td.tdr));
  }

  void disconnect() {
    each_key([&](KmParameters key) { ASSERT_OK(km(KmObject::kSetStop, key)); });
    ASSERT_OK(module.tdh_ide_stream_block(kIommu, kStream));
    ASSERT_OK(module.tdh_ide_stream_delete(kIommu, kStream));
    ASSERT_OK(module.tdh_spdm_disconnect(kIommu, kSession));
    ASSERT_OK(module.tdh_spdm_delete(kIommu, kSession));
  }
};

TEST_F(Life, OfSetUpAndTearDownLeavesTheModuleWithTheIommuPagesOnly) {
  TestTd td = running_td();
  run(td);
  EXPECT_EQ(device.tdis[0x0100].state, wire::TdiState::kRun);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  unmap(td);
  dma_off();
  drop_dmar_tables();
  free_metadata();
  destroy(td);
  disconnect();
  EXPECT_EQ(module.pages_owned(), kIommuPageRegisters.size());
  clear_iommu();
  EXPECT_EQ(port.free_streams(), port.streams());
}

TEST_F(Life, AnIommusPagesComeBackOnceThatIommuIsCleared) {
  hw::VtdIommu second{memory, trace, 1};
  Module both{
      memory,
      trace,
      {.hkids = 4,
       .iommus = {{.iommu = &iommu, .root_ports = {&port}}, {.iommu = &second, .root_ports = {}}},
       .api = Api::kG2,
       .channels = spdm::ChannelSetup{}}};
  config_iommu(both, 1);
  std::vector<Hpa> pages;
  for (const IommuRegister which : kIommuPageRegisters) {
    const bool queue = which == IommuRegister::kQueue || which == IommuRegister::kQueueContext;
    pages.push_back(Hpa{both.tdh_iommu_getreg(1, which).r8 - (queue ? 1 : 0)});
  }
  for (const Hpa taken : pages) {
    const LeafResult refused = both.tdh_phymem_page_reclaim(taken);
    EXPECT_CODE(refused, Code::kIommuMtPageInUse);
    EXPECT_EQ(refused.rdx, 1U);
  }
  ASSERT_OK(both.tdh_iommu_setreg(1, IommuRegister::kClearIommu, 0));
  for (const Hpa taken : pages) {
    const LeafResult given = both.tdh_phymem_page_reclaim(taken);
    EXPECT_OK(given);
    EXPECT_EQ(given.rdx, 1U);
  }
}

TEST_F(Life, EndsWithoutTheDeviceByBlockingItsStream) {
  TestTd td = running_td();
  run(td);
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kDevifInvalidState);
  ASSERT_OK(module.tdh_ide_stream_block(kIommu, kStream));
  unmap(td);
  dma_off();
  free_metadata();
  destroy(td);
}

TEST_F(Life, DmaMayGoBeforeTheMmioAndThenTheTrackNeedsNoIotlbPart) {
  TestTd td = running_td();
  run(td);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  dma_off();
  ASSERT_OK(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K));
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  EXPECT_CODE(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr), Code::kIotlbTrackingNotRequired);
  ASSERT_OK(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K));
  free_metadata();
}

TEST_F(Life, OfATwiceBoundFunctionIsTheSame) {
  TestTd td = running_td();
  for (int round = 0; round < 2; ++round) {
    run(td);
    ASSERT_OK(tdisp(DevifRequest::kStop));
    unmap(td);
    dma_off();
    drop_dmar_tables();
    free_metadata();
  }
  destroy(td);
}

TEST_F(Life, GuestMayAcceptAfterRunAsWellAsBefore) {
  TestTd td = running_td();
  bind(td);
  validate(td);
  ASSERT_OK(guest_tdisp(td, DevifRequest::kStart));
  accept(td);
}

// The table of §8: UNMAP has four gates, in this order.
TEST_F(Life, UnmapIsRefusedUntilBlockedTrackedInvalidatedAndStopped) {
  TestTd td = running_td();
  run(td);
  const auto unmap_now = [&] { return module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K); };
  EXPECT_CODE(unmap_now(), Code::kEptEntryStateIncorrect);
  ASSERT_OK(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K));
  EXPECT_CODE(unmap_now(), Code::kTlbTrackingNotDone);
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  EXPECT_CODE(unmap_now(), Code::kIotlbTrackingNotDone);
  ASSERT_OK(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr));
  EXPECT_CODE(unmap_now(), Code::kIotlbTrackingNotDone);
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_CODE(unmap_now(), Code::kTdispInvalidState);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  const LeafResult done = unmap_now();
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(done.r8, raw(kBar));
}

TEST_F(Life, ADeviceThatLeftTheLockByItselfStaysLockedForTheModule) {
  TestTd td = running_td();
  run(td);
  device.tdis[0x0100].state = wire::TdiState::kConfigUnlocked;  // a function-level reset
  ASSERT_OK(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K));
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  ASSERT_OK(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_CODE(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K), Code::kTdispInvalidState);
  EXPECT_EQ(tdisp(DevifRequest::kState).message_detail(), 0);
  ASSERT_OK(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K));
}

TEST_F(Life, ATdWithADeviceCannotLoseItsKeyNorItsTdr) {
  TestTd td = running_td();
  devifmt_tables();
  ASSERT_OK(create_devif(td));
  // VP.INIT has associated the vCPU, whether it ran or not.
  EXPECT_CODE(module.tdh_mng_vpflushdone(td.tdr), Code::kFlushvpNotDone);
  ASSERT_OK(module.tdh_vp_flush(td.vp));
  EXPECT_CODE(module.tdh_mng_vpflushdone(td.tdr), Code::kTdHasAttachedDevices);
  EXPECT_CODE(module.tdh_mng_key_freeid(td.tdr), Code::kLifecycleStateIncorrect);
  EXPECT_CODE(module.tdh_phymem_page_reclaim(td.tdr), Code::kLifecycleStateIncorrect);
  ASSERT_OK(module.tdh_devif_remove(kFunction));
  destroy(td);
}

TEST_F(Life, DevifRemoveWantsDmaAndMmioGoneFirst) {
  TestTd td = running_td();
  run(td);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kDevifHasMappedDma);
  dma_off();
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kDevifHasMappedMmio);
}

// helpers.c, associate_vcpu(); tdh_vp_flush.c.
TEST_F(Life, AVcpuMovesToAnotherProcessorByAFlushOnItsOwn) {
  const TestTd td = running_td();
  const Processor first{.number = 0}, second{.number = 1};
  EXPECT_CODE(module.begin_vp_enter(td.vp, second), Code::kVcpuAssociated);
  EXPECT_CODE(module.tdh_vp_flush(td.vp, second), Code::kVcpuNotAssociated);
  ASSERT_OK(module.tdh_vp_flush(td.vp, first));
  const LeafResult entered = module.begin_vp_enter(td.vp, second);
  ASSERT_OK(entered);
  EXPECT_EQ(entered.rcx, 1U) << "the other processor may have old translations";
  module.end_vp_enter(td.vp, TdExit::kOrdinary);
  EXPECT_CODE(module.begin_vp_enter(td.vp, first), Code::kVcpuAssociated);
  EXPECT_CODE(module.tdh_vp_flush(td.vp, first), Code::kVcpuNotAssociated);
  EXPECT_CODE(module.tdh_mng_vpflushdone(td.tdr), Code::kFlushvpNotDone);
  ASSERT_OK(module.tdh_vp_flush(td.vp, second));
  ASSERT_OK(module.tdh_mng_vpflushdone(td.tdr));
}

// tdh_vp_enter.c associates before it looks at the clock.
TEST_F(Life, AnEntryThatFailsForTheClockLeavesTheVcpuAssociated) {
  const TestTd td = running_td();
  ASSERT_OK(module.tdh_vp_flush(td.vp));
  const Processor bent{.number = 3, .tsc_adjust = 1};
  const LeafResult refused = module.begin_vp_enter(td.vp, bent);
  EXPECT_CODE(refused, Code::kInconsistentMsr);
  EXPECT_EQ(refused.status.rax(), 0xC0000920'0000003BU);
  EXPECT_CODE(module.begin_vp_enter(td.vp), Code::kVcpuAssociated);
  EXPECT_CODE(module.tdh_mng_vpflushdone(td.tdr), Code::kFlushvpNotDone);
  ASSERT_OK(module.tdh_vp_flush(td.vp, {.number = 3}));
}

// tdh_vp_init.c of the tdxio branch looks at the clock before it looks at anything else.
TEST_F(Life, AnInitThatFailsForTheClockUsesUpNothing) {
  const TestTd td = make_td(1, 11);  // for two vCPUs, of which one is there
  const Hpa vp = page();
  ASSERT_OK(module.tdh_vp_create(td.tdr, vp));
  for (std::uint32_t i = 0; i < kTdvpsPages; ++i) ASSERT_OK(module.tdh_vp_addcx(vp, page()));
  EXPECT_CODE(module.tdh_vp_init(Hpa{1}, 0, {.tsc_adjust = 1}), Code::kInconsistentMsr);
  EXPECT_CODE(module.tdh_vp_init(vp, 0, {.tsc_adjust = 1}), Code::kInconsistentMsr);
  EXPECT_OK(module.tdh_vp_init(vp, 0));
}

// Version 1 of tdh_vp_init.c, which Linux calls.
TEST_F(Life, AVcpusX2apicIdIsTheTdsAlone) {
  const TestTd td = make_td(1, 11);  // its vCPU is of version 0
  module.state().find_td(td.tdr)->parameters.max_vcpus = 4;
  const auto young = [&] {
    const Hpa vp = page();
    EXPECT_OK(module.tdh_vp_create(td.tdr, vp));
    for (std::uint32_t i = 0; i < kTdvpsPages; ++i) EXPECT_OK(module.tdh_vp_addcx(vp, page()));
    return vp;
  };
  const auto init = [&](Hpa vp, std::uint64_t id) {
    return module.tdh_vp_init(vp, 0, {}, {.number = 1, .x2apic_id = id});
  };
  const Hpa second = young(), third = young();
  const LeafResult like_version_0 = init(second, 0);
  EXPECT_EQ(like_version_0.status.rax(), 0xC0000621'00000000U);
  ASSERT_OK(init(second, 7));
  EXPECT_EQ(init(third, 7).status.rax(), 0xC0000621'00000007U);
  EXPECT_CODE(init(third, std::uint64_t{1} << 32U), Code::kOperandInvalid);
  EXPECT_OK(init(third, 8));  // no index was lost
  EXPECT_EQ(module.state().find_vcpu(third)->index, 2U);
}

TEST_F(Life, VersionOneOfVpInitIsAloneInItsTd) {
  const TestTd td = running_td();
  const Hpa vp = page();
  ASSERT_OK(module.tdh_vp_create(td.tdr, vp));
  for (std::uint32_t i = 0; i < kTdvpsPages; ++i) ASSERT_OK(module.tdh_vp_addcx(vp, page()));
  ASSERT_OK(module.begin_vp_enter(td.vp));
  EXPECT_CODE(module.tdh_vp_init(vp, 0, {}, {.number = 1, .x2apic_id = 1}), Code::kOperandBusy);
  EXPECT_OK(module.tdh_vp_init(vp, 0));
  module.end_vp_enter(td.vp, TdExit::kOrdinary);
}

// tdh_mem_range_unblock.c of the tdxio branch: RCX, as every leaf that asks for tracking.
TEST_F(Life, AnUnblockBeforeTrackingNamesTheGpa) {
  const TestTd td = running_td();
  const Hpa frame = page();
  ASSERT_OK(module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, frame));
  ASSERT_OK(module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K));
  EXPECT_EQ(module.tdh_mem_range_unblock(td.tdr, kRamGpa, Level::k4K).status.rax(),
            0xC0000B08'00000001U);
}

// tdh_mng_create.c: the PAMT entry of a TDR names no owner.
TEST_F(Life, AReclaimedTdrHasNoOwner) {
  const TestTd td = make_td(1, 11);
  const LeafResult refused = module.tdh_phymem_page_reclaim(td.tdr);
  EXPECT_CODE(refused, Code::kLifecycleStateIncorrect);
  EXPECT_EQ(refused.rdx, 0U);
  EXPECT_EQ(module.tdh_phymem_page_reclaim(td.vp).rdx, raw(td.tdr));
}

// --- The traps of §5 after a fatal error ---

class FatalTd : public Life {
 protected:
  void kill(const TestTd& td) {
    ASSERT_TRUE(module.begin_vp_enter(td.vp).ok());
    module.end_vp_enter(td.vp, TdExit::kNonRecoverable);
  }
};

TEST_F(FatalTd, Trap1TheMmioRangeStaysMappedForGood) {
  TestTd td = running_td();
  run(td);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  dma_off();
  kill(td);
  EXPECT_TRUE(module.is_fatal(td.tdr));
  EXPECT_CODE(module.tdh_mmio_block(td.tdr, kMmioGpa, Level::k4K), Code::kTdFatal);
  ASSERT_OK(module.tdh_devif_remove(kFunction));  // mapped MMIO is waived
  EXPECT_CODE(module.tdh_mmiomt_set(kBar, Level::k4K, std::nullopt),
              Code::kMmioInvalidPageMetadata);
  destroy(td);
  TestTd next = running_td(2, 12);
  ASSERT_OK(create_devif(next));
  EXPECT_CODE(module.tdh_mmio_map(next.tdr, kMmioGpa, Level::k4K, kBar),
              Code::kMmioInvalidPageMetadata);
}

TEST_F(FatalTd, Trap2BetweenTrackAndIotlbRequestNothingCanBeFreed) {
  TestTd td = running_td();
  run(td);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  kill(td);
  EXPECT_CODE(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr), Code::kTdFatal);
  ASSERT_OK(module.tdh_dmar_block(dmar(DmarLevel::kPasid)));
  ASSERT_OK(module.tdh_iq_inv_request(dmar(DmarLevel::kPasid)));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_CODE(module.tdh_dmar_remove(dmar(DmarLevel::kPasid)), Code::kIotlbTrackingNotDone);
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kDevifHasMappedDma);
  ASSERT_OK(module.tdh_vp_flush(td.vp));
  EXPECT_CODE(module.tdh_mng_vpflushdone(td.tdr), Code::kTdHasAttachedDevices);
}

// Trap 3 is about the guest's own invalidation requests; an IOTLB request of a
// TD that became fatal does not hold up the queue for others.
TEST_F(FatalTd, AQueuedIotlbRequestOfAFatalTdIsStillProcessed) {
  TestTd td = running_td();
  run(td);
  ASSERT_OK(tdisp(DevifRequest::kStop));
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  ASSERT_OK(module.tdh_iq_inv_request_iotlb(kIommu, td.tdr));
  kill(td);
  dma_off();
  ASSERT_OK(module.tdh_devif_remove(kFunction));
  destroy(td);
}

TEST_F(FatalTd, RefusesWhatNeedsALivingTdAndAllowsItsBurial) {
  TestTd td = running_td();
  run(td);
  kill(td);
  EXPECT_CODE(module.begin_vp_enter(td.vp), Code::kTdFatal);
  EXPECT_CODE(module.tdh_mmio_map(td.tdr, kMmioGpa + kPageSize, Level::k4K, kBar), Code::kTdFatal);
  EXPECT_CODE(module.tdh_mmio_unmap(td.tdr, kMmioGpa, Level::k4K), Code::kTdFatal);
  EXPECT_CODE(module.tdh_mem_track(td.tdr), Code::kTdFatal);
  EXPECT_CODE(module.tdh_mem_range_block(td.tdr, kRamGpa, Level::k4K), Code::kTdFatal);
  EXPECT_CODE(module.tdh_mem_page_aug(td.tdr, kRamGpa, Level::k4K, page()), Code::kTdFatal);
  EXPECT_CODE(create_devif(td, kOther), Code::kTdFatal);
  EXPECT_FALSE(module.lookup(td.tdr, kMmioGpa, hw::GuestAccess::kRead).has_value());
  ASSERT_OK(tdisp(DevifRequest::kStop));
  dma_off();
  ASSERT_OK(module.tdh_devif_remove(kFunction));
  destroy(td);
}

}  // namespace
}  // namespace teeio::tdx
