#include "unit/firmware/tdx/refusals.h"

// The checks of IOMMU, SPDM, IDE and trusted DMA leaves.

namespace teeio::tdx {
namespace {

using IommuRefusals = Refusals;

TEST_F(IommuRefusals, IommuSpdmAndStreams) {
  IdeStreamConfig config = stream_config();
  const auto create = [&] { return module.tdh_ide_stream_create(0, kSession, config, page()); };
  expect({
      {"id",
       [&] { return module.tdh_spdm_create(kMaxIommus, 0, page()); },
       {kOperandInvalid, kRcx}},
      {"no such",
       [&] { return module.tdh_iommu_setreg(1, IommuRegister::kConfigIommu, 0); },
       {kIommuInvalidState, kRcx}},
      {"not set up",
       [&] { return module.tdh_spdm_create(0, 0, page()); },
       {kIommuInvalidState, kRcx}},
      {"no pages",
       [&] { return module.tdh_iommu_setreg(0, IommuRegister::kConfigIommu, 0); },
       {kIommuInvalidState, kRcx}},
      {"setup",
       [&] {
         config_iommu(module, 0);
         return LeafResult{};
       },
       {}},
      {"setup twice",
       [&] { return module.tdh_iommu_setreg(0, IommuRegister::kConfigIommu, 0); },
       {kIommuInvalidState, kRdx}},
      {"no root port",
       [&] { return module.tdh_spdm_create(0, kSession, page()); },
       {kRpNotConfigured, kRcx}},
      {"root port",
       [&] { return module.tdh_iommu_setreg(0, IommuRegister::kConfigRootPort, port.bdf().rid()); },
       {}},
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
      {"clear with a root port",
       [&] { return module.tdh_iommu_setreg(0, IommuRegister::kClearIommu, 0); },
       {kIommuInvalidState, kRcx}},
      {"clear a root port with a session",
       [&] { return module.tdh_iommu_setreg(0, IommuRegister::kClearRootPort, port.bdf().rid()); },
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
       {kOperandInvalid, kR8}},
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
       {kIdeStreamRidOverlap, kRax}},
      {"addresses overlap",
       [&] {
         config.rid_base = config.rid_limit = 0x200;
         return create();
       },
       {kIdeStreamAddrOverlap, kRax}},
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
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kSetGo, {}, 0, message); },
       {kIdeKmKeysNotReady, kRdx}},
      {"answer to nothing",
       [&] { return module.tdh_ide_km_response(0, kStream, message); },
       {kIdeKmInvalidResponse, kRdx}},
      {"ask",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kKeyProg, {}, 0, message); },
       {}},
      {"ask again",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kKeyProg, {}, 0, message); },
       {kIdeKmOutReq, kRdx}},
      {"request as answer",
       [&] { return module.tdh_ide_km_response(0, kStream, message); },
       {kIdeKmInvalidResponse, kR8}},
      {"block", [&] { return module.tdh_ide_stream_block(0, kStream); }, {}},
      {"block again",
       [&] { return module.tdh_ide_stream_block(0, kStream); },
       {kIdeStreamBlocked, kRdx}},
      {"key for a blocked stream",
       [&] { return module.tdh_ide_km_request(0, kStream, KmObject::kKeyProg, {}, 0, message); },
       {kIdeStreamBlocked, kRdx}},
      {"delete", [&] { return module.tdh_ide_stream_delete(0, kStream); }, {}},
  });
}

TEST_F(IommuRefusals, GoWantsAllThreeKeysOfItsDirectionAndGoesOnce) {
  using Sub = KmParameters::SubStream;
  using Direction = KmParameters::Direction;
  setup_iommu();
  connect_spdm();
  ASSERT_OK(module.tdh_ide_stream_create(0, Machine::kSession, stream_config(), page()));
  const KmParameters first{.sub_stream = Sub::kPosted, .direction = Direction::kRx};
  ASSERT_OK(km(KmObject::kKeyProg, first));
  EXPECT_CODE(km(KmObject::kSetGo, first), kIdeKmKeysNotReady);
  for (const Sub sub : {Sub::kNonPosted, Sub::kCompletion})
    ASSERT_OK(km(KmObject::kKeyProg, {.sub_stream = sub, .direction = Direction::kRx}));
  ASSERT_OK(km(KmObject::kSetGo, first));
  EXPECT_CODE(km(KmObject::kSetGo, first), kIdeKmKeysNotReady);
  const KmParameters other{.sub_stream = Sub::kPosted, .direction = Direction::kTx};
  EXPECT_CODE(km(KmObject::kSetGo, other), kIdeKmKeysNotReady);
}

TEST_F(IommuRefusals, ADeviceThatRefusesAKeyWedgesTheStream) {
  setup_iommu();
  connect_spdm();
  ASSERT_OK(module.tdh_ide_stream_create(0, kSession, stream_config(), page()));
  device.kp_ack_status = 4;
  EXPECT_CODE(km(KmObject::kKeyProg, {}), kIdeKmInvalidResponse);
  device.kp_ack_status = 0;
  EXPECT_CODE(km(KmObject::kKeyProg, {}), kIdeKmOutReq);
  ASSERT_OK(module.tdh_ide_stream_block(0, kStream));
  ASSERT_OK(module.tdh_ide_stream_delete(0, kStream));
}

TEST_F(IommuRefusals, TrustedDma) {
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
       [&] { return dmar_add(index(DmarLevel::kPasid, 1U << 20U), Hpa{0}); },
       {kOperandInvalid, kRcx}},
      {"no parent",
       [&] { return dmar_add(index(DmarLevel::kContext), page()); },
       {kDmarEntryNotPresent, kRcx}},
      {"root", [&] { return dmar_add(index(DmarLevel::kRoot), page()); }, {}},
      {"root twice",
       [&] { return dmar_add(index(DmarLevel::kRoot), page()); },
       {kDmarInvalidMappingState, kRcx}},
      {"context", [&] { return dmar_add(index(DmarLevel::kContext), page()); }, {}},
      {"a PASID that the context does not give",
       [&] { return dmar_add(index(DmarLevel::kDirectory, 64), page()); },
       {kOperandInvalid, kRcx}},
      {"directory", [&] { return dmar_add(index(DmarLevel::kDirectory), page()); }, {}},
      {"table for a PASIDTE",
       [&] {
         DmarValue value = dmar_value(DmarLevel::kPasid, Hpa{0});
         value[0] |= raw(page());
         return module.tdh_dmar_add(pasid, value);
       },
       {kOperandInvalid, kRdx}},
      {"PASIDTE", [&] { return dmar_add(pasid, Hpa{0}); }, {}},
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
      // A free entry with its tables is one of a wrong state, and can be read.
      {"gone", [&] { return module.tdh_dmar_block(pasid); }, {kDmarInvalidMappingState, kRcx}},
      {"gone from the queue",
       [&] { return module.tdh_iq_inv_request(pasid); },
       {kDmarInvalidMappingState, kR8}},
      {"removed again",
       [&] { return module.tdh_dmar_remove(pasid); },
       {kDmarInvalidMappingState, kRcx}},
      {"read of a free entry", [&] { return module.tdh_dmar_read(pasid); }, {}},
      {"read without tables",
       [&] {
         DmarIndex far = pasid;
         far.rid = 0x8000;
         return module.tdh_dmar_read(far);
       },
       {kDmarEntryNotPresent, kRcx}},
      {"IOTLB of a TD without DMA",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotRequired, kRax}},
  });
}

TEST_F(IommuRefusals, TheInvalidationQueueIsCountedInDescriptors) {
  connect();
  const auto added = [&](DmarLevel level, std::uint16_t rid) {
    const DmarIndex index{.level = level, .rid = rid, .iommu = 0, .pasid = 0};
    EXPECT_OK(dmar_add(index, page()));
    return index;
  };
  // 127 descriptors: 126 root entries of one each leave no room for a context entry's two.
  (void)added(DmarLevel::kRoot, 0);
  const DmarIndex context = added(DmarLevel::kContext, 0);
  ASSERT_OK(module.tdh_dmar_block(context));
  for (std::uint32_t n = 1; n < kQueueDescriptors; ++n) {
    const DmarIndex root = added(DmarLevel::kRoot, static_cast<std::uint16_t>(n * 0x80));
    ASSERT_OK(module.tdh_dmar_block(root));
    ASSERT_OK(module.tdh_iq_inv_request(root));
  }
  const LeafResult full = module.tdh_iq_inv_request(context);
  EXPECT_CODE(full, kIqQueueFull);
  EXPECT_EQ(operand_name(full.status.operand()), "RDX");
  ASSERT_OK(module.tdh_iq_inv_process(Machine::kIommu));
  ASSERT_OK(module.tdh_iq_inv_request(context));
}

TEST_F(IommuRefusals, OneIotlbRequestAnEpoch) {
  connect();
  TestTd td = running_td();
  run(td);
  expect({
      {"nothing old",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotRequired, kRax}},
      {"track", [&] { return module.tdh_mem_track(td.tdr); }, {}},
      {"track again", [&] { return module.tdh_mem_track(td.tdr); }, {kIotlbTrackingNotDone, kRax}},
      {"request", [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); }, {}},
      {"request again",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotDone, kRax}},
      {"process", [&] { return module.tdh_iq_inv_process(0); }, {}},
      {"done for this epoch",
       [&] { return module.tdh_iq_inv_request_iotlb(0, td.tdr); },
       {kIotlbTrackingNotRequired, kRax}},
      {"track", [&] { return module.tdh_mem_track(td.tdr); }, {}},
  });
}

}  // namespace
}  // namespace teeio::tdx
