#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::tdx {

/// Completion codes: the upper half of RAX (bit 31: error, bit 30: no use in
/// trying again unchanged; 0x0... is success with a remark).
/// Source: intel/tdx-module, tdxio branch, include/auto_gen/tdx_error_codes_defs.h.
/// The names are spelt out by status_name().
enum class Code : std::uint32_t {
  kSuccess = 0,
  kInterruptedResumable = 0x80000003,
  kOperandInvalid = 0xC0000100,
  kOperandAddrRangeError = 0xC0000101,
  kOperandBusy = 0x80000200,
  kPreviousTlbEpochBusy = 0x80000201,
  kRndNoEntropy = 0x80000203,
  kBusyHostPriority = 0x80000204,
  kPageMetadataIncorrect = 0xC0000300,
  kTdAssociatedPagesExist = 0xC0000400,
  kTdFatal = 0xE0000604,
  kTdcsNotAllocated = 0xC0000606,
  kLifecycleStateIncorrect = 0xC0000607,
  kOpStateIncorrect = 0xC0000608,
  kNoVcpus = 0xC0000609,
  kTdcxNumIncorrect = 0xC0000610,
  kX2apicIdNotUnique = 0xC0000621,
  kVcpuStateIncorrect = 0xC0000700,
  kVcpuAssociated = 0x80000701,
  kVcpuNotAssociated = 0x80000702,
  kMaxVcpusExceeded = 0xC0000705,
  kTdKeysNotConfigured = 0x80000810,
  kWbcacheNotComplete = 0x80000817,
  kHkidNotFree = 0xC0000820,
  kNoHkidReadyToWbcache = 0x00000821,
  kFlushvpNotDone = 0x80000824,
  kInconsistentMsr = 0xC0000920,
  kEptWalkFailed = 0xC0000B00,
  kEptEntryNotPresent = 0xC0000B03,
  kGpaRangeNotBlocked = 0xC0000B06,
  kGpaRangeAlreadyBlocked = 0x00000B07,
  kTlbTrackingNotDone = 0xC0000B08,
  kPageAlreadyAccepted = 0x00000B0A,
  kPageSizeMismatch = 0xC0000B0B,
  kEptEntryStateIncorrect = 0xC0000B0D,
  kEptPageNotFree = 0xC0000B0E,
  kIommuInvalidState = 0xC0000F00,
  kIqQueueFull = 0xC0000F01,
  kRpNotConfigured = 0xC0000F02,
  kIotlbTrackingNotDone = 0xC0000F03,
  kRpIdeMustBeDisabled = 0xC0000F04,
  kSpdmHasActiveIdeStreams = 0xC0000F05,
  kSpdmInvalidState = 0xC0000F06,
  kDmarInvalidMappingState = 0xC0000F07,
  kDmarInvalidInvState = 0xC0000F08,
  kDevifPkhMismatch = 0xC0000F0B,
  kDevifAlreadyValid = 0x00000F0D,
  kTdispInvalidReqSts = 0xC0000F0E,
  kTdispInvalidMessage = 0xC0000F0F,
  kTdispInvalidState = 0xC0000F10,
  kDevifInvalidState = 0xC0000F11,
  kDevifHasMappedMmio = 0xC0000F13,
  kTdispOutReq = 0xC0000F14,
  kIdeStreamNotFree = 0xC0000F16,
  kIdeStreamNotSupported = 0xC0000F17,
  kIdeStreamNotConfigured = 0xC0000F18,
  kIdeStreamBlocked = 0xC0000F19,
  kIdeStreamNotBlocked = 0xC0000F1A,
  kIdeStreamAddrOverlap = 0xC0000F1B,
  kIdeStreamRidOverlap = 0xC0000F1C,
  kIdeStreamHasDeviceInterfaces = 0xC0000F1F,
  kIdeKmOutReq = 0xC0000F20,
  kIdeKmKeysNotReady = 0xC0000F21,
  kIdeKmInvalidResponse = 0xC0000F23,
  kIdeStreamInvalidState = 0xC0000F24,
  kMmioInvalidPageMetadata = 0xC0000F25,
  kMmioAcceptSizeMismatch = 0xC0000F26,
  kMmioDevifOwnerMismatch = 0xC0000F27,
  kDmarIndexOutOfBounds = 0xC0000F38,
  kDmarEntryNotPresent = 0xC0000F39,
  kTdHasAttachedDevices = 0xC0000F3A,
  kIotlbTrackingNotRequired = 0xC0000F3B,
  kIommuMtPageInUse = 0xC0000F3D,
  kKcbMustBeDisabled = 0xC0000F3E,
  kDevifHasMappedDma = 0xC0000F3F,
  kDevifmtNotPresent = 0xC0000F40,
  kDevifInvalidMetadata = 0xC0000F41,
  kDevifmtAlreadyPresent = 0xC0000F42,
  kSpdmEntryAlreadyPresent = 0xC0000F43,
  kSpdmEntryNotPresent = 0xC0000F44,
  kSpdmSessionKeyRequireRefresh = 0xC0000F45,
  kMmiomtNotPresent = 0xC0000F47,
  kDevifInvalidTdiConfiguration = 0xC0000F49,
  kTdispErrorState = 0xC0000F4A,
  kMmioInvalidHpaOffset = 0xC0000F4D,
  kSpdmInvalidMessage = 0xC0000F4E,
  kIommuEcmdTimeout = 0x80000F51,
  kGuestInvNotRequired = 0x00000F53,
  kGuestInvInProgress = 0xC0000F54,
  kGuestInvInvalidDesc = 0xC0000F55,
  kSpdmRequest = 0xC0000F57,  ///< a step: a message waits to be carried
  kInvalidReportmacstruct = 0xC0001001,
};

/// What a code is about: the lower half of RAX. A register has its x86 number; the others
/// are those of tdx_error_codes_defs.h, and from 0x400 on our own, where the public file has
/// no number for a lock. Some codes carry a number instead: a level, a vCPU's state.
enum class Operand : std::uint32_t {
  kRax = 0,  ///< also "none"
  kRcx = 1,
  kRdx = 2,
  kR8 = 8,
  kR9 = 9,
  kR10 = 10,
  kR11 = 11,
  kR12 = 12,
  kR13 = 13,
  kR14 = 14,
  kR15 = 15,
  kAttributes = 64,
  kMaxVcpus = 68,
  kTdr = 128,
  kTdcx = 129,
  kTdvpr = 130,
  kSeptTree = 146,
  kSeptEntry = 147,
  kRtmr = 168,
  kTdEpoch = 169,
  kOpState = 172,
  kKot = 186,
  kWbcache = 188,
  kMmiomt = 257,
  kDmar = 320,
  kExtension = 0x400,  ///< the one-call-at-a-time lock of SPDM.CONNECT, MNG, DISCONNECT
  kNumber = 0xffff,    ///< in a row: see number_operand(); no status has it
};
/// The operand of codes that carry a number.
[[nodiscard]] constexpr Operand number_operand(std::uint32_t number) {
  return static_cast<Operand>(number);
}

/// A leaf's completion status, RAX.
class [[nodiscard]] Status {
 public:
  constexpr Status() = default;
  constexpr Status(Code code, Operand operand = Operand::kRax) : code_(code), operand_(operand) {}

  [[nodiscard]] constexpr Code code() const { return code_; }
  [[nodiscard]] constexpr Operand operand() const { return operand_; }
  /// As the real RAX: class above, operand below.
  [[nodiscard]] constexpr std::uint64_t rax() const {
    return std::uint64_t{static_cast<std::uint32_t>(code_)} << 32U |
           static_cast<std::uint32_t>(operand_);
  }
  /// No error: success, perhaps with a remark.
  [[nodiscard]] constexpr bool ok() const {
    return (static_cast<std::uint32_t>(code_) & 0x80000000U) == 0;
  }
  /// The same call may succeed later without anything else being done.
  [[nodiscard]] constexpr bool retry() const {
    return (static_cast<std::uint32_t>(code_) & 0xC0000000U) == 0x80000000U;
  }
  /// "TDX_OPERAND_BUSY".
  [[nodiscard]] std::string_view name() const;
  bool operator==(const Status&) const = default;
  constexpr bool operator==(Code code) const { return code_ == code; }

 private:
  Code code_ = Code::kSuccess;
  Operand operand_ = Operand::kRax;
};

[[nodiscard]] std::string_view code_name(Code code);         ///< "TDX_OPERAND_BUSY"
[[nodiscard]] std::string_view operand_name(Operand which);  ///< "SEPT_TREE", "RCX"

}  // namespace teeio::tdx
