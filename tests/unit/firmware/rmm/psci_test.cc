// A realm's power: each check of its calls, and how the host completes them.
#include "unit/firmware/rmm/machine.h"

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kPsciDeniedStatus = ~std::uint64_t{0} - 2;

/// A realm with a REC that runs, and one that is off.
class Power : public Machine {
 protected:
  Power() = default;
  explicit Power(Settings settings) : Machine(std::move(settings)) {}
  void SetUp() override {
    ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt}));
    ASSERT_RMI(create_rec(rd, rec, {.pc = 0x1000}));
    ASSERT_RMI(create_rec(rd, other, {.flags = 0, .mpidr = 1, .pc = 0x1000, .gprs = {1, 2}}));
    ASSERT_RMI(rmm.realm_activate(rd));
    ASSERT_EQ(enter(), RecExit::kRealm);
  }
  RecExit enter() {
    const RmiResult entered = rmm.rec_enter(rec, run_page, registers);
    EXPECT_RMI(entered, Code::kSuccess);
    return static_cast<RecExit>(entered.x1);
  }
  /// Gives whether the realm goes on.
  bool call(std::initializer_list<std::uint64_t> x) {
    std::ranges::copy(x, registers.x.begin());
    return rmm.realm_call(rec, run_page, registers);
  }
  RecExitRecord left() {
    Bytes bytes(kPageSize - RecExitRecord::kOffset);
    EXPECT_TRUE(memory.read(run_page + RecExitRecord::kOffset, bytes));
    return RecExitRecord::decode(bytes);
  }
  std::string_view refused(const PsciCall& what) {
    const Check* const check = rmm.psci(rec, what).refused_by;
    return check == nullptr ? std::string_view{} : check->id;
  }

  Hpa other = granule();
  Hpa run_page = *memory.alloc_page();
  hw::ArmRegisters registers;
};

constexpr std::uint64_t minus(std::uint64_t number) { return ~number + 1; }

TEST_F(Power, CallsThatNeedNobodyElseStayInTheRealm) {
  EXPECT_TRUE(call({kPsciVersion, 5, 5, 5}));
  EXPECT_EQ(registers.x[0], 0x1'0001U);
  EXPECT_EQ(registers.x[1], 0U);
  EXPECT_TRUE(call({kPsciFeatures, kPsciCpuOn | kPsci64Bits}));
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_TRUE(call({kPsciFeatures, kPsciCpuOff | kPsci64Bits}));
  EXPECT_EQ(registers.x[0], minus(1));
  EXPECT_TRUE(call({kPsciVersion + 0x1f}));
  EXPECT_EQ(registers.x[0], minus(1));
  EXPECT_TRUE(call({kPsciAffinityInfo | kPsci64Bits, 0, 0}));
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_TRUE(call({0x8000'0000}));  // SMCCC_VERSION
  EXPECT_EQ(registers.x[0], 0x1'0002U);
}

TEST_F(Power, EachCheckRefusesAlone) {
  EXPECT_EQ(refused({kPsciCpuOn, 1, Rtt::kProtected}), "protected");
  EXPECT_EQ(refused({kPsciCpuOn, 2, 0}), "target");
  EXPECT_EQ(refused({kPsciCpuOn, std::uint64_t{1} << 32U, 0}), "target");  // MPIDR's Aff3
  EXPECT_EQ(refused({kPsciCpuOn, 0, 0}), "self");
  EXPECT_EQ(refused({kPsciAffinityInfo, 1, 1}), "level");
  EXPECT_EQ(refused({kPsciAffinityInfo, 2, 0}), "target");
  EXPECT_EQ(refused({kPsciFeatures, kPsciVersion}), "function");
  EXPECT_TRUE(call({kPsciCpuOn, 1, Rtt::kProtected}));
  EXPECT_EQ(registers.x[0], minus(9));
  EXPECT_TRUE(call({kPsciCpuOn, 7, 0}));
  EXPECT_EQ(registers.x[0], minus(2));
  EXPECT_TRUE(call({kPsciCpuOn, 0, 0}));
  EXPECT_EQ(registers.x[0], minus(4));
  for (const Row* const row : {&row::kPsciVersion, &row::kPsciCpuSuspend, &row::kPsciCpuOff,
                               &row::kPsciSystemOff, &row::kPsciSystemReset})
    EXPECT_TRUE(row->checks.empty()) << row->name;
}

TEST_F(Power, AnotherRecBeginsWhereItIsTold) {
  hw::ArmRegisters others;
  EXPECT_EQ(rmm.rec_enter(other, run_page, others).refused_by->id, "runnable");
  EXPECT_FALSE(call({kPsciCpuOn | kPsci64Bits, 1, 0x8000, 77}));
  EXPECT_EQ(left().reason, RecExit::kPsci);
  EXPECT_EQ(left().gprs[0], kPsciCpuOn | kPsci64Bits);
  EXPECT_EQ(left().gprs[1], 1U);
  EXPECT_EQ(left().gprs[2], 0U);  // what it begins with is the realm's
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "psci");
  ASSERT_RMI(rmm.psci_complete(rec, other, 0));
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], 0U);
  EXPECT_EQ(registers.x[3], 0U);
  ASSERT_RMI(rmm.rec_enter(other, run_page, others));
  EXPECT_EQ(others.pc, 0x8000U);
  EXPECT_EQ(others.x[0], 77U);
  EXPECT_EQ(others.x[1], 2U);
  // It is on now, which a host cannot deny.
  EXPECT_FALSE(call({kPsciCpuOn, 1, 0x8000, 77}));
  EXPECT_EQ(rmm.psci_complete(rec, other, kPsciDeniedStatus).refused_by->id, "denied");
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], minus(4));
  EXPECT_FALSE(call({kPsciAffinityInfo, 1, 0}));
  ASSERT_RMI(rmm.psci_complete(rec, other, 0));
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], 0U);
}

TEST_F(Power, AHostMayDenyWhatIsOff) {
  EXPECT_FALSE(call({kPsciCpuOn, 1, 0x8000, 77}));
  ASSERT_RMI(rmm.psci_complete(rec, other, kPsciDeniedStatus));
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], minus(3));
  EXPECT_FALSE(call({kPsciAffinityInfo, 1, 0}));
  EXPECT_EQ(rmm.psci_complete(rec, other, kPsciDeniedStatus).refused_by->id, "status");
  ASSERT_RMI(rmm.psci_complete(rec, other, 0));
  EXPECT_EQ(enter(), RecExit::kRealm);
  EXPECT_EQ(registers.x[0], 1U);
}

TEST_F(Power, ARecThatIsOffIsNotEntered) {
  EXPECT_FALSE(call({kPsciCpuOff}));
  EXPECT_EQ(left().reason, RecExit::kPsci);
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "runnable");
}

TEST_F(Power, NothingOfARealmThatIsOffIsEntered) {
  EXPECT_FALSE(call({kPsciSystemOff}));
  EXPECT_EQ(left().gprs[0], kPsciSystemOff);
  EXPECT_EQ(rmm.rec_enter(rec, run_page, registers).refused_by->id, "state");
  ASSERT_RMI(rmm.realm_terminate(rd));
  ASSERT_RMI(finish(rmm.rec_destroy(rec)));
  ASSERT_RMI(finish(rmm.rec_destroy(other)));
  ASSERT_RMI(rmm.realm_destroy(rd));
}

TEST_F(Power, TheFunctionIsTheLowerHalfOfItsRegister) {
  constexpr std::uint64_t kAbove = std::uint64_t{1} << 32U;
  EXPECT_FALSE(call({kAbove | kPsciCpuOn, 1, 0x8000, 77}));
  EXPECT_EQ(left().gprs[0], kAbove | kPsciCpuOn);
  ASSERT_RMI(rmm.psci_complete(rec, other, 0));
  EXPECT_EQ(enter(), RecExit::kRealm);
  // SMCCC's hint about SVE, which handle_psci() takes for a part of the number.
  EXPECT_TRUE(call({kPsciVersion | 1U << 16U}));
  EXPECT_EQ(registers.x[0], minus(1));
}

class PowerWithDefects : public Power {
 protected:
  PowerWithDefects() : Power({.defects = Defects::kAs9a7f8ef4}) {}
};

TEST_F(PowerWithDefects, AFunctionWithMoreBitsStopsTheMonitor) {
  EXPECT_FALSE(call({std::uint64_t{1} << 32U | kPsciCpuOn, 1, 0x8000, 77}));
  EXPECT_RMI(rmm.psci_complete(rec, other, 0), Code::kSmcNotSupported);
  EXPECT_TRUE(rmm.panicked());
}

}  // namespace
}  // namespace teeio::rmm
