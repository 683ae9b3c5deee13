// A guest's registers: what is no operand of its leaf must be zero.
#include "hw/cpu.h"
#include "unit/firmware/tdx/machine.h"

namespace teeio::tdx {
namespace {

enum : std::uint64_t {
  kPageAccept = 6,
  kValidate = 66,
  kRd = 67,
  kRequest = 68,
  kResponse = 69,
  kDmarAccept = 70,
  kMmioAccept = 71,
};

struct Tdcall : Machine {
  void SetUp() override {
    connect();
    bind(td);
    validate(td);
    inside(td, [] {});
  }
  LeafResult call(const hw::CpuRegisters& regs) { return module.tdcall(td.vp, regs).leaf; }
  /// A leaf about the function, with what it wants in RDX.
  static hw::CpuRegisters registers(std::uint64_t leaf, std::uint64_t rdx = 0) {
    hw::CpuRegisters regs;
    regs.rax = leaf;
    regs.rcx = static_cast<std::uint64_t>(kFunction);
    regs.rdx = rdx;
    return regs;
  }
  void expect_invalid(const hw::CpuRegisters& regs, Operand operand) {
    const LeafResult result = call(regs);
    EXPECT_EQ(result.status.name(), "TDX_OPERAND_INVALID");
    EXPECT_EQ(operand_name(result.status.operand()), operand_name(operand));
  }
  TestTd td = running_td();
};

// tdg_dmar_accept.c: a TD without nested VMs has VM 0 only, and there is no PASID.
TEST_F(Tdcall, DmarAcceptTakesNothingButTheFunction) {
  expect_invalid(registers(kDmarAccept, 1), Operand::kRdx);
  expect_invalid(registers(kDmarAccept, 1U << 12U), Operand::kRdx);
  const std::pair<Operand, std::uint64_t hw::CpuRegisters::*> unused[] = {
      {Operand::kR8, &hw::CpuRegisters::r8},   {Operand::kR9, &hw::CpuRegisters::r9},
      {Operand::kR10, &hw::CpuRegisters::r10}, {Operand::kR11, &hw::CpuRegisters::r11},
      {Operand::kR12, &hw::CpuRegisters::r12}, {Operand::kR13, &hw::CpuRegisters::r13},
      {Operand::kR14, &hw::CpuRegisters::r14}, {Operand::kR15, &hw::CpuRegisters::r15}};
  for (const auto& [operand, which] : unused) {
    hw::CpuRegisters regs = registers(kDmarAccept);
    regs.*which = 1;
    expect_invalid(regs, operand);
  }
  EXPECT_OK(call(registers(kDmarAccept)));
}

TEST_F(Tdcall, DevifRdReadsR9BeforeTheField) {
  hw::CpuRegisters regs = registers(kRd, 1);
  EXPECT_OK(call(regs));
  expect_invalid(registers(kRd, 1U << 8U | 1U), Operand::kRdx);
  regs.r9 = 1;
  regs.rdx = 99;
  expect_invalid(regs, Operand::kR9);
}

TEST_F(Tdcall, DevifRequestHasACodeAndNoFlags) {
  constexpr auto kState = static_cast<std::uint64_t>(DevifRequest::kState);
  constexpr std::uint64_t kNoFirmwareUpdate = 1U << 8U, kTdFlag = 1ULL << 63U;
  expect_invalid(registers(kRequest, kState | kNoFirmwareUpdate), Operand::kRdx);
  expect_invalid(registers(kRequest, kState | kTdFlag), Operand::kRdx);
  hw::CpuRegisters regs = registers(kRequest, kState);
  regs.r9 = 1;
  expect_invalid(regs, Operand::kR9);
  EXPECT_OK(call(registers(kRequest, kState)));
}

TEST_F(Tdcall, DevifResponseReadsR9BeforeTheBuffer) {
  hw::CpuRegisters regs = registers(kResponse, 1);
  expect_invalid(regs, Operand::kRdx);
  regs.r9 = 1;
  expect_invalid(regs, Operand::kR9);
}

// devifmt.c, tdg_devifmt_get_devifcs(): RCX is a function id, all of it.
TEST_F(Tdcall, AFunctionIdHasNothingAboveIt) {
  for (const std::uint64_t leaf : {kValidate, kRd, kRequest, kDmarAccept}) {
    constexpr auto kState = static_cast<std::uint64_t>(DevifRequest::kState);
    hw::CpuRegisters regs = registers(leaf, leaf == kRd ? 1 : leaf == kRequest ? kState : 0);
    regs.rcx |= 1ULL << 32U;
    expect_invalid(regs, Operand::kRcx);
  }
  hw::CpuRegisters regs = registers(kResponse, ~0ULL);
  regs.rcx |= 1ULL << 63U;
  expect_invalid(regs, Operand::kRcx);
}

// helpers.c, verify_page_info_input(): a level has three bits.
TEST_F(Tdcall, AnEntrysLevelAndReservedBitsAreLookedAt) {
  for (const std::uint64_t leaf : {kPageAccept, kMmioAccept})
    for (const std::uint64_t bits :
         {4ULL, 7ULL, 1ULL << 3U, 1ULL << 11U, 1ULL << 52U, 1ULL << 63U}) {
      hw::CpuRegisters regs = registers(leaf);
      regs.rcx = raw(kRamGpa) | bits;
      regs.rdx = handle();
      expect_invalid(regs, Operand::kRcx);
    }
}

TEST_F(Tdcall, ALeafThatIsNoneIsRefused) {
  for (const std::uint64_t rax : {3ULL, 73ULL, 1ULL << 16U | 1U, 1ULL << 63U | 1U})
    expect_invalid(registers(rax), Operand::kRax);
}

// tdg_vp_vmcall.c.
TEST(Vmcall, ShowsNoRegisterThatItCannot) {
  EXPECT_TRUE(Module::vmcall_status(0xfc00).ok());
  EXPECT_TRUE(Module::vmcall_status(0xffff'ffec).ok());
  for (const unsigned bit : {0U, 1U, 4U, 32U, 63U})
    EXPECT_EQ(Module::vmcall_status(1ULL << bit).rax(), 0xC0000100'00000001U) << bit;
}

}  // namespace
}  // namespace teeio::tdx
