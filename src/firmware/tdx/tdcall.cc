#include "firmware/tdx/module.h"
#include "hw/cpu.h"

// A guest's registers, taken apart into the operands of a leaf and what must be zero.
// Source: intel/tdx-module, tdxio branch, include/tdx_api_defs.h.

namespace teeio::tdx {
namespace {

// Leaf numbers: RAX, whose version (23:16) is 0 for all of these.
enum : std::uint64_t {
  kVpInfo = 1,
  kMrRtmrExtend = 2,
  kMrReport = 4,
  kMemPageAccept = 6,
  kMrVerifyreport = 22,
  kDevifValidate = 66,
  kDevifRd = 67,
  kDevifRequest = 68,
  kDevifResponse = 69,
  kDmarAccept = 70,
  kMmioAccept = 71,
  kIqInvRequest = 72,
};

/// A GPA with a level: page_info_api_input_t.
struct Entry {
  static constexpr std::uint64_t kLevel = 7, kReserved = 0xfff0'0000'0000'0ff8;
  explicit Entry(std::uint64_t rcx)
      : gpa{rcx & ~(kLevel | kReserved)}, level{static_cast<Level>(rcx & kLevel)} {
    rest[Operand::kRcx] = rcx & kReserved;
  }
  Gpa gpa;
  Level level;
  ReservedBits rest;
};

/// What a leaf about a function has besides its operands: of RDX what is not in `rdx_used`.
ReservedBits rest_of(const hw::CpuRegisters& regs, std::uint64_t rdx_used) {
  ReservedBits rest;
  rest[Operand::kRcx] = regs.rcx >> 32U;
  rest[Operand::kRdx] = regs.rdx & ~rdx_used;
  rest[Operand::kR8] = regs.r8;
  rest[Operand::kR9] = regs.r9;
  rest[Operand::kR10] = regs.r10;
  rest[Operand::kR11] = regs.r11;
  rest[Operand::kR12] = regs.r12;
  rest[Operand::kR13] = regs.r13;
  rest[Operand::kR14] = regs.r14;
  rest[Operand::kR15] = regs.r15;
  return rest;
}

constexpr std::uint64_t kCode = 0xff;  // of a field, or of a request
constexpr std::uint64_t kNoBuffer = ~0ULL;

}  // namespace

Module::GuestLeafResult Module::tdcall(Hpa vp, const hw::CpuRegisters& regs) {
  const auto function = static_cast<FunctionId>(regs.rcx & 0xffff'ffffU);
  switch (regs.rax) {
    case kVpInfo:
      return {.leaf = tdg_vp_info(vp)};
    case kMrRtmrExtend:
      return tdg_mr_rtmr_extend(vp, Gpa{regs.rcx}, regs.rdx);
    case kMrReport:
      return tdg_mr_report(vp, Gpa{regs.rcx}, Gpa{regs.rdx}, regs.r8);
    case kMrVerifyreport:
      return tdg_mr_verifyreport(vp, Gpa{regs.rcx});
    case kMemPageAccept: {
      const Entry entry(regs.rcx);
      return tdg_mem_page_accept(vp, entry.gpa, entry.level, entry.rest);
    }
    case kMmioAccept: {
      const Entry entry(regs.rcx);
      return tdg_mmio_accept(vp, entry.gpa, entry.level, regs.rdx, entry.rest);
    }
    case kIqInvRequest:
      return tdg_iq_inv_request(vp, regs.rcx, Gpa{regs.rdx});
    case kDmarAccept:
      return {.leaf = tdg_dmar_accept(vp, function, rest_of(regs, 0))};
    case kDevifValidate:
      return {.leaf = tdg_devif_validate(vp, function,
                                         {regs.rdx, regs.r8, regs.r9, regs.r10, regs.r11, regs.r12},
                                         rest_of(regs, ~0ULL))};
    case kDevifRd:
      return {.leaf = tdg_devif_rd(vp, function, static_cast<DevifField>(regs.rdx & kCode),
                                   rest_of(regs, kCode))};
    case kDevifRequest:
      return {.leaf = tdg_devif_request(vp, function, static_cast<DevifRequest>(regs.rdx & kCode),
                                        rest_of(regs, kCode))};
    case kDevifResponse:
      return tdg_devif_response(vp, function,
                                regs.rdx == kNoBuffer ? std::nullopt : std::optional(Gpa{regs.rdx}),
                                rest_of(regs, ~0ULL));
    default:
      return {.leaf = {.status = Status(Code::kOperandInvalid, Operand::kRax)}};
  }
}

/// Source: tdg_vp_vmcall.c.
Status Module::vmcall_status(std::uint64_t mask) {
  constexpr std::uint64_t kRefused = 0xffff'ffff'0000'0013;
  return (mask & kRefused) != 0 ? Status(Code::kOperandInvalid, Operand::kRcx) : Status();
}

}  // namespace teeio::tdx
