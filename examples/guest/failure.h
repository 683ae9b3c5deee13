// Why the guest gave up: the code that it leaves with, and what the VMM prints.
#pragma once

#include <cstdint>

enum Failure : std::uint32_t {
  kBoardIsWrong = 1,
  kNoDevice,
  kPageNotAccepted,
  kSharedTouch,
  kBindRefused,
  kNotTheDevice,
  kNoReport,
  kReportIsWrong,
  kMmioNotAccepted,
  kDmaNotAccepted,
  kStartRefused,
  kNotRunning,
  kPrivateMmio,
  kPrivateDma,
  kUnbindRefused,
  kSharedAgain,
  kNoEvidence,
  kEvidenceIsWrong,
  kEvidenceIsOld,
  kNotTheOwnersRoot,
  kNoReportOfItself,
  kNotInvalidated,
};

inline const char* failure_text(std::uint32_t code) {
  switch (code) {
    case kBoardIsWrong:
      return "what the VMM tells it of the board makes no sense";
    case kNoDevice:
      return "no DMA engine answers";
    case kPageNotAccepted:
      return "a fresh page could not be accepted";
    case kSharedTouch:
      return "a page that it shares does not keep what is written";
    case kBindRefused:
      return "the device was not bound";
    case kNotTheDevice:
      return "evidence and firmware do not name the same device";
    case kNoReport:
      return "there is no interface report";
    case kReportIsWrong:
      return "the interface report does not have BAR0 and BAR2 as one range of TEE memory each";
    case kMmioNotAccepted:
      return "private MMIO was not accepted";
    case kDmaNotAccepted:
      return "trusted DMA was not accepted";
    case kStartRefused:
      return "the TDI was not started";
    case kNotRunning:
      return "the TDI does not run";
    case kPrivateMmio:
      return "private MMIO does not answer";
    case kPrivateDma:
      return "trusted DMA did not work";
    case kUnbindRefused:
      return "the device was not unbound";
    case kSharedAgain:
      return "the device does not work as a shared one";
    case kNoEvidence:
      return "there is no evidence";
    case kEvidenceIsWrong:
      return "the evidence does not hold";
    case kEvidenceIsOld:
      return "the evidence is not fresh";
    case kNotTheOwnersRoot:
      return "the evidence does not begin with the owner's root";
    case kNoReportOfItself:
      return "no report of the guest itself could be made";
    case kNotInvalidated:
      return "the IOMMU did not forget its translations";
    default:
      return "no code of this guest's";
  }
}
