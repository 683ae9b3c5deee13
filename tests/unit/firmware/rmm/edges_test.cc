// The edges of what the monitor's commands take, and what is left when an object goes.
#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

class Edges : public Machine {};

// find_granule() knows none there: that is seen before what is due is looked at.
TEST_F(Edges, ADataPageWhereNoMemoryIsIsNotTheHosts) {
  unlocked();
  const RmiResult refused = rmm.pdev_communicate(pdev, Hpa{0x1000});
  EXPECT_RMI(refused, Code::kInput);
  ASSERT_NE(refused.refused_by, nullptr);
  EXPECT_EQ(refused.refused_by->id, "data");
  EXPECT_RMI(rmm.pdev_communicate(pdev, data), Code::kDevice) << "nothing is due";
}

// find_lock_two_granules(): that both are one is seen before the stream's state is.
TEST_F(Edges, AStreamIsBetweenTwoPdevs) {
  unlocked();
  const std::uint64_t stream_handle = raw(pdev) + kNonCoherent;
  for (const RmiResult& refused : {rmm.pdev_stream_complete(pdev, pdev, stream_handle),
                                   rmm.pdev_stream_disconnect(pdev, pdev, stream_handle),
                                   rmm.pdev_stream_key_refresh(pdev, pdev, stream_handle)}) {
    EXPECT_RMI(refused, Code::kInput);
    ASSERT_NE(refused.refused_by, nullptr);
    EXPECT_EQ(refused.refused_by->id, "pdevs");
  }
}

// RmiRttEntryState: unassigned, assigned, table, assigned to a device.
TEST_F(Edges, ReadEntrySaysWhatIsThere) {
  unlocked();
  map(0);
  EXPECT_EQ(rmm.rtt_read_entry(rd, kIpa, 3).x2, 3U);
  EXPECT_EQ(rmm.rtt_read_entry(rd, kIpa + kPageSize, 3).x2, 0U);
  EXPECT_EQ(rmm.rtt_read_entry(rd, kIpa, 2).x2, 2U);
}

TEST_F(Edges, ReadEntryTakesTheRootLevelAndNoneAboveIt) {
  unlocked();
  const auto root = static_cast<std::uint8_t>(Rtt::kRootLevel);
  ASSERT_RMI(rmm.rtt_read_entry(rd, Gpa{0}, root));
  EXPECT_RMI(rmm.rtt_read_entry(rd, Gpa{0}, static_cast<std::uint8_t>(root - 1)), Code::kInput);
  EXPECT_RMI(rmm.rtt_read_entry(rd, Gpa{Rtt::kAddresses}, 3), Code::kInput);
}

TEST_F(Edges, EachHashThatThereIsMayBeAskedFor) {
  PdevParams asked = pdev_params();
  for (const auto hash : {HashAlgorithm::kSha256, HashAlgorithm::kSha512, HashAlgorithm::kSha384}) {
    asked.hash = static_cast<std::uint8_t>(hash);
    ASSERT_RMI(finish(rmm.pdev_create(granule(), page(asked))));
  }
  asked.hash = 3;
  EXPECT_RMI(rmm.pdev_create(granule(), page(asked)), Code::kInput);
}

TEST_F(Edges, ARecCanBeMadeAgainWhereOneWas) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt, .devices = true}));
  const Hpa other = granule();
  ASSERT_RMI(rmm.realm_create(other, {.vm = 2, .rtt = granule()}));
  ASSERT_RMI(create_rec(rd, rec));
  EXPECT_RMI(rmm.realm_destroy(rd), Code::kRealm) << "it has a REC";
  ASSERT_RMI(finish(rmm.rec_destroy(rec)));
  ASSERT_RMI(create_rec(other, rec));
  // It is the other realm's now: that one cannot go, this one can.
  ASSERT_RMI(rmm.realm_terminate(other));
  EXPECT_RMI(rmm.realm_destroy(other), Code::kRealm);
  ASSERT_RMI(rmm.realm_terminate(rd));
  ASSERT_RMI(rmm.realm_destroy(rd));
  ASSERT_RMI(finish(rmm.rec_destroy(rec)));
  ASSERT_RMI(rmm.realm_destroy(other));
}

TEST_F(Edges, ARecThatFailsAtItsEndGivesItsMemoryBack) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
  RmiResult step = rmm.rec_create(rd, rec, page(RecParams{.mpidr = 1}));
  EXPECT_RMI(step, Code::kIncomplete);
  EXPECT_EQ(step.x2 >> 2U, 16U);
  EXPECT_RMI(undelegate(rec), Code::kInput) << "it is PARTIAL";
  EXPECT_EQ(finish(step).refused_by->id, "mpidr");
  ASSERT_RMI(undelegate(rec));
  // The host gives 16 granules in two calls; the second one's are those that are missing.
  ASSERT_RMI(delegate(rec));
  step = rmm.rec_create(rd, rec, page(RecParams{}));
  const std::uint64_t operation = step.x1;
  ASSERT_TRUE(memory.write_u64(list, AddressDescriptor{.base = run_of(8), .count = 8}.encode()));
  step = rmm.op_mem_donate(operation, list, 1);
  EXPECT_RMI(step, Code::kIncomplete);
  EXPECT_EQ(step.x1, 8U);
  ASSERT_TRUE(memory.write_u64(list, AddressDescriptor{.base = run_of(8), .count = 8}.encode()));
  step = rmm.op_mem_donate(operation, list, 1);
  EXPECT_EQ(static_cast<int>(step.memory), static_cast<int>(MemoryRequest::kNone));
  ASSERT_RMI(rmm.op_continue(operation));
  ASSERT_RMI(rmm.realm_activate(rd));
  EXPECT_RMI(rmm.rec_enter(rec), Code::kSuccess);
}

// addr_list_validate() passes over descriptors of nothing.
TEST_F(Edges, AListOfADonationMayHaveEmptyDescriptors) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
  RmiResult step = rmm.rec_create(rd, rec, page(RecParams{}));
  const std::uint64_t operation = step.x1;
  const AddressDescriptor empty{.base = granule(), .count = 0, .level = 2};
  ASSERT_TRUE(memory.write_u64(list, empty.encode()));
  ASSERT_TRUE(memory.write_u64(list + 8, one(granule())));
  ASSERT_TRUE(memory.write_u64(list + 16, empty.encode()));
  step = rmm.op_mem_donate(operation, list, 3);
  EXPECT_RMI(step, Code::kIncomplete);
  EXPECT_EQ(step.x1, 1U) << "granules are counted";
  EXPECT_EQ(step.x2 >> 2U, 15U);
}

// What was taken before the granule that could not be is the operation's, and is given back.
TEST_F(Edges, ADonationOfWhichAPartIsRefusedTakesTheRest) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
  RmiResult step = rmm.rec_create(rd, rec, page(RecParams{}));
  const std::uint64_t operation = step.x1;
  ASSERT_TRUE(memory.write_u64(list, one(granule())));
  ASSERT_TRUE(memory.write_u64(list + 8, one(params)));  // the host's own
  step = rmm.op_mem_donate(operation, list, 2);
  EXPECT_EQ(step.x1, 1U);
  ASSERT_TRUE(memory.write_u64(list, one(params)));
  step = rmm.op_mem_donate(operation, list, 1);
  EXPECT_EQ(step.memory, MemoryRequest::kReclaim);
  EXPECT_EQ(step.x1, 0U) << "sro_aux_op_start_reclaim() does not say how much";
  const std::size_t before = rmm.granules();
  step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.x1, 1U);
  EXPECT_EQ(rmm.granules(), before);
  EXPECT_RMI(rmm.op_continue(operation), Code::kInput);
  ASSERT_RMI(undelegate(rec));
}

// sro_obj_memory_donate(): there is nothing to give back, and the host has to ask for it.
TEST_F(Edges, ADonationWhoseFirstGranuleIsWrongIsReclaimed) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
  const std::uint64_t operation = rmm.rec_create(rd, rec, page(RecParams{})).x1;
  ASSERT_TRUE(memory.write_u64(list, one(params)));
  ASSERT_TRUE(memory.write_u64(list + 8, one(granule())));
  RmiResult step = rmm.op_mem_donate(operation, list, 2);
  EXPECT_RMI(step, Code::kIncomplete);
  EXPECT_EQ(step.memory, MemoryRequest::kReclaim);
  EXPECT_EQ(step.x1, 0U);
  EXPECT_EQ(rmm.op_continue(operation).refused_by->id, "expected");
  step = rmm.op_mem_reclaim(operation, granule(), 1);  // nothing is written there
  EXPECT_RMI(step, Code::kIncomplete);
  EXPECT_EQ(step.memory, MemoryRequest::kNone);
  EXPECT_EQ(step.x1, 0U);
  EXPECT_RMI(rmm.op_continue(operation), Code::kInput);
  ASSERT_RMI(undelegate(rec));
}

// smmu_memory_donate(): of a contiguous range all or nothing.
TEST_F(Edges, AnSmmuWhoseMemoryIsWrongIsInactiveAgain) {
  RmiResult step = rmm.psmmu_activate(Settings::kPsmmu, page(PsmmuParams{}));
  const std::uint64_t operation = step.x1;
  const std::uint64_t wanted = step.x2 >> 2U & 0x3fffU;
  const Hpa first = run_of(wanted);
  ASSERT_RMI(undelegate(first + (wanted - 1) * kPageSize));
  ASSERT_TRUE(memory.write_u64(list, AddressDescriptor{.base = first, .count = wanted}.encode()));
  step = rmm.op_mem_donate(operation, list, 1);
  EXPECT_EQ(step.memory, MemoryRequest::kReclaim);
  EXPECT_EQ(step.x1, 0U);
  step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.memory, MemoryRequest::kNone);
  EXPECT_RMI(rmm.op_continue(operation), Code::kInput);
  ASSERT_RMI(undelegate(first));
  make_smmu();
}

struct Reclaim : Machine {
  static constexpr std::uint64_t kPages = 16;
  /// Of a REC whose auxiliary granules are these, from the last to the first if `backwards`.
  std::uint64_t begin(Hpa first, bool backwards = false) {
    EXPECT_TRUE(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}).ok());
    const std::uint64_t made = rmm.rec_create(rd, rec, page(RecParams{})).x1;
    for (std::uint64_t i = 0; i < kPages; ++i)
      EXPECT_TRUE(memory.write_u64(list + 8 * i,
                                   one(first + (backwards ? kPages - 1 - i : i) * kPageSize)));
    EXPECT_EQ(rmm.op_mem_donate(made, list, kPages).x1, kPages);
    EXPECT_TRUE(rmm.op_continue(made).ok());
    return rmm.rec_destroy(rec).x1;
  }
  AddressDescriptor told(std::uint64_t entry) {
    return AddressDescriptor::decode(*memory.read_u64(list + 8 * entry));
  }
};

// add_block_to_current_idx()
TEST_F(Reclaim, NeighboursAreToldAsOneDescriptor) {
  const Hpa first = run_of(kPages);
  const std::uint64_t operation = begin(first);
  const RmiResult step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.memory, MemoryRequest::kNone);
  EXPECT_EQ(step.x1, 1U);
  EXPECT_EQ(told(0).base, first);
  EXPECT_EQ(told(0).count, kPages);
  ASSERT_RMI(rmm.op_continue(operation));
  for (std::uint64_t i = 0; i < kPages; ++i) ASSERT_RMI(undelegate(first + i * kPageSize));
}

TEST_F(Reclaim, AGranuleBelowARunIsItsFirst) {
  const Hpa first = run_of(kPages);
  const std::uint64_t operation = begin(first, true);
  EXPECT_EQ(rmm.op_mem_reclaim(operation, list, 512).x1, 1U);
  EXPECT_EQ(told(0).base, first);
  EXPECT_EQ(told(0).count, kPages);
}

// sro_obj_memory_reclaim(): MIN(requested_aux_granules, range_desc_count)
TEST_F(Reclaim, AListTakesAsManyGranulesAsItHasEntries) {
  const Hpa first = run_of(kPages);
  const std::uint64_t operation = begin(first);
  RmiResult step = rmm.op_mem_reclaim(operation, list, 3);
  EXPECT_EQ(step.memory, MemoryRequest::kReclaim);
  EXPECT_EQ(step.x1, 1U);
  EXPECT_EQ(told(0).count, 3U);
  EXPECT_RMI(undelegate(first + 3 * kPageSize), Code::kInput);
  step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.memory, MemoryRequest::kNone);
  EXPECT_EQ(told(0).base, first + 3 * kPageSize);
  EXPECT_EQ(told(0).count, kPages - 3);
}

// addr_list_partial_copy_to_host(): the granules are DELEGATED before that.
TEST_F(Reclaim, WhatAWrongListDidNotTellTheNextOneTells) {
  const Hpa first = run_of(kPages);
  const std::uint64_t operation = begin(first);
  EXPECT_EQ(rmm.op_mem_reclaim(operation, granule(), 2).refused_by->id, "list");
  ASSERT_RMI(undelegate(first));
  EXPECT_EQ(rmm.op_continue(operation).refused_by->id, "expected");
  RmiResult step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.memory, MemoryRequest::kReclaim);
  EXPECT_EQ(told(0).count, 2U);
  step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.memory, MemoryRequest::kNone);
  EXPECT_EQ(told(0).count, kPages - 2);
}

// smmu_memory_reclaim(): all at once, whatever room the list has.
TEST_F(Reclaim, AnSmmusGranulesGoBackAtOnceAndAreToldAsTheListHasRoom) {
  std::vector<Hpa> given;
  RmiResult step = rmm.psmmu_activate(Settings::kPsmmu, page(PsmmuParams{}));
  std::uint64_t operation = step.x1;
  while (step.memory == MemoryRequest::kDonate) {
    const std::uint64_t count = step.x2 >> 2U & 0x3fffU;
    given.push_back(run_of(count));
    (void)granule();  // no two pieces are neighbours
    ASSERT_TRUE(
        memory.write_u64(list, AddressDescriptor{.base = given.back(), .count = count}.encode()));
    step = rmm.op_mem_donate(operation, list, 1);
  }
  ASSERT_RMI(rmm.op_continue(operation));
  operation = rmm.psmmu_deactivate(Settings::kPsmmu).x1;
  step = rmm.op_mem_reclaim(operation, list, 1);
  EXPECT_EQ(step.memory, MemoryRequest::kReclaim);
  EXPECT_EQ(step.x1, 1U);
  EXPECT_EQ(told(0).base, given.front());
  ASSERT_RMI(undelegate(given.back()));
  step = rmm.op_mem_reclaim(operation, list, 512);
  EXPECT_EQ(step.memory, MemoryRequest::kNone);
  EXPECT_EQ(step.x1, given.size() - 1);
  ASSERT_RMI(rmm.op_continue(operation));
}

struct StreamTable : Machine {
  explicit StreamTable(Defects defects = Defects::kNone) : Machine(Settings{.defects = defects}) {}
  /// What a donation that fails says, and then CONTINUE.
  std::pair<Code, Code> fail_donation() {
    EXPECT_TRUE(finish(rmm.psmmu_activate(Settings::kPsmmu, page(PsmmuParams{}))).ok());
    const std::uint64_t operation = rmm.psmmu_st_l2_create(Settings::kPsmmu, kSid).x1;
    EXPECT_TRUE(memory.write_u64(list, one(params)));
    const RmiResult donated = rmm.op_mem_donate(operation, list, 1);
    EXPECT_EQ(donated.memory, MemoryRequest::kNone);
    return {donated.code, rmm.op_continue(operation).code};
  }
};
struct DefectiveStreamTable : StreamTable {
  DefectiveStreamTable() : StreamTable(Defects::kAs9a7f8ef4) {}
};

TEST_F(StreamTable, WithWrongMemoryHasNothingToReclaim) {
  EXPECT_EQ(fail_donation(), std::pair(Code::kIncomplete, Code::kInput));
}

// psmmu_create_l2_start() does not write x0, which handle_ns_smc() has zeroed.
TEST_F(DefectiveStreamTable, WithWrongMemorySaysSuccessAndIsNotThere) {
  EXPECT_EQ(fail_donation(), std::pair(Code::kSuccess, Code::kInput));
}

TEST_F(Edges, AReclaimLooksAtItsListBeforeTheOperation) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
  const std::uint64_t operation = rmm.rec_create(rd, rec, page(RecParams{})).x1;
  EXPECT_EQ(rmm.op_mem_reclaim(operation, list + 4, 1).refused_by->id, "list_aligned");
  EXPECT_EQ(rmm.op_mem_reclaim(operation, list, 1).refused_by->id, "expected");
}

struct MadeAtOnce : Machine {
  MadeAtOnce() : Machine(Settings{.rec_granules = 0}) {}
};

TEST_F(MadeAtOnce, ARecThatNeedsNoMemoryIsOneStep) {
  ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
  const std::size_t before = rmm.granules();
  EXPECT_EQ(rmm.rec_create(rd, rec, page(RecParams{.mpidr = 1})).refused_by->id, "mpidr");
  ASSERT_RMI(rmm.rec_create(rd, rec, page(RecParams{})));
  ASSERT_RMI(rmm.rec_destroy(rec));
  EXPECT_EQ(rmm.granules(), before);
  // Numbers do not come back: set_rd_rec_count() only counts up.
  EXPECT_EQ(rmm.rec_create(rd, rec, page(RecParams{})).refused_by->id, "mpidr");
  ASSERT_RMI(rmm.rec_create(rd, rec, page(RecParams{.mpidr = 1})));
}

// A card behind the same root port gets the port's next stream where the host set up none.
TEST_F(Edges, EachStreamOfAPortHasABlockOfItsOwn) {
  open();
  stream();
  const auto free = [&] { return port.free_streams(); };
  EXPECT_EQ(free(), 1U);
  const Hpa first = pdev;
  pdev = granule();
  PdevParams other = pdev_params();
  other.rid_base = 0x104, other.rid_top = 0x105, other.id = 0x104;
  ASSERT_RMI(finish(rmm.pdev_create(pdev, page(other))));
  ASSERT_RMI(drive_pdev());
  ASSERT_RMI(rmm.pdev_set_pubkey(pdev, page(any_key())));
  ASSERT_RMI(drive_pdev());
  StreamParams second = stream_params();
  second.stream_id = 6;
  const RmiResult connected = rmm.pdev_stream_connect(page(second));
  ASSERT_RMI(connected);
  drive_stream();
  EXPECT_EQ(free(), 0U);
  EXPECT_NE(port.find_stream(5), port.find_stream(6));
  EXPECT_TRUE(port.find_stream(5) && port.find_stream(6));
  EXPECT_EQ(static_cast<PdevState>(rmm.pdev_get_state(first).x1), PdevState::kReady);
}

// dev_assign_vdev_lock_main() looks at the TDI's state before it asks for the lock.
TEST_F(Edges, ATdiThatIsNotUnlockedIsNotAskedToLock) {
  unlocked();
  device.tdis[kTdi.rid()].state = wire::TdiState::kError;
  ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
  ASSERT_RMI(drive_vdev());
  EXPECT_EQ(vdev_state(), VdevState::kError);
  EXPECT_EQ(device_state(), wire::TdiState::kError) << "LOCK would have changed it";
}

TEST_F(Edges, ARealmIsToldOfDevicesInTheFirstFeatureRegisterAlone) {
  make_realm(true);
  EXPECT_NE(rmm.rsi_features(rec, 0).x1, 0U);
  EXPECT_EQ(rmm.rsi_features(rec, 1).x1, 0U);
}

TEST_F(Edges, ARealmWithoutDevicesIsToldOfNone) {
  make_realm(false);
  EXPECT_EQ(rmm.rsi_features(rec, 0).x1, 0U);
}

}  // namespace
}  // namespace teeio::rmm
