// What leaves do to root ports and IOMMUs over several calls: key refresh, large directories, the
// invalidation queue.
#include <algorithm>

#include "firmware/tdx/rows.h"
#include "firmware/tdx/state.h"
#include "unit/firmware/tdx/machine.h"

namespace teeio::tdx {
namespace {

class Hardware : public Machine {
 protected:
  [[nodiscard]] bool admits() { return port.admit_trusted(0x0100).has_value(); }
  std::uint32_t word_at(Hpa where) {
    std::array<std::byte, 4> bytes{};
    EXPECT_TRUE(memory.read(where, bytes).has_value());
    return Reader(bytes).le<std::uint32_t>();
  }
};

TEST_F(Hardware, KeysAreRefreshedWhileTheStreamCarries) {
  connect();
  for (const std::uint8_t key_set : std::array<std::uint8_t, 3>{1, 0, 1}) {
    for (const KmObject object : {KmObject::kKeyProg, KmObject::kSetGo})
      each_key(
          [&](KmParameters key) {
            ASSERT_OK(km(object, key));
            EXPECT_TRUE(admits());
          },
          key_set);
    EXPECT_CODE(km(KmObject::kSetGo, {.key_set = key_set}), Code::kIdeKmKeysNotReady);
  }
}

TEST_F(Hardware, AStopOfTheDevicesKeysIsNoneOfTheRootPorts) {
  connect();
  ASSERT_OK(km(KmObject::kSetStop, {}));
  EXPECT_TRUE(admits());
  ASSERT_OK(module.tdh_ide_stream_block(kIommu, kStream));
  EXPECT_FALSE(admits());
}

// tdh_mem_shared_sept_wr.c: the host's own table hangs in the root of the secure EPT.
TEST_F(Hardware, TrustedDmaToSharedAddressesWalksTheHostsTable) {
  connect();
  TestTd td = running_td();
  run(td);
  const Gpa shared{kSharedGpaBit | 0x1000};
  EXPECT_FALSE(trusted(shared));
  constexpr std::uint64_t kReadWrite = 3;
  const Hpa frame = page();
  const Hpa tables[] = {page(), page(), page()};
  ASSERT_TRUE(memory.write_u64(tables[0], raw(tables[1]) | kReadWrite));
  ASSERT_TRUE(memory.write_u64(tables[1], raw(tables[2]) | kReadWrite));
  ASSERT_TRUE(memory.write_u64(tables[2] + 8, raw(frame) | kReadWrite));
  ASSERT_OK(module.tdh_mem_shared_sept_wr(td.tdr, Gpa{kSharedGpaBit}, Level::k512G,
                                          raw(tables[0]) | kReadWrite));
  const auto found = trusted(shared);
  ASSERT_TRUE(found.has_value()) << found.error().text;
  EXPECT_EQ(found->address, frame);
  EXPECT_EQ(found->key, hw::KeyId::kShared);
  private_page(td, kRamGpa);
  EXPECT_EQ(trusted(kRamGpa)->key, hw::KeyId{1}) << "the private half has the TD's key";
}

TEST_F(Hardware, AnEntryOfDevifmtIsReadAsItLies) {
  connect();
  const TestTd td = running_td();
  devifmt_tables();
  const auto at = [&](std::uint8_t level) { return module.tdh_devifmt_rd(kFunction, level).rcx; };
  EXPECT_EQ(at(0), 0U) << "no interface";
  for (std::uint8_t level = 1; level <= kDevifmtLevels; ++level) {
    const Hpa table =
        module.state().devifmt.tables.unrecorded(devifmt_table(kFunction, level)).page;
    EXPECT_EQ(at(level), raw(table) | 1U);
  }
  ASSERT_OK(create_devif(td));
  DevifSlot& slot = module.state().devifmt.slots[0x0100];
  EXPECT_EQ(at(0), raw(slot.devif->devifcs) | 1U);
  ASSERT_TRUE(slot.lock.try_exclusive());
  slot.lock.set_host_waits(true);
  EXPECT_EQ(at(0), raw(slot.devif->devifcs) | 7U) << "whoever has its lock";
}

TEST_F(Hardware, ADirectoryOfSeveralPagesGoesOnAfterAnInterrupt) {
  setup_iommu();
  ASSERT_OK(dmar_add(dmar(DmarLevel::kRoot), page()));
  const Hpa first = page();
  ASSERT_EQ(page(), first + kPageSize);
  DmarValue value = dmar_value(DmarLevel::kContext, first);
  value[0] |= 3U << 9U;  // 1024 entries
  const DmarIndex index = dmar(DmarLevel::kContext);
  const std::uint64_t before = module.pages_owned();
  inject_once("TDH.DMAR.ADD interrupted");
  EXPECT_CODE(module.tdh_dmar_add(index, value), Code::kInterruptedResumable);
  EXPECT_EQ(module.pages_owned(), before + 2);
  EXPECT_EQ(dmar_state(module.tdh_dmar_read(index).rdx), DmarState::kFree);
  DmarValue other = value;
  other[0] ^= 1U << 9U;
  EXPECT_CODE(module.tdh_dmar_add(index, other), Code::kOperandInvalid);
  ASSERT_OK(module.tdh_dmar_add(index, value));
  EXPECT_EQ(dmar_state(module.tdh_dmar_read(index).rdx), DmarState::kPresent);
  EXPECT_EQ(module.tdh_dmar_read(index).r8, value[0]);

  ASSERT_OK(module.tdh_dmar_block(index));
  ASSERT_OK(module.tdh_iq_inv_request(index));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  inject_once("TDH.DMAR.REMOVE interrupted");
  EXPECT_CODE(module.tdh_dmar_remove(index), Code::kInterruptedResumable);
  const LeafResult removed = module.tdh_dmar_remove(index);
  ASSERT_OK(removed);
  EXPECT_EQ(removed.rcx, raw(first));
  EXPECT_EQ(module.pages_owned(), before);
}

// Fault processing may be disabled in each entry that has the bit; a root entry has none.
TEST_F(Hardware, OnlyARootEntryCannotDisableFaultProcessing) {
  setup_iommu();
  constexpr std::uint64_t kFpd = 2;
  for (const DmarLevel level : {DmarLevel::kRoot, DmarLevel::kContext, DmarLevel::kDirectory}) {
    DmarValue value = dmar_value(level, page());
    value[0] |= kFpd;
    const LeafResult added = module.tdh_dmar_add(dmar(level), value);
    if (level != DmarLevel::kRoot) {
      ASSERT_OK(added);
      EXPECT_EQ(module.tdh_dmar_read(dmar(level)).r8, value[0]);
      continue;
    }
    ASSERT_NE(added.refused_by, nullptr);
    EXPECT_EQ(added.refused_by->id, "value");
    ASSERT_OK(dmar_add(dmar(level), page()));
  }
}

TEST_F(Hardware, ADirectoryOfOnePageIsNotInterrupted) {
  setup_iommu();
  ASSERT_OK(dmar_add(dmar(DmarLevel::kRoot), page()));
  inject_once("TDH.DMAR.ADD interrupted");
  ASSERT_OK(dmar_add(dmar(DmarLevel::kContext), page()));
}

TEST_F(Hardware, AnInvalidationIsDoneWhenTheIommuHasPassedIt) {
  connect();
  TestTd td = running_td();
  bind(td);
  const DmarIndex index = dmar(DmarLevel::kPasid);
  const Hpa status = page();
  ASSERT_OK(module.tdh_dmar_block(index));
  ASSERT_OK(module.tdh_iq_inv_request(index, wait_descriptor(7, status)));
  inject_once("the invalidation queue lags");
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_EQ(word_at(status), 0U);
  EXPECT_CODE(module.tdh_dmar_remove(index), Code::kDmarInvalidInvState);
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  EXPECT_EQ(word_at(status), 7U);
  ASSERT_OK(module.tdh_dmar_remove(index));
}

// An interrupt ends PROCESS behind any descriptor but a request's last.
TEST_F(Hardware, AnInvalidationIsInterruptedBetweenItsDescriptors) {
  connect();
  TestTd td = running_td();
  bind(td);
  const DmarIndex index = dmar(DmarLevel::kPasid);
  ASSERT_OK(module.tdh_dmar_block(index));
  ASSERT_OK(module.tdh_iq_inv_request(index));
  inject_once("TDH.IQ.INV.PROCESS interrupted");
  EXPECT_CODE(module.tdh_iq_inv_process(kIommu), Code::kInterruptedResumable);
  EXPECT_CODE(module.tdh_dmar_remove(index), Code::kDmarInvalidInvState);
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  ASSERT_OK(module.tdh_dmar_remove(index));
}

// The enable bit takes a root port's stream registers, and BLOCK clears them: what is written
// there otherwise another stream may write over, and it stays when the first one goes.
TEST_F(Hardware, StreamRegistersAreTakenByTheEnableBit) {
  setup_iommu();
  connect_spdm();
  IdeStreamConfig other = stream_config();
  other.stream_id = kStream + 1;
  other.rid_base = other.rid_limit = 0x200;
  other.address_base = other.address_base + 0x10'0000;
  other.address_limit = other.address_limit + 0x10'0000;
  const auto create = [&] { return module.tdh_ide_stream_create(kIommu, kSession, other, page()); };
  make_stream();
  EXPECT_CODE(create(), Code::kOperandInvalid) << "enabled";
  ASSERT_OK(module.tdh_ide_stream_block(kIommu, kStream));
  ASSERT_OK(create());
  EXPECT_EQ(port.find_stream(other.stream_id), 0U);
  ASSERT_OK(module.tdh_ide_stream_delete(kIommu, kStream));
  EXPECT_EQ(port.find_stream(other.stream_id), 0U);
  ASSERT_OK(module.tdh_ide_stream_create(kIommu, kSession, stream_config(), page()));
  EXPECT_EQ(port.find_stream(kStream), 0U) << "the other one was never enabled";
  EXPECT_EQ(port.find_stream(other.stream_id), std::nullopt);
}

// tdh_ide_stream_idekmreq.c counts what the device will transmit with before it looks at R10, R11.
TEST_F(Hardware, AGoCountsAlsoWhenItsPageIsRefused) {
  setup_iommu();
  connect_spdm();
  ASSERT_OK(module.tdh_ide_stream_create(kIommu, kSession, stream_config(), page()));
  each_key([&](KmParameters key) { ASSERT_OK(km(KmObject::kKeyProg, key)); });
  KmParameters key{.direction = KmParameters::Direction::kTx};
  EXPECT_CODE(module.tdh_ide_km_request(kIommu, kStream, KmObject::kSetGo, key, 0, Hpa{1}),
              Code::kOperandInvalid);
  const auto enabled = [&] { return module.state().iommus[kIommu].streams.at(kStream).enabled; };
  ASSERT_OK(km(KmObject::kSetGo, key));
  EXPECT_FALSE(enabled());
  key.sub_stream = KmParameters::SubStream::kNonPosted;
  ASSERT_OK(km(KmObject::kSetGo, key));
  EXPECT_TRUE(enabled()) << "after two that were sent";
}

TEST_F(Hardware, AStatusWriteToAPageOfATdIsLost) {
  connect();
  TestTd td = running_td();
  bind(td);
  const Hpa secret = private_page(td, kRamGpa);
  ASSERT_OK(module.tdh_dmar_block(dmar(DmarLevel::kPasid)));
  ASSERT_OK(module.tdh_iq_inv_request(dmar(DmarLevel::kPasid), wait_descriptor(7, secret)));
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  std::array<std::byte, 4> bytes{};
  ASSERT_TRUE(memory.read(secret, bytes, hw::KeyId{1}).has_value());
  EXPECT_EQ(Reader(bytes).le<std::uint32_t>(), 0U);
}

// In the clear there is no SPDM message whose name a leaf could tell.
TEST_F(Hardware, ALeafThatNamesNoMessageEndsAsAnyOther) {
  trace.keep_events(true);
  connect();
  const auto told = std::ranges::find(trace.events(), "TDH.SPDM.CONNECT", &object::Event::name);
  ASSERT_NE(told, trace.events().end());
  EXPECT_EQ(told->outcome, "ok");
}

TEST_F(Hardware, TheTdOfARunningVcpuKeepsItsRootPage) {
  TestTd td = running_td();
  ASSERT_OK(module.begin_vp_enter(td.vp));
  EXPECT_CODE(module.tdh_mng_vpflushdone(td.tdr), Code::kOperandBusy);
  ASSERT_OK(module.tdh_mem_track(td.tdr));
  module.end_vp_enter(td.vp, TdExit::kOrdinary);
}

}  // namespace
}  // namespace teeio::tdx
