#pragma once

#include <cstdint>

/// What a TD says to the TDX module (TDCALL) and, through it, to the host
/// (TDG.VP.VMCALL). Registers: RAX leaf; for a VMCALL RCX is the mask of
/// registers passed, R10 0, R11 the sub-function, R12–R15 its arguments; the
/// answer's status comes in R10, its values from R11 on.
namespace teeio::guest {

/// TDCALL leaves. Source: TDX module ABI spec (0–6); intel/tdx-module, branch
/// tdxio, include/tdx_api_defs.h (66–72).
enum class TdcallLeaf : std::uint64_t {
  kVpVmcall = 0,
  kVpInfo = 1,
  kMemPageAccept = 6,
  kDevifValidate = 66,
  kDevifRead = 67,
  kDevifRequest = 68,
  kDevifResponse = 69,
  kDmarAccept = 70,
  kMmioAccept = 71,
  kIqInvRequest = 72,
};

/// Sub-functions of TDG.VP.VMCALL. Below 0x10000 they are exit reasons of VMX.
/// Source: Intel GHCI for TDX 1.5, sections 2.4 and 3.
enum class Vmcall : std::uint64_t {
  kHalt = 12,
  kIo = 30,    ///< R12 size, R13 1 for a write, R14 port, R15 value
  kMmio = 48,  ///< R12 size, R13 1 for a write, R14 GPA, R15 value
  kMapGpa = 0x10001,
  kReportFatalError = 0x10003,

  // The TDI requests. That they exist (bind, unbind, get report) is known from
  // Linux's guest driver for TDX Connect; their numbers are not public and
  // those here are our own. R12 is the function id in all of them.
  kTdiBind = 0x10100,
  kTdiUnbind = 0x10101,
  /// Carries what TDG.DEVIF.REQUEST has queued to the device; R13 is the TDISP
  /// request code (report 0x84, state 0x85, start 0x86).
  kTdiRelay = 0x10102,
};

/// Answers in R10. Source: GHCI 1.5, table 3-1.
enum class VmcallStatus : std::uint64_t {
  kSuccess = 0,
  kRetry = 1,
  kInvalidOperand = 0x8000'0000'0000'0000,
  kSubfunctionUnsupported = 0x8000'0000'0000'0003,
};

}  // namespace teeio::guest
