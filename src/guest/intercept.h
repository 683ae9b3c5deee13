#pragma once

#include <cstdint>
#include <span>

namespace teeio::guest {

/// An instruction that the engine performs itself instead of Unicorn.
struct Intercept {
  enum class Kind : std::uint8_t {
    kNone,
    kHalt,
    kIn,
    kOut,
    kTdcall,
    kVmgexit,
    kPvalidate,
    kRmpadjust,
    kReadControl,   ///< mov r, crN
    kWriteControl,  ///< mov crN, r
    kInvalidate,    ///< invlpg: drops translations; `length` is 0, Unicorn steps over it
    kReadMsr,
    kWriteMsr,
    kReadTsc,
    kCpuid,
    kHypercall,    ///< VMCALL, VMMCALL
    kUnsupported,  ///< doors that this guest has not
  };
  Kind kind = Kind::kNone;
  std::uint8_t length = 0;   ///< bytes of the instruction
  std::uint8_t control = 0;  ///< number of the control register
  std::uint8_t reg = 0;      ///< number of the general register, 0–15
  std::uint8_t size = 0;     ///< bytes of an IN or OUT
  bool port_in_dx = false;   ///< else `port`
  std::uint8_t port = 0;
  // Of INS and OUTS.
  bool string = false;
  bool repeated = false;
  bool address_size = false;  ///< the other size of addresses (67)
  std::uint8_t segment = 0;   ///< the prefix's byte, if any
};

/// How a code segment's default operand size is set.
enum class CodeSize : std::uint8_t { k16, k32, k64 };

/// Tells whether the instruction in `code` is one of those above. `code` holds
/// one whole instruction, or up to 15 bytes when its length is unknown.
/// Source: Intel SDM vol. 2, appendix A; TDCALL: TDX module ABI spec, 66 0F 01 CC;
/// VMGEXIT, PVALIDATE, RMPADJUST: AMD64 APM vol. 3.
[[nodiscard]] Intercept classify(std::span<const std::uint8_t> code, CodeSize size);

}  // namespace teeio::guest
