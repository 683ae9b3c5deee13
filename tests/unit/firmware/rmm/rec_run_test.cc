// A realm whose code runs: entry and exit records, its calls, its memory.
#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kCall = 0xc400'0190;
constexpr Gpa kRam = Machine::kIpa;       // populated
constexpr Gpa kFresh = kRam + kPageSize;  // RIPAS EMPTY

class RecRun : public Machine {
 public:
  explicit RecRun(Settings settings = {}) : Machine(std::move(settings)) {}

 protected:
  void SetUp() override {
    ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
    make_tables();
    ASSERT_RMI(rmm.rtt_data_map_init(rd, page_of_ram, kRam, params, 1));
    ASSERT_RMI(create_rec(rd, rec, {.pc = 0x1000, .gprs = {7}}));
    ASSERT_RMI(create_rec(rd, other_rec, {.flags = 0, .mpidr = 1}));
    ASSERT_RMI(rmm.realm_activate(rd));
  }
  RecExit enter(const RecEnter& record = {}) {
    EXPECT_TRUE(memory.write(run_page, record.encode()));
    const RmiResult entered = rmm.rec_enter(rec, run_page, registers);
    EXPECT_RMI(entered, Code::kSuccess);
    return static_cast<RecExit>(entered.x1);
  }
  /// Gives whether the realm goes on.
  bool call(std::initializer_list<std::uint64_t> x) {
    std::ranges::copy(x, registers.x.begin());
    registers.pc = 0x2000;
    return rmm.realm_call(rec, run_page, registers);
  }
  RecExitRecord left() {
    Bytes bytes(kPageSize - RecExitRecord::kOffset);
    EXPECT_TRUE(memory.read(run_page + RecExitRecord::kOffset, bytes));
    return RecExitRecord::decode(bytes);
  }
  /// The realm wants the page no more, by another REC's call.
  void give_up(Gpa page) {
    ASSERT_EQ(rmm.rsi_ipa_state_set(other_rec, page, page + kPageSize, 0, false).code,
              RsiCode::kIncomplete);
    ASSERT_RMI(rmm.rtt_set_ripas(rd, other_rec, page, page + kPageSize));
  }
  std::uint64_t word(Hpa at) { return *memory.read_u64(at, kRealmWorld); }

  Hpa page_of_ram = granule();
  Hpa other_rec = granule();
  Hpa run_page = *memory.alloc_page();
  hw::ArmRegisters registers;
};

class RecRunAsItIs : public RecRun {
 public:
  RecRunAsItIs() : RecRun(Settings{.defects = Defects::kAs9a7f8ef4}) {}
};

TEST_F(RecRun, BeginsWithTheRegistersOfItsCreation) {
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.pc, 0x1000U);
  EXPECT_EQ(registers.x[0], 7U);
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "running");
}

TEST_F(RecRun, SimpleCallsAreAnsweredWithoutTheHost) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_TRUE(call({kCall, 0x1'0000}));
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_EQ(registers.x[1], 0x1'0000U);
  EXPECT_EQ(registers.x[2], 0x1'0001U);
  EXPECT_TRUE(call({kCall + 6, raw(kRam)}));
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_EQ(word(page_of_ram), 39U);
  EXPECT_TRUE(call({kCall + 8, raw(kRam), raw(kRam) + 4 * kPageSize}));
  EXPECT_EQ(registers.x[1], raw(kFresh));
  EXPECT_EQ(registers.x[2], 1U);
  EXPECT_TRUE(call({0x8400'0000}));
  EXPECT_EQ(registers.x[0], 0x1'0001U);
  EXPECT_TRUE(call({0xc400'00ff}));
  EXPECT_EQ(registers.x[0], ~std::uint64_t{0});
}

TEST_F(RecRun, AHostCallTakesRegistersOutOfTheRealmsMemoryAndBringsThemBack) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  ASSERT_TRUE(memory.write_u64(page_of_ram + 0x100, 5, kRealmWorld));
  ASSERT_TRUE(memory.write_u64(page_of_ram + 0x108, 0xc500'004b, kRealmWorld));
  EXPECT_FALSE(call({kCall + 9, raw(kRam) + 0x100}));
  EXPECT_EQ(left().reason, RecExit::kHostCall);
  EXPECT_EQ(left().imm, 5U);
  EXPECT_EQ(left().gprs[0], 0xc500'004bU);
  RecEnter answer;
  answer.gprs[0] = 0x3b;
  EXPECT_EQ(enter(answer), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_EQ(registers.pc, 0x2000U);
  EXPECT_EQ(word(page_of_ram + 0x108), 0x3bU);
}

TEST_F(RecRun, AHostCallWhosePageHasGoneIsAnAbortForTheHost) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_FALSE(call({kCall + 9, raw(kRam)}));
  ASSERT_RMI(rmm.rtt_data_unmap(rd, kRam, kFresh, {}));
  EXPECT_EQ(enter(), RecExit::kSync);
  EXPECT_EQ(left().hpfar, raw(kRam) >> 12U << 4U);
}

// realm_ipa_get_ripas(): one table, and up to one below it.
TEST_F(RecRun, TheStateOfAddressesIsToldWithinOneTable) {
  constexpr std::uint64_t kBlock = 2ULL << 20U;
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_TRUE(call({kCall + 8, raw(kFresh), raw(kRam) + 3 * kBlock}));
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_EQ(registers.x[1], raw(kRam) + kBlock);  // the end of the table of level 3
  EXPECT_EQ(registers.x[2], 0U);
  ASSERT_RMI(rmm.rtt_create(rd, granule(), kRam + 4 * kBlock, 3));
  EXPECT_TRUE(call({kCall + 8, raw(kRam) + kBlock + kPageSize, raw(kRam) + 8 * kBlock}));
  EXPECT_EQ(registers.x[1], raw(kRam) + 4 * kBlock);
}

// complete_rsi_host_call(): the realm has given the page up meanwhile, so that the host cannot
// bring it.
TEST_F(RecRunAsItIs, AHostCallWhosePageTheRealmHasGivenUpAnswersNothing) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_FALSE(call({kCall + 9, raw(kRam)}));
  give_up(kRam);
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], kCall + 9);
}

TEST_F(RecRun, AHostCallWhosePageTheRealmHasGivenUpSucceeds) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_FALSE(call({kCall + 9, raw(kRam)}));
  give_up(kRam);
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], 0U);
}

// exit.c, handle_data_abort() and handle_instruction_abort(): the host learns of an abort in the
// protected half where the tables end, and no more.
TEST_F(RecRun, AnAbortSaysTheLevelAndOnlyOutsideOfTheProtectedHalfTheAccess) {
  constexpr std::uint64_t kData = 0x24ULL << 26U, kFetch = 0x20ULL << 26U, kIl = 1U << 25U;
  const auto leave = [&](const hw::CpuExit& why) {
    EXPECT_EQ(enter(), RecExit::kRealm);
    rmm.rec_exit(rec, run_page, why);
    return left().esr;
  };
  hw::CpuExit why;
  why.reason = hw::CpuExit::Reason::kFault;
  why.gpa = kFresh;
  why.access = hw::GuestAccess::kWrite;
  why.write = true;
  why.size = 8;
  EXPECT_EQ(leave(why), kData | 7U);
  why.gpa = kRam + (2ULL << 20U);
  EXPECT_EQ(leave(why), kData | 6U);
  why.gpa = Gpa{Rtt::kProtected + 0x18};
  EXPECT_EQ(leave(why), kData | 5U | kIl);
  EXPECT_EQ(left().far, 0U);
  why.reason = hw::CpuExit::Reason::kMmio;
  EXPECT_EQ(leave(why), kData | 5U | 1U << 24U | 3U << 22U | 1U << 15U | 1U << 6U);
  EXPECT_EQ(left().far, 0x18U);
  why = {.reason = hw::CpuExit::Reason::kFault, .gpa = kFresh, .access = hw::GuestAccess::kFetch};
  EXPECT_EQ(leave(why), kFetch | 7U);
}

TEST_F(RecRun, MemoryIsTakenIntoUseThroughTheHost) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(rmm.translate(rd, kFresh).error(), Rmm::NoPlace::kEmpty);
  EXPECT_FALSE(call({kCall + 7, raw(kFresh), raw(kFresh) + kPageSize, 1, 0}));
  EXPECT_EQ(left().reason, RecExit::kRipasChange);
  EXPECT_EQ(left().base, raw(kFresh));
  EXPECT_EQ(left().ripas, 1U);
  ASSERT_RMI(rmm.rtt_set_ripas(rd, rec, kFresh, kFresh + kPageSize));
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[1], raw(kFresh) + kPageSize);
  EXPECT_EQ(rmm.translate(rd, kFresh).error(), Rmm::NoPlace::kUnmapped);
  const Hpa fresh = granule();
  ASSERT_RMI(rmm.rtt_data_map(rd, kFresh, kFresh + kPageSize, {}, one(fresh)));
  ASSERT_TRUE(rmm.translate(rd, kFresh));
  EXPECT_EQ(rmm.translate(rd, kFresh)->page, fresh);
  // What the host takes away, the realm does not get back unasked.
  ASSERT_RMI(rmm.rtt_data_unmap(rd, kFresh, kFresh + kPageSize, {}));
  ASSERT_RMI(rmm.rtt_data_map(rd, kFresh, kFresh + kPageSize, {}, one(fresh)));
  EXPECT_FALSE(rmm.translate(rd, kFresh));
  // smc_rtt_read_entry() tells where it is all the same.
  const RmiResult entry = rmm.rtt_read_entry(rd, kFresh, 3);
  EXPECT_EQ(entry.x2, 1U);
  EXPECT_EQ(entry.x3, raw(fresh));
  EXPECT_EQ(entry.x4, static_cast<std::uint64_t>(Ripas::kDestroyed));
}

TEST_F(RecRun, MemoryIsTakenIntoUseUpToTheNextTable) {
  constexpr std::uint64_t kBlock = 2ULL << 20U;
  const Gpa blocks = kRam + kBlock, tables = kRam + 2 * kBlock, end = kRam + 3 * kBlock;
  ASSERT_RMI(rmm.rtt_create(rd, granule(), tables, 3));
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_FALSE(call({kCall + 7, raw(blocks), raw(end), 1, 0}));
  const auto first = rmm.rtt_set_ripas(rd, rec, blocks, end);
  ASSERT_RMI(first);
  EXPECT_EQ(first.x1, raw(tables));
  EXPECT_EQ(rmm.translate(rd, tables).error(), Rmm::NoPlace::kEmpty);
  const auto second = rmm.rtt_set_ripas(rd, rec, tables, end);
  ASSERT_RMI(second);
  EXPECT_EQ(second.x1, raw(end));
  EXPECT_EQ(rmm.translate(rd, tables).error(), Rmm::NoPlace::kUnmapped);
  EXPECT_EQ(rmm.rtt_read_entry(rd, tables, 3).x4, 1U);  // the table is there still
}

TEST_F(RecRun, AHostMayRejectWhatItDoesNotWant) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_FALSE(call({kCall + 7, raw(kFresh), raw(kFresh) + kPageSize, 1, 0}));
  EXPECT_EQ(enter({.flags = kRejectRipas}), RecExit::kRealm);
  EXPECT_EQ(registers.x[1], raw(kFresh));
  EXPECT_EQ(registers.x[2], 1U);
}

constexpr std::uint64_t kInjectSea = 1U << 1U;

/// Of a realm whose processor takes what it is given.
struct Taken final : hw::ArmExceptions {
  std::uint64_t syndrome = 0, address = 0;
  hw::ArmRegisters take_abort(std::uint64_t esr, std::uint64_t far) override {
    syndrome = esr;
    address = far;
    hw::ArmRegisters registers;
    registers.pc = 0x200;
    return registers;
  }
};

hw::CpuExit access_to(Gpa gpa, hw::CpuExit::Reason reason) {
  hw::CpuExit why;
  why.reason = reason;
  why.gpa = gpa;
  why.access = hw::GuestAccess::kRead;
  why.size = 4;
  return why;
}

TEST_F(RecRun, AnAbortIsInjectedForAnAccessOutsideOfTheProtectedHalfAlone) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  rmm.rec_exit(rec, run_page, access_to(kFresh, hw::CpuExit::Reason::kFault));
  EXPECT_TRUE(memory.write(run_page, RecEnter{.flags = kInjectSea}.encode()));
  EXPECT_RMI(rmm.rec_enter(rec, run_page, registers), Code::kRec);
  ASSERT_EQ(enter(), RecExit::kRealm);
  rmm.rec_exit(rec, run_page, access_to(Gpa{Rtt::kProtected + 0x1000}, hw::CpuExit::Reason::kMmio));
  EXPECT_EQ(enter({.flags = kInjectSea | kEmulatedMmio}), RecExit::kRealm);
}

// complete_sea_insertion() looks at the class and the address, complete_mmio_emulation() at ISV.
TEST_F(RecRun, AnAccessThatTheHostCannotEmulateHasAnAbortAllTheSame) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  rmm.rec_exit(rec, run_page,
               access_to(Gpa{Rtt::kProtected + 0x1000}, hw::CpuExit::Reason::kFault));
  EXPECT_TRUE(memory.write(run_page, RecEnter{.flags = kEmulatedMmio}.encode()));
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "mmio");
  EXPECT_EQ(enter({.flags = kInjectSea}), RecExit::kRealm);
}

TEST_F(RecRun, AnInstructionThatIsFetchedFromThereHasNone) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  hw::CpuExit fetch = access_to(Gpa{Rtt::kProtected + 0x1000}, hw::CpuExit::Reason::kFault);
  fetch.access = hw::GuestAccess::kFetch;
  rmm.rec_exit(rec, run_page, fetch);
  EXPECT_TRUE(memory.write(run_page, RecEnter{.flags = kInjectSea}.encode()));
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "sea");
}

// inject_sync_idabort_rec(): what the processor had of the access, with another status.
TEST_F(RecRun, AnInjectedAbortSaysWhichAccessItWas) {
  constexpr std::uint64_t kData = 0x24ULL << 26U, kIl = 1U << 25U, kIsv = 1U << 24U;
  constexpr std::uint64_t kExternal = 1U << 9U, kWnr = 1U << 6U, kSea = 0x10;
  const Gpa there{Rtt::kProtected + 0x1238};
  ASSERT_EQ(enter(), RecExit::kRealm);
  hw::CpuExit store = access_to(there, hw::CpuExit::Reason::kMmio);
  store.access = hw::GuestAccess::kWrite;
  store.write = true;
  rmm.rec_exit(rec, run_page, store);
  Taken taken;
  EXPECT_TRUE(memory.write(run_page, RecEnter{.flags = kInjectSea}.encode()));
  ASSERT_RMI(rmm.rec_enter(rec, run_page, registers, &taken));
  EXPECT_EQ(taken.address, raw(there));
  EXPECT_EQ(taken.syndrome, kData | kIl | kIsv | 2U << 22U | kExternal | kWnr | kSea);
  EXPECT_EQ(registers.pc, 0x200U);
  // The next entry has none to inject: what the realm left for is over.
  rmm.rec_exit(rec, run_page, {});
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "sea");
}

TEST_F(RecRun, OnlyAccessesOutsideOfTheProtectedHalfShowWhatTheyWere) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  hw::CpuExit store;
  store.reason = hw::CpuExit::Reason::kMmio;
  store.gpa = Gpa{Rtt::kProtected + 0x1234};
  store.access = hw::GuestAccess::kWrite;
  store.write = true;
  store.size = 4;
  store.data = 0xabcd;
  rmm.rec_exit(rec, run_page, store);
  EXPECT_EQ(left().reason, RecExit::kSync);
  EXPECT_EQ(left().esr >> 26U, 0x24U);
  EXPECT_EQ(left().esr >> 24U & 1U, 1U);  // ISV
  EXPECT_EQ(left().far, 0x234U);
  EXPECT_EQ(left().gprs[0], 0xabcdU);
  EXPECT_EQ(enter({.flags = kEmulatedMmio}), RecExit::kRealm);
  store.reason = hw::CpuExit::Reason::kFault;
  store.gpa = kFresh + 8;
  rmm.rec_exit(rec, run_page, store);
  EXPECT_EQ(left().esr >> 24U & 1U, 0U);
  EXPECT_EQ(left().far, 0U);
  EXPECT_EQ(left().gprs[0], 0U);
}

// ripas_change_destroyed is compared with its one value, and both are enums of 32 bits.
TEST_F(RecRun, WhatADestroyedPageMayBecomeIsOneValue) {
  ASSERT_EQ(enter(), RecExit::kRealm);
  ASSERT_RMI(rmm.rtt_data_unmap(rd, kRam, kRam + kPageSize, {}));
  constexpr std::uint64_t kHigh = 1ULL << 32U;
  EXPECT_FALSE(call({kCall + 7, raw(kRam), raw(kRam) + kPageSize, 1, 2}));
  EXPECT_RMI(rmm.rtt_set_ripas(rd, rec, kRam, kRam + kPageSize), Code::kRtt) << "2 is no consent";
  ASSERT_EQ(enter(), RecExit::kRealm);
  EXPECT_FALSE(call({kCall + 7, raw(kRam), raw(kRam) + kPageSize, kHigh | 1, kHigh | 1}));
  EXPECT_EQ(left().ripas, 1U);
  EXPECT_RMI(rmm.rtt_set_ripas(rd, rec, kRam, kRam + kPageSize), Code::kSuccess);
}

class InfoWithoutPage : public Machine {
 public:
  explicit InfoWithoutPage(Settings settings = {}) : Machine(std::move(settings)) {}

 protected:
  /// Up to RSI_VDEV_GET_INFO's exit for its page, whose RIPAS is RAM.
  void miss();
  Hpa run_page = *memory.alloc_page();
  hw::ArmRegisters registers;
};
class InfoWithoutPageAsItIs : public InfoWithoutPage {
 public:
  InfoWithoutPageAsItIs() : InfoWithoutPage(Settings{.defects = Defects::kAs9a7f8ef4}) {}
};

// finish_rsi_vdev_get_info(): the host brings the page of the record first.
void InfoWithoutPage::miss() {
  unlocked();
  ASSERT_EQ(rmm.rsi_ipa_state_set(rec, kFresh, kFresh + kPageSize, 1, false).code,
            RsiCode::kIncomplete);
  ASSERT_RMI(rmm.rtt_set_ripas(rd, rec, kFresh, kFresh + kPageSize));
  ASSERT_RMI(rmm.rec_enter(rec));
  ASSERT_RMI(rmm.rec_enter(rec, run_page, registers));
  registers.x[0] = kCall + 13;  // RSI_VDEV_GET_INFO
  registers.x[1] = kId;
  registers.x[2] = raw(kFresh) + 0x200;
  ASSERT_FALSE(rmm.realm_call(rec, run_page, registers));
  ASSERT_RMI(rmm.vdev_complete(rec, vdev));
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).x1, static_cast<std::uint64_t>(RecExit::kSync));
}

// complete_vdev_id_mapping(): x0 is RSI_ERROR_INPUT by then, which is no call.
TEST_F(InfoWithoutPageAsItIs, IsNotFoundAgainWhenItsPageIsThere) {
  miss();
  ASSERT_RMI(rmm.rtt_data_map(rd, kFresh, kFresh + kPageSize, {}, one(granule())));
  (void)rmm.rec_enter(rec, run_page, registers);
  EXPECT_TRUE(rmm.panicked());
}

TEST_F(InfoWithoutPage, IsAnAbortForTheHost) {
  miss();
  Bytes bytes(kPageSize - RecExitRecord::kOffset);
  ASSERT_TRUE(memory.read(run_page + RecExitRecord::kOffset, bytes));
  EXPECT_EQ(RecExitRecord::decode(bytes).hpfar, raw(kFresh) >> 12U << 4U);
  const Hpa fresh = granule();
  ASSERT_RMI(rmm.rtt_data_map(rd, kFresh, kFresh + kPageSize, {}, one(fresh)));
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).x1,
            static_cast<std::uint64_t>(RecExit::kRealm));
  EXPECT_EQ(registers.x[0], 0U);
  Bytes record(VdevInfo{}.encode().size());
  ASSERT_TRUE(memory.read(fresh + 0x200, record, kRealmWorld));
  EXPECT_EQ(record, rmm.rsi_info(rec).encode());
}

}  // namespace
}  // namespace teeio::rmm
